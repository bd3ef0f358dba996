"""What an operator is told of an OpenStack: all is there, or which service is broken, and how."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dbaas.contract import errors
from tests.fakes.openstack import cloud as openstack
from tests.fakes.openstack.cloud import FakeOpenStack, refused

SERVICES = {
    "Glance": "image",
    "Nova": "compute",
    "Cinder": "block-storage",
    "Neutron": "network",
    "Swift": "object-store",
}
NOWHERE = "http://127.0.0.1:9/"


@dataclass
class Look:
    services: FakeOpenStack
    home: Path
    well: dict[str, str] = field(default_factory=dict)
    """What was found, by what was looked at."""

    def __call__(self, more: str = "") -> dict[str, str]:
        """Return what is wrong, by what was looked at; `more` are further options."""
        wrong = {}
        for probe in self.services.cloud(self.home, more).probes():
            try:
                self.well[probe.what] = probe.look()
            except errors.Error as error:
                wrong[probe.what] = error.text
        return wrong


@pytest.fixture
def look(tmp_path: Path) -> Iterator[Look]:
    with openstack.running() as services:
        yield Look(services, tmp_path)


def test_nothing_is_missing_where_all_is_there(look: Look) -> None:
    assert look() == {}
    assert look.well["Nova"] == "2 flavors, zones nova"
    assert look.well["Swift"] == "2 containers"


def _away(services: FakeOpenStack, service: str) -> None:
    services.keystone.elsewhere[service] = NOWHERE


def _failing(services: FakeOpenStack, service: str) -> None:
    for method in ("GET", "HEAD"):
        services.meet(refused(service, method, "", 500, times=99))


def _forbidden(services: FakeOpenStack, service: str) -> None:
    for method in ("GET", "HEAD"):
        services.meet(refused(service, method, "", 403, times=99))


def _unknown(services: FakeOpenStack, service: str) -> None:
    del services.keystone.elsewhere[service]


@pytest.mark.parametrize("what", SERVICES)
@pytest.mark.parametrize(
    ("breaks", "said"),
    [
        (_away, "does not answer"),
        (_failing, "fails (500)"),
        (_forbidden, "forbids it"),
        (_unknown, "Keystone does not know where"),
    ],
)
def test_a_broken_service_is_named_and_no_other(
    look: Look, what: str, breaks: Callable[[FakeOpenStack, str], None], said: str
) -> None:
    breaks(look.services, SERVICES[what])
    bad = look()
    if what == "Neutron":
        assert said in bad.pop("networks of the configuration")
    if (what, breaks) == ("Swift", _unknown):  # who has none needs none
        assert bad == {}
    else:
        assert list(bad) == [what]
        assert said in bad[what]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("password = wrong\n", "does not accept the service's credentials"),
        (f"auth_url = {NOWHERE}\n", "does not answer"),
        ("region_name = Elsewhere\n", ""),
    ],
)
def test_without_keystone_nothing_can_be_found(look: Look, more: str, said: str) -> None:
    bad = look(more)
    assert "Nova" in bad
    assert said in bad.get("Keystone", "")


def test_a_network_that_is_not_there_is_named(look: Look) -> None:
    bad = look("management_network = not-there\n")
    assert bad == {"networks of the configuration": "there is no network not-there"}
