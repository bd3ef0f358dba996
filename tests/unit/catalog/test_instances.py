"""A page of instances costs the same however many there are."""

from collections.abc import Callable, Iterator

import pytest
import sqlalchemy

from dbaas.catalog import instances, tables
from dbaas.catalog.records import InstanceLine, InstanceRecord
from dbaas.catalog.unit import Catalog, Unit
from tests.catalog_server import CatalogServer

MANY = 3000


@pytest.fixture(scope="module")
def catalog(catalog_server: CatalogServer) -> Iterator[Catalog]:
    with catalog_server.opened() as made:
        made.run(fill)
        yield made


def fill(one: Unit) -> None:
    """Write many instances of one project, and as many of others."""
    one.execute(tables.datastores.insert().values(id="d", name="mariadb"))
    one.execute(
        tables.datastore_versions.insert().values(
            id="v",
            datastore_id="d",
            name="11.8",
            version="11.8.3",
            manager="mariadb",
            image_tags="[]",
            packages="[]",
            active=True,
        )
    )
    one.execute(
        tables.instances.insert(),
        [
            {
                "id": f"{n:036}",
                "project_id": "big" if n % 2 else f"small{n}",
                "user_id": "u",
                "name": "n",
                "status": "ACTIVE",
                "datastore_version_id": "v",
                "flavor_id": "1",
                "flavor_ram_mib": 1,
                "ram_charged_mib": 1,
                "volume_gib": 1,
                "volume_charged_gib": 1,
                "access": "{}",
                "addresses": "[]",
            }
            for n in range(2 * MANY)
        ],
    )


def rows_read(one: Unit) -> int:
    """Return how many rows this session has read or sorted."""
    counters = one.execute(
        sqlalchemy.text(
            "SHOW SESSION STATUS WHERE Variable_name LIKE 'Handler_read%' "
            "OR Variable_name = 'Sort_rows'"
        )
    )
    return sum(int(row[1]) for row in counters)


Page = Callable[[Unit], list[InstanceLine] | list[InstanceRecord]]

PAGES: tuple[Page, ...] = (
    lambda one: instances.lines(one, "big", "", 21),
    lambda one: instances.lines(one, "big", f"{MANY:036}", 21),
    lambda one: instances.page(one, "big", "", 21),
    lambda one: instances.page(one, "big", f"{MANY:036}", 21),
    lambda one: instances.every(one, 0, 21),
    lambda one: instances.every(one, 40, 21, deleted=False),
    lambda one: instances.every(one, 0, 21, project_id="big"),
    lambda one: instances.every(one, 0, 21, project_id="big", deleted=False),
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_its_own_rows_only_and_sorts_none(catalog: Catalog, page: Page) -> None:
    def work(one: Unit) -> tuple[int, int]:
        before = rows_read(one)
        found = page(one)
        return len(found), rows_read(one) - before

    found, read = catalog.read(work)
    assert found == 21
    assert read < 400


def test_a_small_project_among_many_costs_what_it_has(catalog: Catalog) -> None:
    def work(one: Unit) -> tuple[int, int]:
        before = rows_read(one)
        found = instances.every(one, 0, 21, project_id="small2")
        return len(found), rows_read(one) - before

    found, read = catalog.read(work)
    assert found == 1
    assert read < 100
