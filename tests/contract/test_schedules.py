"""Schedules whose time has come at once, before three task managers: each runs once."""

import threading
import time
import uuid
from collections.abc import Iterator

import pytest
from sqlalchemy import func, insert, select, update

from dbaas.catalog import backup_orders, datastores, quotas, schedules, tables
from dbaas.catalog.moments import NOW, later
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common.killpoints import Side, nothing
from dbaas.common.sealing import Sealer
from dbaas.taskmanager.clock import Clock
from tests.catalog_server import CatalogServer, catalog_at
from tests.outcomes import Part, Tell

MANY = 1000
TASK_MANAGERS = 3
PATIENCE = 120.0
PROJECT = "p1"

_instances, _schedules, _backups = tables.instances, tables.backup_schedules, tables.backups
_operations = tables.operations


class Death(BaseException):
    """The process dies here."""


@pytest.fixture
def url(catalog_server: CatalogServer) -> str:
    return catalog_server.fresh()


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    made = catalog_at(url)
    yield made
    made.close()


@pytest.fixture
def means() -> backup_orders.Means:
    unlimited = dict.fromkeys(quotas.RESOURCES, quotas.UNLIMITED)
    return backup_orders.Means(Sealer(bytes(32)), unlimited, ("local",), "backups")


def have(catalog: Catalog, count: int, **more: object) -> None:
    """Have so many active instances, each with a schedule whose time came just now."""

    def work(unit: Unit) -> None:
        datastores.register(unit, "mariadb", "11.8", "11.8.2", "mariadb", "")
        version = unit.scalar(select(tables.datastore_versions.c.id))
        ids = [str(uuid.uuid4()) for _ in range(count)]
        unit.execute(
            insert(_instances),
            [
                {
                    "id": id_,
                    "project_id": PROJECT,
                    "user_id": "u1",
                    "name": "one",
                    "status": "ACTIVE",
                    "datastore_version_id": version,
                    "flavor_id": "1",
                    "flavor_ram_mib": 512,
                    "ram_charged_mib": 512,
                    "volume_gib": 1,
                    "volume_charged_gib": 1,
                    "access": "{}",
                    "addresses": "[]",
                }
                for id_ in ids
            ],
        )
        unit.execute(
            insert(tables.guest_health),
            [
                {"instance_id": id_, "boot": 1, "seq": 1, "service": "healthy", "progress": "{}"}
                for id_ in ids
            ],
        )
        unit.execute(
            insert(_schedules),
            [
                {
                    "id": str(uuid.uuid4()),
                    "project_id": PROJECT,
                    "user_id": "u1",
                    "instance_id": id_,
                    "name": "nightly",
                    "cron": "0 3 * * *",
                    "timezone": "UTC",
                    "enabled": True,
                    **more,
                }
                for id_ in ids
            ],
        )
        unit.execute(update(_schedules).values(next_run_at=NOW, try_at=NOW))

    catalog.run(work)


def have_backups(unit: Unit, created_at: object, **more: object) -> None:
    """Have a complete full backup of each schedule, begun at that moment."""
    version = unit.scalar(select(tables.datastore_versions.c.id))
    rows = unit.execute(select(_schedules.c.id, _schedules.c.instance_id)).all()
    for row in rows:
        values = {
            "id": str(uuid.uuid4()),
            "project_id": PROJECT,
            "user_id": "u1",
            "name": "nightly",
            "instance_id": row.instance_id,
            "datastore_version_id": version,
            "status": "COMPLETED",
            "strategy": "mariabackup",
            "storage": "local",
            "account": "",
            "container": "backups",
            "schedule_id": row.id,
            "created_at": created_at,
            **more,
        }
        unit.execute(insert(_backups).values(values))


def numbers(catalog: Catalog) -> tuple[int, int, int]:
    """Return how many backups and operations there are, and schedules that are due."""

    def count(unit: Unit) -> tuple[int, int, int]:
        due = select(func.count()).select_from(_schedules).where(_schedules.c.try_at <= NOW)
        return (
            unit.scalar(select(func.count()).select_from(_backups)) or 0,
            unit.scalar(select(func.count()).select_from(_operations)) or 0,
            unit.scalar(due) or 0,
        )

    return catalog.read(count)


def test_a_thousand_schedules_of_one_minute_run_once_each(
    url: str, catalog: Catalog, means: backup_orders.Means, tell: Tell
) -> None:
    have(catalog, MANY)
    catalogs = [catalog_at(url) for _ in range(TASK_MANAGERS)]
    woken: list[str] = []
    clocks = [Clock(one, means, woken.append, nothing) for one in catalogs]
    began = time.monotonic()
    for clock in clocks:
        clock.start()
    while numbers(catalog)[2]:
        assert time.monotonic() - began < PATIENCE, numbers(catalog)
        time.sleep(0.1)
    seconds = time.monotonic() - began
    for clock in clocks:
        clock.stop()
    for one in catalogs:
        one.close()
    assert numbers(catalog) == (MANY, MANY, 0)
    assert len(woken) == len(set(woken)) == MANY
    each = catalog.read(
        lambda unit: unit.execute(
            select(_backups.c.instance_id, func.count()).group_by(_backups.c.instance_id)
        ).all()
    )
    assert {count for _, count in each} == {1}
    tell(
        Part.BACKUPS,
        f"{MANY} schedules are due at once before {TASK_MANAGERS} task managers",
        "each runs once",
        seconds,
    )


