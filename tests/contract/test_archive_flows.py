"""What becomes of archives, through the real application, flows and catalog, over fakes."""

from collections.abc import Iterator, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select, update

from dbaas.catalog import archive_orders, archives, guests, tables
from dbaas.catalog import instances as catalog_instances
from dbaas.catalog.archives import Due
from dbaas.catalog.moments import later
from dbaas.catalog.records import Heartbeat
from dbaas.catalog.unit import Unit
from dbaas.common import killpoints
from dbaas.common.killpoints import Side
from dbaas.contract import errors
from dbaas.contract.messages import ArchiveReport, Health, ServiceStatus
from tests import rehearsal
from tests.catalog_server import CatalogServer
from tests.chaos import backup_requests, requests
from tests.fakes.cloud import FakeCloud
from tests.rehearsal import Answer, Api, Rehearsal

Stage = tuple[Api, Rehearsal]
TAKEN = 1e9
"""When the fake's backups are taken: 2001-09-09T01:46:40Z."""


@pytest.fixture
def stage(catalog_server: CatalogServer, tmp_path: Path) -> Iterator[Stage]:
    with rehearsal.rehearsing(catalog_server.fresh(), tmp_path, FakeCloud()) as made:
        yield made


@pytest.fixture
def instance(stage: Stage) -> str:
    return requests.create_instance(stage[0])


def says(rehearsed: Rehearsal, instance: str, **report: Any) -> None:
    """Have the guest say how far its archive is."""
    order = rehearsed.guests.orders[-1]
    beats(rehearsed, instance, ArchiveReport(order["stream"], **report))


def beats(rehearsed: Rehearsal, instance: str, said: ArchiveReport | None) -> None:
    health = Health(ServiceStatus.HEALTHY, archive=said)
    beats.number += 1  # type: ignore[attr-defined] # a counter
    beat = Heartbeat(1 << 40, beats.number, health)  # type: ignore[attr-defined] # as above
    rehearsed.catalog.run(lambda one: guests.fold(one, {instance: beat}))


beats.number = 0  # type: ignore[attr-defined] # as above


def streams(rehearsed: Rehearsal, instance: str) -> Any:
    return rehearsed.catalog.read(lambda one: archives.of_instance(one, instance))


def recovery(api: Api, instance: str) -> Any:
    return api.request("GET", f"instances/{instance}/recovery").body["recovery"]


def restore(api: Api, **point: str) -> Answer:
    body = requests.order("back") | {"restorePoint": point, "databases": [], "users": []}
    return api.request("POST", "instances", {"instance": body})


def archived(api: Api, rehearsed: Rehearsal, instance: str) -> str:
    """Have a backup with an archive of an hour after it; return the backup's id."""
    requests.set_archiving(api, instance)
    says(rehearsed, instance, sequence=7, since=TAKEN - 60, until=TAKEN - 1)
    backup = backup_requests.create_backup(api, instance)
    says(rehearsed, instance, sequence=900, since=TAKEN - 60, until=TAKEN + 3600.5)
    (stream,) = streams(rehearsed, instance)
    for number in range(1, 901):
        place = f"{stream.account}/{stream.container}/log-{instance}/{stream.id}/{number:010d}"
        rehearsed.guests.vault.objects[place] = b"-"
    return backup


