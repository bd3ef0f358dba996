"""A schedule's backups: made, verified, kept, and gone, without anybody asking."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.functional.stack import Stack

PATIENCE = 240.0

Json = dict[str, Any]


@pytest.fixture(scope="module")
def instance(stack: Stack) -> Iterator[Json]:
    made = stack.wait_until(stack.create("scheduled"), "ACTIVE")
    yield made
    stack.request("DELETE", f"instances/{made['id']}")
    stack.wait_until(made["id"], "GONE")


def wait_for(happened: Callable[[], bool], what: str) -> None:
    expired = time.monotonic() + PATIENCE
    while not happened():
        assert time.monotonic() < expired, what
        time.sleep(0.2)


def backups(stack: Stack, schedule: str) -> list[Json]:
    """Return those of a schedule, the oldest first."""
    listed = stack.request("GET", "backups?limit=100").body["backups"]
    found = [one for one in listed if one["schedule_id"] == schedule]
    return sorted(found, key=lambda one: str(one["taken"]))


def come(stack: Stack, schedule: str) -> None:
    """Have the schedule's time come now."""
    stack.sql(
        f"UPDATE backup_schedules SET next_run_at = NOW(6), try_at = NOW(6) WHERE id = '{schedule}'"
    )


def test_backups_are_made_verified_and_kept_as_a_schedule_says(
    stack: Stack, instance: Json
) -> None:
    asked = {
        "name": "nightly",
        "instance": instance["id"],
        "cron": "0 3 * * *",
        "timezone": "Europe/Berlin",
        "retention": {"count": 1},
        "verify": True,
    }
    answer = stack.request("POST", "backup_schedules", {"backup_schedule": asked})
    assert answer.status == 201, answer
    schedule = answer.body["backup_schedule"]
    assert schedule["next_run"] is not None
    for number in (1, 2):
        come(stack, schedule["id"])
        wait_for(lambda: shown(stack, schedule["id"])["last_run"] is not None, "a run")
        wait_for(
            lambda: any(
                one["verified_at"] and one["id"] == shown(stack, schedule["id"])["last_backup_id"]
                for one in backups(stack, schedule["id"])
            ),
            f"backup {number} to be verified",
        )
    last = shown(stack, schedule["id"])["last_backup_id"]
    wait_for(
        lambda: [one["id"] for one in backups(stack, schedule["id"])] == [last],
        "the older one to be gone",
    )
    (kept,) = backups(stack, schedule["id"])
    assert kept["name"].startswith("nightly ")
    assert kept["verification"]["restorable"] is True
    changed = {"backup_schedule": {"enabled": False}}
    answer = stack.request("PATCH", f"backup_schedules/{schedule['id']}", changed)
    assert answer.body["backup_schedule"]["next_run"] is None
    assert stack.request("DELETE", f"backup_schedules/{schedule['id']}").status == 202
    assert [one["id"] for one in backups(stack, schedule["id"])] == [last]
    stack.request("DELETE", f"backups/{last}")
    wait_for(lambda: stack.request("GET", f"backups/{last}").status == 404, "it to be gone")


def shown(stack: Stack, schedule: str) -> Json:
    found: Json = stack.request("GET", f"backup_schedules/{schedule}").body["backup_schedule"]
    return found
