"""`dbaas-manage check` says that a deployment has all it needs, and else what is missing."""

from collections.abc import Iterator

import pytest

from dbaas.manage.stack import broker, catalog, lifecycle
from dbaas.manage.stack.supervisor import Supervisor
from tests.functional import stack as stacks
from tests.functional.stack import Stack


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    with stacks.running() as made:
        yield made


def test_a_whole_deployment_misses_nothing(stack: Stack) -> None:
    said = stack.manage("check").stdout
    assert "MISSING" not in said
    assert " 0 missing" in said


@pytest.mark.parametrize(
    ("program", "missing", "remedy"),
    [
        (catalog.CATALOG, "catalog", "[catalog] connection"),
        (broker.BROKER, "control bus", "transport_url"),
        (lifecycle.DEPOT, "the directory and the depot", "run `dbaas-depot`"),
    ],
)
def test_what_is_missing_is_named_with_a_remedy(
    stack: Stack, program: str, missing: str, remedy: str
) -> None:
    Supervisor(stack.plan).stop([program], 60.0)
    try:
        done = stack.manage("check", check=False)
    finally:
        stack.command("up")
    assert done.returncode == 1
    assert missing in next(line for line in done.stdout.splitlines() if "MISSING" in line)
    assert remedy in done.stdout


@pytest.mark.parametrize(
    ("settings", "missing", "remedy"),
    [
        ("[secrets]\nmaster_key_file = /nowhere\n", "cannot read the master key", "openssl rand"),
        ("[secrets]\nauthority_key_file = /nowhere\n", "cannot read /nowhere", "authority_key"),
        ("[guest_bus]\nguest_port = 9\n", "cannot be reached", "TLS listener"),
        ("[DEFAULT]\ncloud = moon\n", "there is no 'moon'", "[DEFAULT] cloud"),
        ("[backups]\nstorage = moon\n", "strategy 'moon' here", "[backups] storage"),
        ("[storage_local]\ndirectory = /nowhere\n", "is not there", "Make the directory"),
    ],
)
def test_a_wrong_setting_is_named_with_a_remedy(
    stack: Stack, settings: str, missing: str, remedy: str
) -> None:
    local = stack.directory / "wrong.conf"
    local.write_text(settings)
    done = stack.manage("--config-file", str(local), "check", check=False)
    assert done.returncode == 1
    assert missing in done.stdout
    assert remedy in done.stdout
