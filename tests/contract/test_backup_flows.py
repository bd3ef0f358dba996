"""What becomes of backups, through the real application, flows and catalog, over fakes."""

from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from dbaas.catalog import schedules, tables
from dbaas.common import killpoints
from dbaas.common.killpoints import Side
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.errors import Error
from dbaas.taskmanager.steps import attending
from tests import rehearsal
from tests.catalog_server import CatalogServer
from tests.chaos import backup_requests, points, requests
from tests.chaos.backup_requests import shown
from tests.fakes.cloud import FakeCloud
from tests.rehearsal import Api, Rehearsal

Stage = tuple[Api, Rehearsal]


@pytest.fixture
def stage(catalog_server: CatalogServer, tmp_path: Path) -> Iterator[Stage]:
    with rehearsal.rehearsing(catalog_server.fresh(), tmp_path, FakeCloud()) as made:
        yield made


@pytest.fixture
def instance(stage: Stage) -> str:
    return requests.create_instance(stage[0])


def operation(api: Api, kind: str) -> Any:
    """Return the last operation of this kind."""
    listed = api.request("GET", "operations").body["operations"]
    return next(one for one in listed if one["kind"] == kind)


def status(api: Api, instance: str) -> str:
    return str(api.request("GET", f"instances/{instance}").body["instance"]["status"])


def backups_in_use(api: Api) -> int:
    limits = api.request("GET", f"mgmt/quotas/{api.project}").body["quotas"]
    return int(next(one["in_use"] for one in limits if one["resource"] == "backups"))


