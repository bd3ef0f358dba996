"""What builds on what, what may go when, and what is left to be swept."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from dbaas.catalog import (
    backup_orders,
    backups,
    journal,
    operations,
    quotas,
    stored,
    tables,
)
from dbaas.catalog.records import BackupRecord, Registration
from dbaas.catalog.stored import Kept
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common.sealing import Sealer
from dbaas.contract import backups as lives
from dbaas.contract import errors
from dbaas.contract.backups import BackupEvent, BackupStatus
from dbaas.contract.operations import Fault, State
from dbaas.contract.requests import DeleteBackups, SweepBackup
from tests.catalog_server import CatalogServer
from tests.unit.catalog.test_instances import fill, rows_read
from tests.written_backups import STORED, new, write

SEALER = Sealer(b"k" * 32)


@pytest.fixture(scope="module")
def catalog(catalog_server: CatalogServer) -> Iterator[Catalog]:
    with catalog_server.opened() as made:
        made.run(fill)
        yield made


def made(catalog: Catalog, *, complete: bool = True, **values: Any) -> str:
    """Write a backup that was begun and, unless told otherwise, is complete; return its id."""
    one = new(**values)
    catalog.run(lambda unit: write(unit, one, complete=complete))
    return one.id


def shown(catalog: Catalog, backup_id: str) -> BackupRecord:
    return catalog.read(lambda unit: backups.show(unit, backup_id, None, deleted=True))


def operation(catalog: Catalog, *ids: str) -> str:
    request = operations.Request("delete_backups", "", "p", "u", "r", DeleteBackups(ids))
    return catalog.run(lambda unit: operations.accept(unit, request, SEALER))


def ended(catalog: Catalog, operation_id: str) -> None:
    state = tables.operations.update().where(tables.operations.c.id == operation_id)
    catalog.run(lambda unit: unit.execute(state.values(state=State.SUCCEEDED)))


def grants_are_over(catalog: Catalog, backup_id: str) -> None:
    row = tables.backups.update().where(tables.backups.c.id == backup_id)
    catalog.run(lambda unit: unit.execute(row.values(granted_until="2020-01-01")))


def unswept(catalog: Catalog) -> set[str]:
    return {one.id for one in catalog.read(lambda unit: backups.unswept(unit, 1000))}


def test_a_backup_shows_what_was_stored(catalog: Catalog) -> None:
    found = shown(catalog, made(catalog))
    assert found.status is BackupStatus.COMPLETED
    assert (found.stored_size, found.data_size, found.restored_size) == (100, 200, 400)
    assert (found.position, found.data_key) == ({"lsn": "17"}, {"$sealed": "x"})
    assert (found.datastore, found.version, found.engine) == ("mariadb", "11.8.3", "mariadb")
    assert found.taken_at is not None
    assert found.taken_at.isoformat() == "2026-11-18T11:06:40.500000"


@pytest.mark.parametrize(
    "lie",
    [
        {"data_size": -1},
        {"restored_size": 1 << 63},
        {"taken_at": float("nan")},
        {"taken_at": 1e300},
    ],
)
def test_what_a_guest_cannot_have_stored_is_refused(catalog: Catalog, lie: dict[str, Any]) -> None:
    backup_id = made(catalog, complete=False)
    stored = replace(STORED, **lie)
    with pytest.raises(errors.Failed, match="A backup cannot"):
        catalog.run(lambda unit: backups.complete(unit, backup_id, stored, "ff", ""))


def test_a_backup_is_none_of_another_project_s_business(catalog: Catalog) -> None:
    backup_id = made(catalog)
    with pytest.raises(errors.NotFound, match=backup_id):
        catalog.read(lambda unit: backups.show(unit, backup_id, "other"))
    with pytest.raises(errors.NotFound, match=backup_id):
        catalog.run(lambda unit: backups.lock(unit, backup_id, "other"))


def test_a_chain_begins_with_the_full_one(catalog: Catalog) -> None:
    full = made(catalog)
    middle = made(catalog, parent_id=full)
    last = made(catalog, parent_id=middle)
    made(catalog, parent_id=full)
    found = catalog.read(lambda unit: backups.chain(unit, last))
    assert [one.id for one in found] == [full, middle, last]
    assert [one.id for one in catalog.read(lambda unit: backups.chain(unit, full))] == [full]


def test_a_chain_of_which_a_part_is_being_deleted_cannot_be_restored(catalog: Catalog) -> None:
    full = made(catalog)
    last = made(catalog, parent_id=full)
    catalog.run(lambda unit: backups.deletion_asked(unit, [full], "op"))
    with pytest.raises(errors.Conflict, match=f"{full} is being deleted"):
        catalog.read(lambda unit: backups.chain(unit, last))
    with pytest.raises(errors.Conflict, match=f"{full} is being deleted"):
        catalog.run(lambda unit: backups.lock_parent(unit, full))
    with pytest.raises(errors.Conflict, match=f"{full} is being deleted"):
        catalog.run(lambda unit: backups.read_by(unit, [full, last], "op2"))


def test_a_backup_that_runs_cannot_be_restored(catalog: Catalog) -> None:
    running = made(catalog, complete=False)
    with pytest.raises(errors.Conflict, match=f"{running} is not complete: it is BUILDING"):
        catalog.read(lambda unit: backups.chain(unit, running))


def test_what_builds_on_a_backup_goes_before_it(catalog: Catalog) -> None:
    full = made(catalog)
    middle = made(catalog, parent_id=full)
    last = made(catalog, parent_id=middle)
    other = made(catalog, parent_id=full)
    locked = catalog.run(lambda unit: backups.lock_with_descendants(unit, full, "p"))
    ids = [one.id for one in locked]
    assert ids[0] == last
    assert set(ids[1:3]) == {middle, other}
    assert ids[3:] == [full]


def test_a_buried_backup_gives_back_what_it_took_once(catalog: Catalog) -> None:
    one = made(catalog, project_id="buried")
    catalog.run(lambda unit: quotas.charge(unit, "buried", {"backups": 1}, {"backups": 50}))
    catalog.run(lambda unit: backups.bury(unit, one))
    with pytest.raises(errors.NotFound):
        catalog.run(lambda unit: backups.bury(unit, one))
    found = shown(catalog, one)
    assert (found.status, found.data_key) == (BackupStatus.DELETED, None)
    used = catalog.read(
        lambda unit: quotas.show(unit, "buried", dict.fromkeys(quotas.RESOURCES, 9))
    )
    assert {quota.in_use for quota in used} == {0}


def test_what_is_read_is_known_until_its_reader_has_ended(catalog: Catalog) -> None:
    one, two = made(catalog), made(catalog)
    reader = operation(catalog)
    catalog.run(lambda unit: backups.read_by(unit, [two, one], reader))
    catalog.run(lambda unit: backups.read_by(unit, [two, one], reader))
    assert catalog.read(lambda unit: backups.readers(unit, [one])) == (reader,)
    ended(catalog, reader)
    assert catalog.read(lambda unit: backups.readers(unit, [one])) == ()
    for backup_id in (one, two):
        catalog.run(lambda unit, id_=backup_id: backups.bury(unit, id_))  # type: ignore[misc]
    left = tables.backup_readers.c.operation_id == reader
    assert not catalog.read(
        lambda unit: unit.execute(tables.backup_readers.select().where(left)).all()
    )


def test_an_operation_that_fails_takes_its_backups_along(catalog: Catalog) -> None:
    running = made(catalog, complete=False, operation_id="fails")
    complete = made(catalog, operation_id="fails")
    deleting = made(catalog)
    catalog.run(lambda unit: backups.deletion_asked(unit, [deleting], "fails"))
    catalog.run(lambda unit: backups.operation_ended(unit, "fails", "No."))
    assert shown(catalog, running).status is BackupStatus.FAILED
    assert shown(catalog, running).fault == "No."
    assert shown(catalog, complete).status is BackupStatus.COMPLETED
    assert shown(catalog, deleting).status is BackupStatus.DELETE_FAILED
    assert not shown(catalog, deleting).deleting


def test_a_failed_backup_whose_deletion_fails_failed_to_be_deleted(catalog: Catalog) -> None:
    one = made(catalog, complete=False)
    catalog.run(lambda unit: backups.failed(unit, one, "Lost."))
    catalog.run(lambda unit: backups.deletion_asked(unit, [one], "tries"))
    catalog.run(lambda unit: backups.operation_ended(unit, "tries", "No storage."))
    assert shown(catalog, one).status is BackupStatus.DELETE_FAILED


def test_what_failed_is_swept_once_nobody_can_write_it(catalog: Catalog) -> None:
    one = made(catalog, complete=False)
    catalog.run(lambda unit: backups.failed(unit, one, "Lost."))
    assert one not in unswept(catalog)
    grants_are_over(catalog, one)
    assert one in unswept(catalog)
    sweeper = operation(catalog)
    catalog.run(lambda unit: backups.in_hand(unit, one, sweeper))
    assert one not in unswept(catalog)
    ended(catalog, sweeper)
    assert one in unswept(catalog)
    catalog.run(lambda unit: backups.swept(unit, one))
    assert one not in unswept(catalog)


def test_what_could_not_be_swept_lets_others_have_their_turn(catalog: Catalog) -> None:
    one = made(catalog, complete=False)
    catalog.run(lambda unit: backups.failed(unit, one, "Lost."))
    grants_are_over(catalog, one)
    request = operations.Request("sweep_backup", "", "p", "u", "r", SweepBackup(one))
    sweeper = catalog.run(lambda unit: operations.accept(unit, request, SEALER))
    catalog.run(lambda unit: backups.in_hand(unit, one, sweeper))
    catalog.run(lambda unit: journal.end(unit, sweeper, State.FAILED, Fault("Forbidden", "No.")))
    assert one not in unswept(catalog)
    row = tables.operations.update().where(tables.operations.c.id == sweeper)
    catalog.run(lambda unit: unit.execute(row.values(finished_at="2020-01-01")))
    assert one in unswept(catalog)


def test_a_deletion_that_fails_beside_a_sweep_does_not_go_on_for_ever(catalog: Catalog) -> None:
    one = made(catalog, complete=False)
    catalog.run(lambda unit: backups.failed(unit, one, "Lost."))
    catalog.run(lambda unit: backups.deletion_asked(unit, [one], "deletes"))
    catalog.run(lambda unit: backups.in_hand(unit, one, "sweeps"))
    catalog.run(lambda unit: backups.operation_ended(unit, "deletes", "No."))
    assert not shown(catalog, one).deleting


def test_what_builds_on_one_that_goes_has_to_be_gone_first(catalog: Catalog) -> None:
    full = made(catalog)
    child = made(catalog, parent_id=full)
    asker = backup_orders.Asker("p", "u")
    catalog.run(lambda unit: backup_orders.delete(unit, child, asker, SEALER))
    with pytest.raises(errors.Busy, match=f"Backup {child}, which builds on it, is being deleted"):
        catalog.run(lambda unit: backup_orders.delete(unit, full, asker, SEALER))


def test_a_backup_that_could_not_be_tried_says_why(catalog: Catalog) -> None:
    tried, other = made(catalog), made(catalog)
    for one in (tried, other):
        catalog.run(lambda unit, id_=one: backups.verified(unit, id_, backups.TRYING))  # type: ignore[misc]
    request = operations.Request(
        "verify_backup", "", "p", "u", "r", DeleteBackups((tried,)), locks=(tried,)
    )
    trial = catalog.run(lambda unit: operations.accept(unit, request, SEALER))
    fault = Fault("Failed", "No host has room for it.")
    catalog.run(lambda unit: journal.end(unit, trial, State.FAILED, fault))
    assert shown(catalog, tried).verification == {
        "restorable": None,
        "message": "It could not be tried: No host has room for it.",
    }
    assert shown(catalog, other).verification == backups.TRYING


def test_the_audit_is_told_where_backups_are_and_who_is_at_them(catalog: Catalog) -> None:
    def kept() -> dict[str, Kept]:
        return {one.id: one for one in catalog.read(stored.backups)}

    one, never = made(catalog, complete=False), new()
    catalog.run(lambda unit: backups.add(unit, never))
    foreign = new(instance_id=None)
    known = Registration("AUTH_x", "old/o.xbstream.gz", "http://swift/old", 10, 20)
    catalog.run(lambda unit: backups.register(unit, foreign, known))
    place = (one, BackupStatus.BUILDING, "swift", "AUTH_p", "c", None)
    assert kept()[one] == Kept(*place, is_at_work=False, is_granted=True)
    assert not {never.id, foreign.id} & kept().keys()
    worker = operation(catalog)
    catalog.run(lambda unit: backups.in_hand(unit, one, worker))
    assert kept()[one].is_at_work
    ended(catalog, worker)
    grants_are_over(catalog, one)
    assert kept()[one] == Kept(*place, is_at_work=False, is_granted=False)


def test_a_grant_never_becomes_shorter(catalog: Catalog) -> None:
    one = made(catalog, complete=False)
    catalog.run(lambda unit: backups.grant_extended(unit, one, -3600))
    catalog.run(lambda unit: backups.failed(unit, one, "Lost."))
    assert one not in unswept(catalog)


def test_a_deleted_backup_is_swept_again_but_not_one_that_never_began(catalog: Catalog) -> None:
    deleted = made(catalog)
    grants_are_over(catalog, deleted)
    never = new()
    catalog.run(lambda unit: backups.add(unit, never))
    catalog.run(lambda unit: backups.failed(unit, never.id, "No."))
    foreign = new(instance_id=None)
    known = Registration("AUTH_x", "old/o.xbstream.gz", "http://swift/old", 10, 20)
    catalog.run(lambda unit: backups.register(unit, foreign, known))
    for backup_id in (deleted, foreign.id):
        catalog.run(lambda unit, id_=backup_id: backups.bury(unit, id_))  # type: ignore[misc]
    found = unswept(catalog)
    assert deleted in found
    assert never.id not in found
    assert foreign.id not in found


def test_the_last_complete_backup_is_the_one_to_build_on(catalog: Catalog) -> None:
    instance = "1" * 36
    made(catalog, instance_id=instance)
    newest = made(catalog, instance_id=instance)
    made(catalog, instance_id=instance, complete=False)
    gone = made(catalog, instance_id=instance)
    catalog.run(lambda unit: backups.deletion_asked(unit, [gone], "op"))
    found = catalog.read(lambda unit: backups.latest(unit, instance))
    assert found is not None
    assert found.id == newest
    assert catalog.read(lambda unit: backups.latest(unit, "nothing")) is None


def test_a_running_backup_shows_how_far_its_guest_is(catalog: Catalog) -> None:
    instance = "2" * 36
    said = '{"op7.1.do.1.0": {"done": 5, "total": 10, "rate": 2.5}, "op8.1.do.1.0": {}}'
    row = {"instance_id": instance, "boot": 1, "seq": 1, "service": "healthy", "progress": said}
    catalog.run(lambda unit: unit.execute(tables.guest_health.insert().values(row)))
    one = made(catalog, instance_id=instance, complete=False, operation_id="op7")
    progress = shown(catalog, one).progress
    assert progress is not None
    assert (progress.done, progress.total, progress.rate) == (5, 10, 2.5)
    catalog.run(lambda unit: backups.complete(unit, one, STORED, "ff", ""))
    assert shown(catalog, one).progress is None


@pytest.mark.parametrize("event", BackupEvent)
def test_a_deleted_backup_has_no_life(event: BackupEvent) -> None:
    with pytest.raises(errors.Busy):
        lives.after(BackupStatus.DELETED, event)


Page = Callable[[Unit], list[BackupRecord]]

PAGES: tuple[Page, ...] = (
    lambda one: backups.page(one, "big", 0, 21),
    lambda one: backups.page(one, "big", 40, 21),
    lambda one: backups.page(one, None, 0, 21),
    lambda one: backups.page(one, "big", 0, 21, instance_id="much"),
    lambda one: backups.page(one, None, 0, 21, instance_id="much"),
    lambda one: backups.page(one, "big", 0, 21, datastore_id="d"),
)


@pytest.mark.parametrize("page", PAGES)
def test_a_page_reads_its_own_rows_only_and_sorts_none(catalog: Catalog, page: Page) -> None:
    many(catalog)

    def work(one: Unit) -> tuple[int, int]:
        before = rows_read(one)
        return len(page(one)), rows_read(one) - before

    found, read = catalog.read(work)
    assert found == 21
    assert read < 400


def many(catalog: Catalog) -> None:
    if catalog.read(lambda unit: backups.count(unit, "big")):
        return
    rows = [
        {
            "id": f"many-{n:05}",
            "project_id": "big",
            "user_id": "u",
            "name": "n",
            "instance_id": "much" if n % 2 else "more",
            "datastore_version_id": "v",
            "status": "COMPLETED",
            "strategy": "s",
            "storage": "swift",
            "account": "a",
            "container": "c",
        }
        for n in range(2000)
    ]
    catalog.run(lambda unit: unit.execute(tables.backups.insert(), rows))