def test_an_instance_is_restored_to_a_moment(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    backup = archived(api, rehearsed, instance)
    known = recovery(api, instance)
    assert known["archiving"] is True
    assert (known["earliest"], known["latest"]) == ("2001-09-09T01:46:40", "2001-09-09T02:46:40")
    answer = restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z")
    assert answer.status == HTTPStatus.OK, answer.body
    order = rehearsed.guests.orders[-1]
    assert order["parts"][0]["backup"] == backup
    replay = order["replay"]
    assert replay["until"] == TAKEN + 800
    assert replay["runs"] == ["7-900"]  # from the last object that was there when it began
    assert replay["begin"] == "binlog.000001:4711"
    assert restore(api, backupRef=backup, time="2001-09-09T02:00:00").status == HTTPStatus.OK
    assert rehearsed.guests.orders[-1]["replay"]["until"] == TAKEN + 800


@pytest.mark.parametrize(
    ("time", "told"),
    [
        ("2001-09-09T02:46:41Z", "from 2001-09-09T01:46:40Z to 2001-09-09T02:46:40Z"),
        ("2001-09-09T01:46:39Z", "from 2001-09-09T01:46:40Z to 2001-09-09T02:46:40Z"),
        ("yesterday", "must be a moment, as 2026-11-20T10:15:03Z"),
        ("0001-01-01T00:00:00+01:00", "must be a moment"),
        ("9999-12-31T23:59:59.999999Z", "must be a moment"),
    ],
)
def test_a_moment_that_cannot_be_gone_back_to_is_refused(
    stage: Stage, instance: str, time: str, told: str
) -> None:
    api, rehearsed = stage
    archived(api, rehearsed, instance)
    answer = restore(api, instanceRef=instance, time=time)
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert told in answer.body["badRequest"]["message"]


def test_without_an_archive_it_is_said_what_is_missing(stage: Stage, instance: str) -> None:
    api, _ = stage
    assert recovery(api, instance)["archiving"] is False
    answer = restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z")
    assert answer.status == HTTPStatus.BAD_REQUEST
    assert "takes an archive that is on" in answer.body["badRequest"]["message"]


def test_what_a_guest_said_counts_while_it_does_not_know_how_far_it_is(
    stage: Stage, instance: str
) -> None:
    api, rehearsed = stage
    requests.set_archiving(api, instance)
    rehearsed.carry_archives_on()
    says(rehearsed, instance, sequence=7, since=1.0, until=9.0, wants=8)
    beats(rehearsed, instance, None)
    (stream,) = streams(rehearsed, instance)
    assert (stream.report.sequence, stream.report.until) == (7, 9.0)
    rehearsed.carry_archives_on()  # what it wants is not known
    assert len(rehearsed.guests.orders) == 1


def test_a_guest_that_wants_leave_gets_it_and_a_broken_stream_a_successor(
    stage: Stage, instance: str
) -> None:
    api, rehearsed = stage
    requests.set_archiving(api, instance)
    rehearsed.carry_archives_on()
    assert len(rehearsed.guests.orders) == 1
    says(rehearsed, instance, sequence=7, since=1.0, until=9.0, wants=8)
    rehearsed.carry_archives_on()
    assert [order["stream"] for order in rehearsed.guests.orders] == [
        rehearsed.guests.orders[0]["stream"]
    ] * 2
    says(rehearsed, instance, sequence=7, since=1.0, until=9.0, ended=True, fault="it is full")
    assert recovery(api, instance)["alarm"] is True
    rehearsed.carry_archives_on()
    old, new = streams(rehearsed, instance)
    assert (old.live, new.live) == (False, True)
    assert old.report.until == 9.0
    assert rehearsed.guests.orders[-1]["stream"] == new.id


def test_an_archive_that_is_switched_off_while_it_is_carried_on_stays_off(
    stage: Stage, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, rehearsed = stage
    requests.set_archiving(api, instance)
    says(rehearsed, instance, sequence=7, since=1.0, until=9.0, wants=8)

    look = archives.wanting

    def look_and_come_late(unit: Unit, margin: float, limit: int) -> Sequence[Due]:
        monkeypatch.undo()
        found = look(unit, margin, limit)
        body = {"archive": {"enabled": False}}
        answer = api.request("POST", f"instances/{instance}/action", body)
        assert answer.status == HTTPStatus.ACCEPTED
        return found

    monkeypatch.setattr(archives, "wanting", look_and_come_late)
    rehearsed.carry_archives_on()
    assert [stream.live for stream in streams(rehearsed, instance)] == [False]
    assert rehearsed.guests.orders[-1]["stream"] == ""


def test_leave_to_go_on_does_not_wait_for_a_compaction(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    archived(api, rehearsed, instance)

    def reached(kind: str, step: str, side: Side) -> None:
        if (kind, step, side) == ("compact_archive", "delete_merged_objects", Side.BEFORE_INTENT):
            rehearsed.reached = killpoints.nothing
            says(rehearsed, instance, sequence=900, since=TAKEN - 60, until=TAKEN, wants=901)
            rehearsed.ask_for_archives()
            rehearsed.ask_for_archives()

    rehearsed.reached = reached
    rehearsed.compact_archives()
    assert len(rehearsed.guests.orders) == 2


def test_instances_of_some_versions_are_archived_unasked_until_it_is_switched_off(
    stage: Stage, instance: str
) -> None:
    api, rehearsed = stage
    rehearsed.guests.orders.append({"stream": ""})
    says(rehearsed, instance)
    rehearsed.carry_archives_on("postgresql")
    assert streams(rehearsed, instance) == ()
    rehearsed.carry_archives_on("mariadb/11.8")
    assert [stream.live for stream in streams(rehearsed, instance)] == [True]
    body = {"archive": {"enabled": False}}
    assert api.request("POST", f"instances/{instance}/action", body).status == HTTPStatus.ACCEPTED
    rehearsed.carry_archives_on("mariadb/11.8")
    assert [stream.live for stream in streams(rehearsed, instance)] == [False]
    assert rehearsed.guests.orders[-1]["stream"] == ""


def test_an_archive_stays_as_long_as_a_backup_needs_it(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    backup = archived(api, rehearsed, instance)
    known = recovery(api, instance)["windows"]
    requests.delete_instance(api, instance)
    rehearsed.sweep()
    gone = recovery(api, instance)
    assert (gone["windows"], gone["archiving"]) == (known, False)
    answer = restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z")
    assert answer.status == HTTPStatus.OK, answer.body
    backup_requests.delete_backup(api, backup)
    rehearsed.sweep()
    assert streams(rehearsed, instance) == ()
    assert not [path for path in rehearsed.guests.vault.objects if "log-" in path]


def left(rehearsed: Rehearsal) -> list[str]:
    """Return the names of all objects of archives."""
    paths = sorted(path for path in rehearsed.guests.vault.objects if "log-" in path)
    return [path.rpartition("/")[2] for path in paths]


def lose(rehearsed: Rehearsal, number: int) -> None:
    (path,) = [path for path in rehearsed.guests.vault.objects if path.endswith(f"/{number:010d}")]
    del rehearsed.guests.vault.objects[path]


def test_what_was_stored_before_the_oldest_backup_goes(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    backup = archived(api, rehearsed, instance)
    known = recovery(api, instance)
    rehearsed.prune_archives()
    assert (len(left(rehearsed)), left(rehearsed)[0]) == (894, "0000000007")
    assert recovery(api, instance) == known
    assert restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z").status == HTTPStatus.OK
    assert rehearsed.guests.orders[-1]["replay"]["runs"] == ["7-900"]
    rehearsed.compact_archives()
    assert left(rehearsed) == ["0000000007-0000000506", "0000000507-0000000900"]
    backup_requests.create_backup(api, instance)
    rehearsed.prune_archives()
    assert len(left(rehearsed)) == 2
    backup_requests.delete_backup(api, backup)
    rehearsed.prune_archives()
    assert left(rehearsed) == ["0000000507-0000000900"]
    assert restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z").status == HTTPStatus.OK
    assert rehearsed.guests.orders[-1]["replay"]["runs"] == ["=507-900"]


def test_without_a_backup_no_more_stays_than_the_next_one_needs(
    stage: Stage, instance: str
) -> None:
    api, rehearsed = stage
    backup_requests.delete_backup(api, archived(api, rehearsed, instance))
    rehearsed.prune_archives()
    assert left(rehearsed) == ["0000000900"]
    says(rehearsed, instance)  # as an agent does that has just begun
    backup_requests.create_backup(api, instance)
    says(rehearsed, instance, sequence=900, since=TAKEN - 60, until=TAKEN + 3600.5)
    rehearsed.prune_archives()
    assert restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z").status == HTTPStatus.OK
    assert rehearsed.guests.orders[-1]["replay"]["runs"] == ["900-900"]


@pytest.mark.parametrize(
    ("reached", "stays"), [(None, 900), ("another", 900), ("this", 891)], ids=str
)
def test_a_backup_that_is_being_made_keeps_what_it_may_need(
    stage: Stage, instance: str, reached: str | None, stays: int
) -> None:
    api, rehearsed = stage
    backup = archived(api, rehearsed, instance)
    (stream,) = streams(rehearsed, instance)
    marked = {
        "status": "BUILDING",
        "taken_at": None,
        "archive_stream": stream.id if reached == "this" else reached,
        "archive_sequence": 10,
    }
    table = tables.backups
    rehearsed.catalog.run(
        lambda one: one.execute(update(table).where(table.c.id == backup).values(**marked))
    )
    rehearsed.prune_archives()
    assert len(left(rehearsed)) == stays


def test_nothing_goes_while_somebody_restores(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    archived(api, rehearsed, instance)
    seen = []

    def reached(kind: str, step: str, side: Side) -> None:
        if (kind, step, side) == ("restore_instance", "open_backups", Side.AFTER_RECORD):
            rehearsed.reached = killpoints.nothing
            rehearsed.ask_for_pruning()
            seen.append(streams(rehearsed, instance)[0].needed_from)

    rehearsed.reached = reached
    restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z")
    assert (seen, len(left(rehearsed))) == ([1], 900)
    rehearsed.prune_archives()
    assert len(left(rehearsed)) == 894


def test_an_object_that_is_missing_where_it_is_needed_is_named(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    archived(api, rehearsed, instance)
    rehearsed.prune_archives()
    lose(rehearsed, 450)
    answer = restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z")
    made = api.request("GET", f"instances/{answer.body['instance']['id']}").body["instance"]
    assert "object 0000000450 of the archive is missing" in made["fault"]["message"]


def test_a_stream_that_ended_goes_with_its_last_backup(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    backup = archived(api, rehearsed, instance)
    says(rehearsed, instance, sequence=900, since=TAKEN - 60, until=TAKEN + 3600.5, ended=True)
    rehearsed.carry_archives_on()
    says(rehearsed, instance, sequence=5, since=TAKEN + 4000, until=TAKEN + 7200)
    rehearsed.guests.vault.taken_at = TAKEN + 5000
    later = backup_requests.create_backup(api, instance)
    rehearsed.sweep()
    assert left(rehearsed)[0] == "0000000007"
    known = streams(rehearsed, instance)
    assert [stream.needed_from for stream in known] == [7, 5]
    backup_requests.delete_backup(api, backup)
    rehearsed.sweep()
    assert [stream.live for stream in streams(rehearsed, instance)] == [True]
    assert left(rehearsed) == []
    backup_requests.delete_backup(api, later)


def test_a_failed_removal_is_tried_again(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    archived(api, rehearsed, instance)
    vault = rehearsed.guests.vault

    def refuse(verb: str) -> None:
        if verb == "remove":
            raise errors.Failed("the storage refuses it")

    vault.fails = refuse
    rehearsed.prune_archives()
    assert len(left(rehearsed)) == 900
    vault.fails = lambda _verb: None
    rehearsed.prune_archives()
    assert len(left(rehearsed)) == 894


def test_an_archive_is_compacted_and_restored_all_the_same(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    archived(api, rehearsed, instance)
    rehearsed.compact_archives()
    names = [path.rpartition("/")[2] for path in rehearsed.guests.vault.objects if "log-" in path]
    assert names == ["0000000001-0000000500", "0000000501-0000000900"]
    assert restore(api, instanceRef=instance, time="2001-09-09T02:00:00Z").status == HTTPStatus.OK
    replay = rehearsed.guests.orders[-1]["replay"]
    assert replay["runs"] == ["=1-500", "=501-900"]
    rehearsed.compact_archives()
    assert rehearsed.guests.asked.count("merge_archive") == 2


@pytest.mark.parametrize("harm", ["cut", "refused"])
def test_nothing_goes_of_an_archive_that_could_not_be_merged(
    stage: Stage, instance: str, harm: str
) -> None:
    api, rehearsed = stage
    archived(api, rehearsed, instance)
    vault = rehearsed.guests.vault

    def spoil(verb: str) -> None:
        for path in [path for path in vault.objects if verb == "listing" and "-00000" in path]:
            vault.objects[path] = vault.objects[path][:-1]

    if harm == "cut":
        vault.fails = spoil
    else:
        rehearsed.guests.fails["merge_archive"] = errors.Failed("object 0000000003 is damaged")
    rehearsed.compact_archives()
    singles = [path for path in vault.objects if path.rpartition("/")[2].isdecimal()]
    assert len([path for path in singles if "log-" in path]) == 900


def test_an_archive_with_more_to_merge_is_due_again_soon(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    archived(api, rehearsed, instance)
    (stream,) = streams(rehearsed, instance)
    for number in range(901, 2601):
        place = f"{stream.account}/{stream.container}/log-{instance}/{stream.id}/{number:010d}"
        rehearsed.guests.vault.objects[place] = b"-"
    says(rehearsed, instance, sequence=2600, since=TAKEN - 60, until=TAKEN + 3600.5)
    rehearsed.compact_archives()
    assert len(left(rehearsed)) == 604  # of six rows, four were merged
    rehearsed.ask_for_compaction()
    rehearsed.wake("")
    assert len(left(rehearsed)) == 6
    rehearsed.ask_for_compaction()
    assert rehearsed.guests.asked.count("merge_archive") == 6


def test_one_that_cannot_be_compacted_keeps_no_other_from_it(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, rehearsed = stage
    monkeypatch.setattr(archive_orders, "BATCH", 1)
    instances = {requests.create_instance(api, f"one-{n}") for n in range(3)}
    for instance in instances:
        archived(api, rehearsed, instance)
    rehearsed.pass_an_hour()
    for _ in instances:
        rehearsed.guests.fails["merge_archive"] = errors.Failed("object 0000000003 is damaged")
        rehearsed.ask_for_compaction()
        rehearsed.wake("")
    listed = api.request("GET", "operations?limit=100").body["operations"]
    tried = [one["instance_id"] for one in listed if one["kind"] == "compact_archive"]
    assert sorted(tried) == sorted(instances)


def test_an_instance_that_was_deleted_meanwhile_gets_no_archive(
    stage: Stage, instance: str
) -> None:
    api, rehearsed = stage

    def delete(verb: str) -> None:
        if verb == "ensure":
            rehearsed.guests.vault.fails = lambda _verb: None
            rehearsed.catalog.run(lambda one: catalog_instances.bury_scratch(one, instance))

    rehearsed.guests.vault.fails = delete
    requests.set_archiving(api, instance)
    assert streams(rehearsed, instance) == ()
    listed = api.request("GET", "operations").body["operations"]
    assert listed[0]["state"] == "failed"


def test_what_was_asked_for_last_is_done_last(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    requests.set_archiving(api, instance)
    carry_on, rehearsed.wake = rehearsed.wake, lambda _operation_id: None  # type: ignore[method-assign] # for a while
    for enabled in (False, True):
        body = {"archive": {"enabled": enabled}}
        answer = api.request("POST", f"instances/{instance}/action", body)
        assert answer.status == HTTPStatus.ACCEPTED
    table = tables.operations
    first = select(func.min(table.c.created_at)).where(table.c.state == "runnable")

    def delay(one: Unit) -> None:
        begun = one.scalar(first)
        one.execute(update(table).where(table.c.created_at == begun).values(run_at=later(3600.0)))

    rehearsed.catalog.run(delay)
    carry_on("")
    assert [stream.live for stream in streams(rehearsed, instance)][-1:] == [True]
    assert rehearsed.guests.orders[-1]["stream"] == streams(rehearsed, instance)[-1].id


def test_a_guest_that_becomes_larger_meanwhile_is_told_what_it_was_told_before(
    stage: Stage, instance: str
) -> None:
    api, rehearsed = stage

    def reached(kind: str, step: str, side: Side) -> None:
        if (kind, step, side) == ("set_archiving", "tell_guest", Side.AFTER_CALL):
            table = tables.instances
            grown = update(table).where(table.c.id == instance).values(flavor_ram_mib=4096)
            rehearsed.catalog.run(lambda one: one.execute(grown))

    rehearsed.reached = reached
    requests.set_archiving(api, instance)
    operation, *_ = api.request("GET", "operations").body["operations"]
    assert operation["state"] == "succeeded"
