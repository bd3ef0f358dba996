"""What exists outside the catalog; how an entry lives is in `tests/contract/test_journal.py`."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbaas.catalog import ledger, tables
from dbaas.catalog.unit import Catalog
from dbaas.contract.operations import Gone, LedgerKind, Made
from tests.catalog_server import CatalogServer


@pytest.fixture(scope="module")
def emptied(catalog_server: CatalogServer) -> Iterator[Catalog]:
    with catalog_server.opened() as made:
        yield made


@pytest.fixture
def catalog(emptied: Catalog) -> Catalog:
    emptied.run(lambda one: one.execute(tables.ledger.delete()))
    return emptied


def intend(catalog: Catalog, instance_id: str, kind: LedgerKind) -> str:
    return catalog.run(lambda one: ledger.intend(one, "op", instance_id, kind)).name


def test_what_lives_is_listed_of_one_instance_and_of_all(catalog: Catalog) -> None:
    for instance_id in ("i", "j"):
        for kind in (LedgerKind.PORT, LedgerKind.SERVER):
            intend(catalog, instance_id, kind)
    every = [entry.name for entry in catalog.read(ledger.living)]
    assert every == ["dbaas-i-port1", "dbaas-i-srv1", "dbaas-j-port1", "dbaas-j-srv1"]
    mine = catalog.read(lambda one: ledger.living(one, "i"))
    assert [(entry.name, entry.kind) for entry in mine] == [
        ("dbaas-i-port1", "port"),
        ("dbaas-i-srv1", "server"),
    ]


def test_a_name_is_never_used_twice(catalog: Catalog) -> None:
    names = []
    for _ in range(12):
        names.append(intend(catalog, "i", LedgerKind.VOLUME))
        catalog.run(lambda one: ledger.note(one, [Gone(names[-1])]))
    assert names == [f"dbaas-i-vol{n}" for n in range(1, 13)]


def test_what_is_gone_is_not_listed(catalog: Catalog) -> None:
    name = intend(catalog, "i", LedgerKind.VOLUME)
    catalog.run(lambda one: ledger.note(one, [Made(name, "id-1")]))
    assert [entry.external_id for entry in catalog.read(ledger.living)] == ["id-1"]
    catalog.run(lambda one: ledger.note(one, [Gone(name)]))
    assert catalog.read(ledger.living) == []


def test_what_is_gone_can_be_asked_for(catalog: Catalog) -> None:
    names = {one: intend(catalog, one, LedgerKind.PORT) for one in ("i", "j")}
    catalog.run(lambda one: ledger.note(one, [Gone(name) for name in names.values()]))
    intend(catalog, "i", LedgerKind.PORT)
    found = catalog.read(lambda one: ledger.gone(one, ["i", "unheard of"]))
    assert [entry.name for entry in found] == [names["i"]]


def test_entries_of_different_instances_are_made_side_by_side(catalog: Catalog) -> None:
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda n: intend(catalog, f"i{n}", LedgerKind.PORT), range(24)))
    assert sorted(names) == sorted(f"dbaas-i{n}-port1" for n in range(24))
