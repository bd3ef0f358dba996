"""The OpenStack that the tests of this package are made on."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.functional import place
from tests.openstack import cloud
from tests.openstack.osbox import namespaces


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


def osbox(*words: str) -> None:
    command = [sys.executable, "-m", "tests.openstack.osbox", *words]
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
