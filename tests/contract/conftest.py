"""What several of the contract suites stand on."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.catalog_server import CatalogServer
from tests.contract import openstack_place
from tests.contract.openstack_place import Place


@pytest.fixture
def catalog_url(catalog_server: CatalogServer) -> str:
    return catalog_server.fresh()


@pytest.fixture
def place(catalog_url: str, tmp_path: Path) -> Iterator[Place]:
    """A faked OpenStack and a deployment over it."""
    with openstack_place.place(catalog_url, tmp_path) as made:
        yield made
