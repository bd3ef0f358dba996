"""What every kind of test may use."""

import os
from collections.abc import Iterator

import pytest

from tests import bus_server as bus_servers
from tests import catalog_server as catalog_servers
from tests import complaints, outcomes
from tests.outcomes import Outcome, Part, Tell

THOROUGH = "DBAAS_CHAOS"
"""Environment variable: `all` runs every kill point and every test, else a sample of them."""

_TOLD = pytest.StashKey[list[Outcome]]()


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", f"thorough: only with {THOROUGH}=all")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not _is_thorough():
        items[:] = [item for item in items if item.get_closest_marker("thorough") is None]


def _is_thorough() -> bool:
    return os.environ.get(THOROUGH) == "all"


@pytest.fixture(scope="session")
def thorough() -> bool:
    return _is_thorough()


@pytest.fixture(scope="session")
def catalog_server() -> Iterator[catalog_servers.CatalogServer]:
    """A MariaDB server for this run; `fresh()` makes a catalog in it."""
    with catalog_servers.running() as server:
        yield server


@pytest.fixture(scope="session")
def bus_server() -> Iterator[bus_servers.BusServer]:
    """A RabbitMQ server for this run; nothing in it but its administrator."""
    with bus_servers.running() as server:
        yield server


@pytest.fixture(scope="session")
def tell(pytestconfig: pytest.Config) -> Tell:
    """Give a function that tells what became of a fault; see `tests.outcomes`."""
    told = pytestconfig.stash.setdefault(_TOLD, [])

    def tell(part: Part, fault: str, result: str, seconds: float | None = None, /) -> None:
        outcome = Outcome(part, fault, result, seconds)
        told.append(outcome)
        outcomes.record(outcome)

    return tell


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if told := config.stash.get(_TOLD, []):
        terminalreporter.section("what became of faults")
        for outcome in told:
            terminalreporter.write_line(str(outcome))
    if failed := [*terminalreporter.getreports("failed"), *terminalreporter.getreports("error")]:
        terminalreporter.section("what failed, in short")
        for report in failed:
            terminalreporter.write_line("\n".join(complaints.told(report)))
