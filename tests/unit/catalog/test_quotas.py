"""Usage is exact, whoever charges at the same time."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbaas.catalog import quotas
from dbaas.catalog.unit import Catalog
from dbaas.contract import errors
from tests.catalog_server import CatalogServer

DEFAULTS = {"instances": 5, "ram": -1, "volumes": 40, "backups": 50}
ONE = {"instances": 1, "ram": 512, "volumes": 2}


@pytest.fixture(scope="module")
def catalog(catalog_server: CatalogServer) -> Iterator[Catalog]:
    with catalog_server.opened() as made:
        yield made


def in_use(catalog: Catalog, project: str) -> dict[str, int]:
    found = catalog.read(lambda one: quotas.show(one, project, DEFAULTS))
    return {quota.resource: quota.in_use for quota in found}


def test_a_project_that_has_nothing_uses_nothing(catalog: Catalog) -> None:
    assert in_use(catalog, "nothing") == {"instances": 0, "ram": 0, "volumes": 0, "backups": 0}


def test_charges_at_the_same_time_stop_exactly_at_the_limit(catalog: Catalog) -> None:
    def charge(_: int) -> bool:
        try:
            catalog.run(lambda one: quotas.charge(one, "crowd", ONE, DEFAULTS))
        except errors.OverQuota:
            return False
        return True

    with ThreadPoolExecutor(12) as pool:
        accepted = list(pool.map(charge, range(24)))
    assert accepted.count(True) == 5
    assert in_use(catalog, "crowd") == {"instances": 5, "ram": 2560, "volumes": 10, "backups": 0}


def test_what_is_given_back_is_what_was_charged(catalog: Catalog) -> None:
    catalog.run(lambda one: quotas.charge(one, "back", ONE, DEFAULTS))
    catalog.run(lambda one: quotas.charge(one, "back", {"volumes": 3}, DEFAULTS))
    catalog.run(lambda one: quotas.release(one, "back", {**ONE, "volumes": 5}))
    assert set(in_use(catalog, "back").values()) == {0}


def test_a_project_above_a_lowered_limit_can_still_give_back(catalog: Catalog) -> None:
    catalog.run(lambda one: quotas.charge(one, "lowered", ONE, DEFAULTS))
    catalog.run(lambda one: quotas.set_limits(one, "lowered", {"instances": 0, "volumes": 0}))
    catalog.run(lambda one: quotas.charge(one, "lowered", {"volumes": -1}, DEFAULTS))
    with pytest.raises(errors.OverQuota, match="'instances', 'volumes'"):
        catalog.run(lambda one: quotas.charge(one, "lowered", ONE, DEFAULTS))
    assert in_use(catalog, "lowered")["volumes"] == 1
