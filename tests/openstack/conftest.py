"""The OpenStack that the tests of this package are made on."""

import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbaas.cloud.openstack import guestimage
from dbaas.cloud.rootfs import recipe
from tests.functional import place
from tests.openstack import cloud
from tests.openstack import deployment as deployments
from tests.openstack.deployment import ALPHA, Deployment
from tests.openstack.osbox import namespaces

LOG = logging.getLogger(__name__)


@pytest.fixture(scope="session")
def box() -> Iterator[None]:
    """The cloud that is named, or a box: the one that is up, or a new one until the tests end."""
    if cloud.IS_NAMED or namespaces.first_process() is not None:
        yield
        return
    osbox("install")
    try:
        osbox("reset")
        yield
    finally:
        osbox("down")


@pytest.fixture(scope="session")
def on_the_box(box: None) -> Iterator[None]:
    """The main thread is on the cloud's network, which of a named one it is already."""
    if cloud.IS_NAMED:
        yield
        return
    with place.inside(namespaces.NETWORK):
        yield


@pytest.fixture(scope="session")
def guest_image() -> Path:
    """The image of guests, of this checkout; it takes minutes where it is not there."""
    with place.inside(place.OUTSIDE):
        return guestimage.ensure(recipe.default_cache(), recipe.machine(()), LOG.info)


@pytest.fixture(scope="session")
def deployment(guest_image: Path, on_the_box: None) -> Iterator[Deployment]:
    """Our services; what tests that failed have left is deleted in the end."""
    with deployments.running(guest_image) as running:
        yield running


@pytest.fixture(scope="module")
def second_address(on_the_box: None) -> Iterator[str]:
    """One more address of ours on the first tenant's network, from which he may connect."""
    address = f"{ALPHA.prefix}.250"
    where = [f"{address}/24", "dev", ALPHA.interface]
    subprocess.run(["ip", "address", "add", *where], check=True)
    yield address
    subprocess.run(["ip", "address", "delete", *where], check=True)


def osbox(*words: str) -> None:
    command = [sys.executable, "-m", "tests.openstack.osbox", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
