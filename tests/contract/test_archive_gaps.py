"""A gap in an archive gets a full backup behind it: once, and without anybody's doing."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from dbaas.catalog import archive_bases, backup_orders, quotas, tables
from dbaas.catalog.moments import seconds_until
from dbaas.catalog.unit import Unit
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from tests import rehearsal
from tests.catalog_server import CatalogServer, catalog_at
from tests.chaos import backup_requests, requests
from tests.chaos.backup_requests import shown
from tests.contract.test_archive_flows import TAKEN, archived, recovery, says, streams
from tests.fakes.cloud import FakeCloud
from tests.rehearsal import Api, Rehearsal

Stage = tuple[Api, Rehearsal]
LATER = TAKEN + 5000
"""When backups are taken after the gap."""


@pytest.fixture
def url(catalog_server: CatalogServer) -> str:
    return catalog_server.fresh()


@pytest.fixture
def stage(url: str, tmp_path: Path) -> Iterator[Stage]:
    with rehearsal.rehearsing(url, tmp_path, FakeCloud()) as made:
        yield made


@pytest.fixture
def instance(stage: Stage) -> str:
    return requests.create_instance(stage[0])


@pytest.fixture
def base(stage: Stage, instance: str) -> str:
    """The backup that the archive went on from, before it broke."""
    api, rehearsed = stage
    backup = archived(api, rehearsed, instance)
    broken(rehearsed, instance)
    return backup


def broken(rehearsed: Rehearsal, instance: str) -> None:
    """Have the stream end, and another one go on from 4000 seconds after the first backup."""
    says(rehearsed, instance, sequence=900, since=TAKEN - 60, until=TAKEN + 3600, ended=True)
    rehearsed.carry_archives_on()
    rehearsed.guests.vault.taken_at = LATER
    says(rehearsed, instance, sequence=3, since=TAKEN + 4000, until=TAKEN + 6000)


def new_ones(api: Api, instance: str, *before: str) -> list[dict[str, Any]]:
    ids = backup_requests.of_instance(api, instance)
    return [shown(api, id_) for id_ in ids if id_ not in before]


def status(rehearsed: Rehearsal, instance: str, value: str) -> None:
    table = tables.instances
    change = update(table).where(table.c.id == instance).values(status=value)
    rehearsed.catalog.run(lambda one: one.execute(change))


def test_a_gap_gets_a_full_backup_and_one_only(stage: Stage, instance: str, base: str) -> None:
    api, rehearsed = stage
    assert rehearsed.back_up_after_gaps() == []
    (made,) = new_ones(api, instance, base)
    assert made["name"].endswith("-after-gap")
    assert (made["status"], made["parent_id"]) == ("COMPLETED", None)
    assert recovery(api, instance)["latest"] == "2001-09-09T03:26:40"
    rehearsed.back_up_after_gaps()
    backup_requests.delete_backup(api, made["id"])
    rehearsed.back_up_after_gaps()
    assert new_ones(api, instance, base) == []


def test_a_backup_that_somebody_takes_after_it_is_enough(
    stage: Stage, instance: str, base: str
) -> None:
    api, rehearsed = stage
    own = backup_requests.create_backup(api, instance)
    rehearsed.back_up_after_gaps()
    assert new_ones(api, instance, base, own) == []


def test_one_that_broke_again_before_there_was_one_gets_it(
    stage: Stage, instance: str, base: str
) -> None:
    api, rehearsed = stage
    broken(rehearsed, instance)
    assert len(streams(rehearsed, instance)) == 3
    rehearsed.back_up_after_gaps()
    assert len(new_ones(api, instance, base)) == 1


def test_nothing_is_taken_where_nothing_could_be_restored(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    requests.set_archiving(api, instance)
    broken(rehearsed, instance)
    rehearsed.back_up_after_gaps()
    assert new_ones(api, instance) == []


def test_who_switches_it_off_and_on_takes_his_own(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    backup = archived(api, rehearsed, instance)
    off = {"archive": {"enabled": False}}
    api.request("POST", f"instances/{instance}/action", off)
    requests.set_archiving(api, instance)
    says(rehearsed, instance, sequence=3, since=TAKEN + 4000, until=TAKEN + 6000)
    rehearsed.back_up_after_gaps()
    assert new_ones(api, instance, backup) == []


def test_nothing_is_taken_before_the_new_stream_is_known_to_go_on(
    stage: Stage, instance: str, base: str
) -> None:
    api, rehearsed = stage
    says(rehearsed, instance)
    rehearsed.back_up_after_gaps()
    assert new_ones(api, instance, base) == []
    says(rehearsed, instance, since=TAKEN + 4000, until=TAKEN + 6000)
    rehearsed.back_up_after_gaps()
    assert len(new_ones(api, instance, base)) == 1


def test_a_busy_instance_is_waited_for_and_told_of_once(
    stage: Stage, instance: str, base: str
) -> None:
    api, rehearsed = stage
    status(rehearsed, instance, "RESIZING")
    (delay,) = rehearsed.back_up_after_gaps()
    assert "RESIZING" in delay.why
    assert rehearsed.back_up_after_gaps() == []
    status(rehearsed, instance, "ACTIVE")
    rehearsed.back_up_after_gaps()
    assert len(new_ones(api, instance, base)) == 1


def test_an_exceeded_quota_is_waited_for_and_told_of_once(
    stage: Stage, instance: str, base: str
) -> None:
    api, rehearsed = stage
    (delay,) = rehearsed.back_up_after_gaps(backups=1)
    assert "Quota exceeded" in delay.why
    assert rehearsed.back_up_after_gaps(backups=1) == []
    rehearsed.back_up_after_gaps(backups=2)
    assert len(new_ones(api, instance, base)) == 1


def test_one_that_failed_is_tried_again_an_hour_later(
    stage: Stage, instance: str, base: str
) -> None:
    api, rehearsed = stage
    rehearsed.guests.fails["take_backup"] = errors.Failed("the engine gave up")
    rehearsed.back_up_after_gaps()

    def due_in(one: Unit) -> float:
        table = tables.archives
        due = select(seconds_until(table.c.base_due_at)).where(table.c.ended_at.is_(None))
        return float(one.scalar(due) or 0.0)

    assert 3500 < rehearsed.catalog.read(due_in) <= 3600
    rehearsed.back_up_after_gaps()
    assert sorted(one["status"] for one in new_ones(api, instance, base)) == ["COMPLETED", "FAILED"]


def test_those_that_fail_again_and_again_do_not_use_the_quota_up(
    stage: Stage, instance: str, base: str
) -> None:
    api, rehearsed = stage
    for _ in range(5):
        rehearsed.guests.fails["take_backup"] = errors.Failed("the engine gave up")
        rehearsed.back_up_after_gaps(backups=4)
    assert [one["status"] for one in new_ones(api, instance, base)] == ["FAILED", "FAILED"]
    rehearsed.back_up_after_gaps(backups=4)
    assert sorted(one["status"] for one in new_ones(api, instance, base)) == ["COMPLETED", "FAILED"]


def test_three_task_managers_at_once_take_one(
    stage: Stage, instance: str, base: str, url: str
) -> None:
    unlimited = dict.fromkeys(quotas.RESOURCES, quotas.UNLIMITED)
    means = backup_orders.Means(Sealer(bytes(32)), unlimited, ("local",), "backups")
    catalogs = [catalog_at(url) for _ in range(3)]
    start = threading.Barrier(len(catalogs))

    def work(number: int) -> None:
        start.wait()
        for _ in range(5):
            catalogs[number].run(lambda one: archive_bases.take(one, means))

    threads = [threading.Thread(target=work, args=(n,)) for n in range(len(catalogs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for catalog in catalogs:
        catalog.close()
    made = select(func.count()).select_from(tables.backups).where(tables.backups.c.id != base)
    assert stage[1].catalog.read(lambda one: one.scalar(made)) == 1