@pytest.mark.parametrize("at", ["begin", "insert", "update", "commit", "wake"])
def test_a_run_is_had_once_whoever_dies_over_it(
    catalog: Catalog, means: backup_orders.Means, at: str
) -> None:
    have(catalog, 1)
    died = threading.Event()

    def reached(_kind: str, step: str, _side: Side) -> None:
        if at in step and not died.is_set():
            died.set()
            raise Death

    clock = Clock(catalog, means, lambda _operation: None, reached)
    with pytest.raises(Death):
        clock.do_one()
    while clock.do_one():
        pass
    assert numbers(catalog) == (1, 1, 0)


def test_a_busy_instance_is_tried_again_and_given_up_when_the_next_run_comes(
    catalog: Catalog, means: backup_orders.Means
) -> None:
    have(catalog, 1)
    catalog.run(lambda unit: unit.execute(update(_instances).values(status="RESIZING")))
    clock = Clock(catalog, means, lambda _operation: None, nothing)
    clock.do_one()

    def row(unit: Unit) -> object:
        return unit.execute(select(_schedules)).one()

    put_off = catalog.read(row)
    assert "RESIZING" in put_off.last_fault  # type: ignore[attr-defined] # a row
    assert put_off.try_at > put_off.next_run_at  # type: ignore[attr-defined] # a row
    catalog.run(lambda unit: unit.execute(update(_schedules).values(cron="* * * * *", try_at=NOW)))
    clock.do_one()
    given_up = catalog.read(row)
    assert given_up.last_fault.startswith("The run was given up")  # type: ignore[attr-defined] # a row
    assert given_up.next_run_at == given_up.try_at  # type: ignore[attr-defined] # a row
    assert numbers(catalog)[0] == 0


def test_one_whose_time_zone_is_not_known_here_keeps_no_other_from_its_run(
    catalog: Catalog, means: backup_orders.Means
) -> None:
    have(catalog, 2)
    earlier = {"timezone": "Mars/Olympus", "try_at": later(-60.0)}
    catalog.run(
        lambda unit: unit.execute(
            update(_schedules).with_dialect_options(mysql_limit=1).values(earlier)
        )
    )
    clock = Clock(catalog, means, lambda _operation: None, nothing)
    while clock.do_one():
        pass
    assert numbers(catalog) == (1, 1, 0)
    faults = catalog.read(lambda unit: set(unit.scalars(select(_schedules.c.last_fault))))
    assert faults == {None, "A host of the service does not know the time zone Mars/Olympus."}


def test_missed_runs_are_caught_up_once(catalog: Catalog, means: backup_orders.Means) -> None:
    have(catalog, 1, cron="*/5 * * * *")
    missed = later(-86400.0)
    catalog.run(
        lambda unit: unit.execute(update(_schedules).values(next_run_at=missed, try_at=missed))
    )
    clock = Clock(catalog, means, lambda _operation: None, nothing)
    while clock.do_one():
        pass
    assert numbers(catalog) == (1, 1, 0)


@pytest.mark.parametrize("failed", [False, True])
def test_a_full_backup_that_failed_is_had_at_the_next_run(
    catalog: Catalog, means: backup_orders.Means, failed: bool
) -> None:
    have(catalog, 1, full_cron="0 0 1 1 *")
    catalog.run(lambda unit: have_backups(unit, "2024-06-01"))
    status = "FAILED" if failed else "COMPLETED"
    catalog.run(lambda unit: have_backups(unit, later(-1.0), status=status))
    Clock(catalog, means, lambda _operation: None, nothing).do_one()
    made = select(_backups.c.parent_id).where(_backups.c.status == "NEW")
    (parent,) = catalog.read(lambda unit: unit.scalars(made).all())
    assert (parent is None) is failed


def test_a_schedule_ends_with_its_instance(catalog: Catalog, means: backup_orders.Means) -> None:
    have(catalog, 1)
    catalog.run(lambda unit: unit.execute(update(_instances).values(deleted_at=NOW)))
    Clock(catalog, means, lambda _operation: None, nothing).do_one()
    found = catalog.read(lambda unit: schedules.page(unit, PROJECT, "", 10))
    assert found == []


def test_what_is_kept_is_looked_at_for_some_schedules_at_once_and_all_in_turn(
    catalog: Catalog, means: backup_orders.Means, monkeypatch: pytest.MonkeyPatch
) -> None:
    have(catalog, 5, keep_count=1)
    monkeypatch.setattr(schedules, "BATCH", 2)

    def going(unit: Unit) -> int:
        deleting = select(func.count()).select_from(_backups).where(_backups.c.deleting)
        return unit.scalar(deleting) or 0

    for number in range(2):
        catalog.run(lambda unit, day=number + 1: have_backups(unit, f"2026-01-0{day}"))  # type: ignore[misc]
    found = []
    for _ in range(4):
        catalog.run(lambda unit: schedules.keep_rules(unit, means.sealer))
        found.append(catalog.read(going))
    assert found == [2, 4, 5, 5]