def test_a_backup_is_made_and_another_on_it(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    full = backup_requests.create_backup(api, instance)
    increment = backup_requests.create_backup(api, instance, full)
    one, other = shown(api, full), shown(api, increment)
    assert (one["status"], one["parent_id"], one["incremental"]) == ("COMPLETED", None, False)
    assert (other["status"], other["parent_id"]) == ("COMPLETED", full)
    assert one["locationRef"].endswith(f"/database_backups/{full}/manifest")
    assert one["locationRef"].split("/")[5] == "database_backups"
    assert one["size"] == 0.0
    assert one["stored_bytes"] > 0
    assert status(api, instance) == "ACTIVE"
    assert len([path for path in rehearsed.guests.vault.objects if full in path]) == 4
    assert backups_in_use(api) == 2


def test_what_is_deleted_goes_with_what_builds_on_it(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    full = backup_requests.create_backup(api, instance)
    increment = backup_requests.create_backup(api, instance, full)
    backup_requests.delete_backup(api, full)
    assert (shown(api, full), shown(api, increment)) == ({}, {})
    assert rehearsed.guests.vault.objects == {}
    assert backups_in_use(api) == 0


def test_an_instance_is_made_of_a_backup_and_both_live_on(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    full = backup_requests.create_backup(api, instance)
    increment = backup_requests.create_backup(api, instance, full)
    requests.delete_instance(api, instance)
    restored = backup_requests.restore_instance(api, increment)
    assert status(api, restored) == "ACTIVE"
    assert "restore_backup" in rehearsed.guests.asked
    assert shown(api, increment)["instance_id"] == instance


def test_a_backup_is_verified_and_nothing_of_that_is_left(stage: Stage, instance: str) -> None:
    api, _ = stage
    backup = backup_requests.create_backup(api, instance)
    backup_requests.verify_backup(api, backup)
    found = shown(api, backup)
    assert found["verification"]["restorable"]
    assert (found["verification"]["tables"], found["verification"]["rows"]) == (3, 1000)
    assert found["verified_at"] is not None
    assert operation(api, "verify_backup")["state"] == "succeeded"
    listed = api.request("GET", "instances").body["instances"]
    assert [one["id"] for one in listed] == [instance]


def test_a_backup_is_tried_by_one_at_a_time(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    backup = backup_requests.create_backup(api, instance)
    answers = []

    def reached(kind: str, step: str, side: Side) -> None:
        if (kind, step, side) == ("verify_backup", "open_backups", Side.BEFORE_INTENT):
            rehearsed.reached = killpoints.nothing
            answers.append(api.request("POST", f"backups/{backup}/verify"))

    rehearsed.reached = reached
    backup_requests.verify_backup(api, backup)
    assert [one.status for one in answers] == [HTTPStatus.UNPROCESSABLE_ENTITY]
    assert f"Backup {backup} is being verified" in str(answers[0].body)
    backup_requests.verify_backup(api, backup)


def never_answers(rehearsed: Rehearsal, verb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the guest die when it is asked for this, and be given up at once."""
    answer = rehearsed.guests.send

    def send(instance_id: str, command_id: str, epoch: int, method: str, *rest: Any) -> None:
        if method != verb:
            answer(instance_id, command_id, epoch, method, *rest)

    monkeypatch.setattr(rehearsed.guests, "send", send)
    for name in ("SILENCE", "LOOK"):
        monkeypatch.setattr(attending, name, -1.0)


def test_a_guest_that_says_nothing_any_more_is_given_up(
    stage: Stage, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, rehearsed = stage
    rehearsed.hasten("create_backup", "take_backup")
    never_answers(rehearsed, "take_backup", monkeypatch)
    backup = backup_requests.create_backup(api, instance)
    assert shown(api, backup)["status"] == "FAILED"
    assert "The guest has said nothing" in shown(api, backup)["fault"]
    assert status(api, instance) == "ACTIVE"


def test_a_guest_that_dies_over_a_trial_says_nothing_of_the_backup(
    stage: Stage, instance: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    api, rehearsed = stage
    backup = backup_requests.create_backup(api, instance)
    never_answers(rehearsed, "restore_backup", monkeypatch)
    backup_requests.verify_backup(api, backup)
    assert operation(api, "verify_backup")["state"] == "failed"
    assert shown(api, backup)["verification"] is None
    listed = api.request("GET", "instances").body["instances"]
    assert [one["id"] for one in listed] == [instance]


def test_what_says_that_it_needs_more_than_it_can_is_not_tried(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    rehearsed.guests.vault.restored_size = 1 << 50
    backup = backup_requests.create_backup(api, instance)
    answer = api.request("POST", f"backups/{backup}/verify")
    assert answer.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert f"Backup {backup} cannot be verified" in str(answer.body)
    body = {"name": "n", "instance": instance, "cron": "0 3 * * *", "verify": True}
    made = api.request("POST", "backup_schedules", {"backup_schedule": body}).body
    schedule = made["backup_schedule"]["id"]
    of_schedule = update(tables.backups).values(schedule_id=schedule)
    rehearsed.catalog.run(lambda unit: unit.execute(of_schedule))
    rehearsed.catalog.run(lambda unit: schedules.verify_new(unit, Sealer(bytes(32))))
    verification = shown(api, backup)["verification"]
    assert verification["restorable"] is None
    assert "It could not be tried" in verification["message"]


@pytest.mark.parametrize("verb", ["restore_backup", "prepare", "check_data"])
def test_a_backup_that_cannot_be_restored_says_so(stage: Stage, instance: str, verb: str) -> None:
    api, rehearsed = stage
    backup = backup_requests.create_backup(api, instance)
    rehearsed.guests.fails[verb] = errors.Failed("segment 00000002 is damaged")
    backup_requests.verify_backup(api, backup)
    found = shown(api, backup)
    assert found["verification"]["restorable"] is False
    assert "segment 00000002 is damaged" in found["verification"]["message"]
    assert found["verified_at"] is None
    assert operation(api, "verify_backup")["state"] == "succeeded"


@pytest.mark.parametrize("verb", ["ensure", "grant", "listing", "put"])
def test_a_storage_that_refuses_fails_the_backup_and_leaves_nothing(
    stage: Stage, instance: str, verb: str
) -> None:
    api, rehearsed = stage
    vault = rehearsed.guests.vault
    vault.fails = failing(verb, errors.Forbidden("The storage refuses it."))
    backup = backup_requests.create_backup(api, instance)
    vault.fails = lambda _verb: None
    found = shown(api, backup)
    assert (found["status"], "refuses it" in found["fault"]) == ("FAILED", True)
    assert status(api, instance) == "ACTIVE"
    rehearsed.sweep()
    assert vault.objects == {}
    backup_requests.delete_backup(api, backup)
    assert shown(api, backup) == {}
    assert backups_in_use(api) == 0


@pytest.mark.parametrize("verb", ["ensure", "grant", "listing", "put"])
def test_a_storage_that_is_away_for_a_moment_is_waited_for(
    stage: Stage, instance: str, verb: str
) -> None:
    api, rehearsed = stage
    rehearsed.guests.vault.fails = failing(verb, errors.Unavailable("The storage is away."), 2)
    backup = backup_requests.create_backup(api, instance)
    assert shown(api, backup)["status"] == "COMPLETED"


def test_a_guest_that_fails_leaves_a_failed_backup_and_an_instance_that_goes_on(
    stage: Stage, instance: str
) -> None:
    api, rehearsed = stage
    rehearsed.guests.fails["take_backup"] = errors.Failed("the disk broke")
    backup = backup_requests.create_backup(api, instance)
    assert shown(api, backup)["status"] == "FAILED"
    assert "the disk broke" in shown(api, backup)["fault"]
    assert status(api, instance) == "ACTIVE"
    fault = api.request("GET", f"instances/{instance}").body["instance"]["fault"]["message"]
    assert "Could not create backup" in fault


@pytest.mark.parametrize("harm", ["missing", "cut", "changed"])
def test_what_the_storage_does_not_have_is_no_backup(
    stage: Stage, instance: str, harm: str
) -> None:
    api, rehearsed = stage
    vault = rehearsed.guests.vault

    def spoil(verb: str) -> None:
        if verb == "listing":
            name = next(path for path in vault.objects if path.endswith("00000002"))
            content = vault.objects.pop(name)
            if harm != "missing":
                vault.objects[name] = content[:-1] + (b"" if harm == "cut" else b"?")

    vault.fails = spoil
    patience = {step.name: step for step in rehearsed.flows["create_backup"].steps}
    assert patience["see_what_is_stored"].deadline < 120
    if harm == "missing":
        rehearsed.hasten("create_backup", "see_what_is_stored")
    backup = backup_requests.create_backup(api, instance)
    assert shown(api, backup)["status"] == "FAILED"


def test_a_delete_that_the_storage_refuses_can_be_repeated(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    backup = backup_requests.create_backup(api, instance)
    rehearsed.guests.vault.fails = failing("delete", errors.Forbidden("No."))
    backup_requests.delete_backup(api, backup)
    assert shown(api, backup)["status"] == "DELETE_FAILED"
    assert backups_in_use(api) == 1
    rehearsed.guests.vault.fails = lambda _verb: None
    backup_requests.delete_backup(api, backup)
    assert shown(api, backup) == {}
    assert backups_in_use(api) == 0


def test_an_instance_is_deleted_after_its_last_backup(stage: Stage, instance: str) -> None:
    api, _ = stage
    backup_requests.back_up_and_delete(api, instance)
    assert api.request("GET", f"instances/{instance}").status == 404
    (backup,) = backup_requests.of_instance(api, instance)
    assert shown(api, backup)["status"] == "COMPLETED"


def test_without_its_last_backup_an_instance_is_not_deleted(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    rehearsed.guests.fails["take_backup"] = errors.Failed("the disk broke")
    backup_requests.back_up_and_delete(api, instance)
    assert status(api, instance) == "ACTIVE"
    (backup,) = backup_requests.of_instance(api, instance)
    assert shown(api, backup)["status"] == "FAILED"
    requests.delete_instance(api, instance)
    assert api.request("GET", f"instances/{instance}").status == 404


def test_a_manifest_is_registered_and_restored(stage: Stage, instance: str) -> None:
    api, _ = stage
    backup = shown(api, backup_requests.create_backup(api, instance))
    source = {
        "remote_location": backup["locationRef"],
        "local_datastore_version_id": backup["datastore"]["version_id"],
        "size": 1,
    }
    body = {"backup": {"name": "again", "restore_from": source}}
    answer = api.request("POST", "backups", body)
    assert answer.status == 202, answer.body
    registered = answer.body["backup"]
    assert (registered["status"], registered["instance_id"]) == ("RESTORED", None)
    restored = backup_requests.restore_instance(api, registered["id"])
    assert status(api, restored) == "ACTIVE"
    backup_requests.delete_backup(api, registered["id"])
    assert shown(api, backup["id"])["status"] == "COMPLETED"
    again = backup_requests.restore_instance(api, backup["id"], "third")
    assert status(api, again) == "ACTIVE"


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"remote_location": "https://elsewhere.example/o"}, 400, "not in this storage"),
        ({"local_datastore_version_id": "6f1c0000-0000-4000-8000-000000000000"}, 404, "version"),
        ({"size": -1}, 400, "size"),
    ],
)
def test_what_cannot_be_registered_is_refused(
    stage: Stage, instance: str, change: dict[str, object], code: int, words: str
) -> None:
    api, _ = stage
    backup = shown(api, backup_requests.create_backup(api, instance))
    source = {
        "remote_location": backup["locationRef"],
        "local_datastore_version_id": backup["datastore"]["version_id"],
        "size": 1,
    }
    body = {"backup": {"name": "again", "restore_from": source | change}}
    answer = api.request("POST", "backups", body)
    assert answer.status == code, answer.body
    assert words in str(answer.body)


def test_a_restore_onto_a_volume_too_small_is_refused_up_front(stage: Stage, instance: str) -> None:
    api, rehearsed = stage
    rehearsed.guests.vault.restored_size = 5 << 30
    backup = backup_requests.create_backup(api, instance)
    body = requests.order("small") | {"restorePoint": {"backupRef": backup}}
    answer = api.request("POST", "instances", {"instance": body})
    assert answer.status == 403
    assert "5 GiB" in str(answer.body)


def test_every_point_of_these_flows_is_found(catalog_server: CatalogServer, tmp_path: Path) -> None:
    found = points.points_of_backups(catalog_server.fresh(), tmp_path)
    assert {point.kind for point in found} == set(backup_requests.KINDS)
    of_archives = points.points_of_archives(catalog_server.fresh(), tmp_path)
    assert {point.kind for point in of_archives} == set(points.OF_ARCHIVES)


def failing(verb: str, error: Error, times: int = 1 << 30) -> Any:
    left = [times]

    def fail(asked: str) -> None:
        if asked == verb and left[0] > 0:
            left[0] -= 1
            raise error

    return fail
