"""`dbaas-manage check` on a deployment that works, and with each service of its away in turn."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dbaas.manage.stack import broker, catalog
from dbaas.manage.stack.supervisor import Supervisor
from tests.openstack import cloud
from tests.openstack.deployment import Deployment
from tests.openstack.osbox.place import HOME

STOP_SECONDS, START_SECONDS = 60.0, 120.0

_OF_THE_BOX = {
    "keystone": {"Keystone"},
    "nova-api": {"Nova"},
    "neutron-server": {"Neutron", "networks of the configuration"},
    "cinder-api": {"Cinder"},
    "glance-api": {"image of mariadb 11.8"},
    "swift-proxy": {"Swift"},
}
"""What must be missed at least, by the program that is away."""

_OURS = {
    broker.BROKER: {"control bus", "guests' bus", "management API of the broker"},
    catalog.CATALOG: {"catalog"},
}


def missing(deployment: Deployment) -> set[str]:
    """Return what the command finds missing; each comes with advice."""
    ran = deployment.stack.manage("check", check=False)
    found = re.findall(r"^│ MISSING │ (.+?) +│", ran.stdout, re.MULTILINE)
    assert ran.returncode == (1 if found else 0), ran.stdout
    assert ran.stdout.count("→") == len(found), ran.stdout
    return set(found)


@contextmanager
def away(programs: Supervisor, name: str) -> Iterator[None]:
    programs.stop([name], STOP_SECONDS)
    try:
        yield
    finally:
        programs.start(name)
        programs.wait(name, lambda: programs.states()[name].state == "RUNNING", START_SECONDS)


def test_nothing_is_missing_where_all_is_well(deployment: Deployment) -> None:
    assert missing(deployment) == set()


@pytest.mark.skipif(cloud.IS_NAMED, reason="a named cloud is not broken")
@pytest.mark.parametrize("name", _OF_THE_BOX)
def test_a_service_of_the_cloud_that_is_away_is_named(deployment: Deployment, name: str) -> None:
    with away(Supervisor(HOME), name):
        assert missing(deployment) >= _OF_THE_BOX[name]


@pytest.mark.parametrize("name", _OURS)
def test_a_service_of_ours_that_is_away_is_named(deployment: Deployment, name: str) -> None:
    with away(deployment.programs, name):
        assert missing(deployment) >= _OURS[name]
