"""A task manager is paused for longer than its lease, and goes on when another one did its work."""

import os
import random
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from dbaas.host import files
from tests.chaos import requests
from tests.chaos.ground import Ground, create_many
from tests.frozen import freeze, frozen
from tests.outcomes import Part, Tell

PAUSED_SECONDS = 8.0
"""The lease is 2 s, and the catalog keeps the locks of a silent transaction for 5 s."""
AWAKE_SECONDS = 2.0
"""For a zombie to do all that it might do."""

ROUNDS = 4

_CHANGES = ("restart_instance", "resize_volume", "update_access")


@pytest.mark.thorough
def test_a_task_manager_paused_past_its_lease_changes_nothing(
    ground: Ground, tell: Tell, seed: int
) -> None:
    when = random.Random(seed)
    slowest = 0.0
    for _ in range(ROUNDS):
        instances = create_many(ground, 4)
        slowest = max(slowest, overtake(ground, instances, when.uniform(0.1, 0.8)))
        for instance in instances:
            requests.CHANGES[when.choice(_CHANGES)].ask(ground, instance)
        slowest = max(slowest, overtake(ground, instances, when.uniform(0.02, 0.4)))
        for instance in instances:
            assert ground.made_twice(instance) == []
            assert ground.not_done_once(instance) == []
        ground.delete_all(instances)
        ground.assert_nothing_left()
    tell(
        Part.SERVICES,
        "a task manager is frozen past its lease in the middle of 4 operations, and goes on",
        "others finish them, but for an object of the host that it is just making, which waits "
        "for it; it writes nothing of what others did, and nothing is done twice",
        slowest,
    )


def overtake(ground: Ground, instances: list[str], after: float) -> float:
    """Pause a task manager at work, and let it go on; return the seconds of the slowest operation.

    Others go on with its work, but for what it holds a lock of this host on, which waits for it.
    """
    ground.sleep(after)
    owner = ground.sql(
        "SELECT owner, COUNT(*) AS n FROM operations WHERE lease_until > NOW(6)"
        " GROUP BY owner ORDER BY n DESC"
    )
    pid = int(str(owner[0]["owner"]).rpartition(":")[2]) if owner else any_task_manager(ground)
    with frozen(pid):
        ground.sleep(PAUSED_SECONDS)
        done = [one for one in instances if ground.last(one).state == "succeeded"]
        before = journal(ground, done)
    ground.sleep(AWAKE_SECONDS)
    assert journal(ground, done) == before
    ground.wait_until_done(instances, "ACTIVE")
    return max(ground.last(instance).seconds for instance in instances)


def test_what_a_zombie_makes_of_a_deleted_instance_is_shown_and_removed_by_the_audit(
    ground: Ground, tell: Tell
) -> None:
    with slow_network(ground):
        instance = requests.create_instance(ground)
        zombie = owner_of_a_port_under_way(ground, instance)
        ground.sleep(0.5)  # between looking at its lease and the call
        freeze(zombie)
    try:
        requests.reset_status(ground, instance)
        requests.delete_instance(ground, instance)
        ground.wait_until_done([instance], "GONE")
        assert ground.leaked() == ""
        before = journal(ground, [instance])
    finally:
        os.kill(zombie, signal.SIGCONT)
    ground.wait_for(lambda: ground.cloud().networks.ports() != {}, "a port made in vain")
    ground.sleep(AWAKE_SECONDS)
    assert journal(ground, [instance]) == before
    assert "was left behind" in ground.leaked()
    assert "removed port" in ground.stack.manage("audit", "--fix").stdout
    tell(
        Part.SERVICES,
        "a task manager is frozen in the call that makes a port, and the instance deleted",
        "the audit shows the port that it makes in vain when it goes on; --fix removes it",
    )
    ground.assert_nothing_left()


@contextmanager
def slow_network(ground: Ground) -> Iterator[None]:
    """Let calls that make ports take as long as this lasts."""
    with files.lock(ground.cloud().settings.state_dir / "network.lock"):
        yield


def owner_of_a_port_under_way(ground: Ground, instance: str) -> int:
    """Return the task manager that makes the instance's port."""
    found: list[int] = []

    def has_begun() -> bool:
        rows = ground.sql(
            "SELECT o.owner FROM ledger l JOIN operations o ON o.id = l.operation_id"
            f" WHERE l.instance_id = '{instance}' AND l.kind = 'port'"
        )
        found[:] = [int(row["owner"].rpartition(":")[2]) for row in rows]
        return bool(found)

    ground.wait_for(has_begun, "a port under way")
    return found[0]


def any_task_manager(ground: Ground) -> int:
    return ground.programs().states()["dbaas-taskmanager"].pid


def journal(ground: Ground, instances: list[str]) -> list[list[dict[str, Any]]]:
    """Return all that is written of these instances and their operations."""
    listed = ", ".join(f"'{instance}'" for instance in ("", *instances))
    of_operations = f"operation_id IN (SELECT id FROM operations WHERE instance_id IN ({listed}))"
    return [
        ground.sql(f"SELECT * FROM {table} WHERE {which} ORDER BY 1, 2")
        for table, which in (
            ("instances", f"id IN ({listed})"),
            ("operations", f"instance_id IN ({listed})"),
            ("operation_steps", of_operations),
            ("commands", of_operations),
            ("ledger", f"instance_id IN ({listed})"),
            ("instance_locks", f"instance_id IN ({listed})"),
            ("guests", f"instance_id IN ({listed})"),
        )
    ]
