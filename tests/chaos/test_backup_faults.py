"""Programs die, or are away, in the middle of a backup; and the storage with them.

A backup is complete only if it can be restored. One that is not says why, and leaves neither
objects in the storage nor a lock on the engine.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

import pytest

from dbaas.catalog.instances import SCRATCH_PROJECT
from dbaas.contract.operations import LedgerKind, object_name
from dbaas.manage.stack import processes
from tests.chaos import agents, backup_requests, requests
from tests.chaos.backup_requests import shown
from tests.chaos.ground import Ground
from tests.outcomes import Part, Tell

MIB = 1 << 20
DATA = 200 * MIB
"""So much that a backup takes a few seconds, and has several segments."""
UNLOCKED_WITHIN = 5.0
ENDS_WITHIN = 180.0

TOOL = b"mariadb-backup"


@dataclass(frozen=True)
class Trouble:
    """What goes wrong when the backup has stored something, and how it is mended after a while."""

    name: str
    begin: Callable[[Ground, str], None]
    end: Callable[[Ground, str], None] = lambda _ground, _instance: None
    seconds: float = 0.0

    def __str__(self) -> str:
        return self.name


def _kill(program: bytes) -> Callable[[Ground, str], None]:
    return lambda ground, instance: agents.kill(ground, instance, program)


def _signal_guest(program: bytes, number: int) -> Callable[[Ground, str], None]:
    def send(ground: Ground, instance: str) -> None:
        server = ground.cloud().compute.pid(object_name(instance, LedgerKind.SERVER, 1))
        for pid in processes.family(server):
            with suppress(OSError):
                if program in Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, number)

    return send


def _signal(program: str, number: int) -> Callable[[Ground, str], None]:
    """Send a signal to a program of the stack, and to what it has started."""

    def send(ground: Ground, _instance: str) -> None:
        for name, state in ground.programs().states().items():
            if name.startswith(program) and state.pid:
                for pid in processes.family(state.pid):
                    with suppress(ProcessLookupError):
                        os.kill(pid, number)

    return send


TROUBLES = (
    Trouble("agent killed", _kill(agents.AGENT)),
    Trouble("engine killed", _kill(agents.ENGINE)),
    Trouble("backup tool killed", _kill(TOOL)),
    Trouble(
        "backup tool hangs",
        _signal_guest(TOOL, signal.SIGSTOP),
        _signal_guest(TOOL, signal.SIGCONT),
        10.0,
    ),
    Trouble("depot killed", _signal("dbaas-depot", signal.SIGKILL)),
    Trouble(
        "depot hangs",
        _signal("dbaas-depot", signal.SIGSTOP),
        _signal("dbaas-depot", signal.SIGCONT),
        10.0,
    ),
    Trouble("task managers killed", _signal("dbaas-taskmanager", signal.SIGKILL)),
    Trouble("conductor killed", _signal("dbaas-conductor", signal.SIGKILL)),
    Trouble("broker killed", _signal("broker", signal.SIGKILL)),
)


@pytest.fixture
def instance(ground: Ground) -> Iterator[str]:
    made = requests.create_instance(ground, "troubled")
    ground.wait_until_done([made], "ACTIVE")
    rows = DATA // 1000
    with ground.stack.database(ground.details(made)) as link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE t (id INT PRIMARY KEY, said VARCHAR(1000) NOT NULL)")
        cursor.execute(f"INSERT INTO t SELECT seq, HEX(RANDOM_BYTES(500)) FROM seq_1_to_{rows}")
    yield made
    ground.delete_all([made])
    ground.assert_nothing_left()


@pytest.mark.parametrize("trouble", TROUBLES, ids=lambda trouble: trouble.name.replace(" ", "-"))
def test_a_backup_in_trouble_is_whole_or_says_why_not(
    ground: Ground, instance: str, trouble: Trouble, tell: Tell
) -> None:
    backup = backup_requests.create_backup(ground, instance)
    ground.wait_for(lambda: has_stored(ground, backup), "the first bytes in the storage")
    trouble.begin(ground, instance)
    began = time.monotonic()
    try:
        ground.sleep(trouble.seconds)
    finally:
        trouble.end(ground, instance)
    unlocked = None if trouble.seconds else seconds_until_unlocked(ground, instance)
    ground.wait_for(
        lambda: status(ground, backup) in ("COMPLETED", "FAILED"), "an end", ENDS_WITHIN
    )
    seconds = time.monotonic() - began
    told = status(ground, backup)
    ground.wait_until_idle([instance])
    ground.wait_until_it_serves(instance)
    assert ground.shown(instance) == "ACTIVE"
    if told == "COMPLETED":
        backup_requests.verify_backup(ground, backup)
        ground.wait_for(lambda: bool(shown(ground, backup)["verification"]), "a verification")
        assert shown(ground, backup)["verification"]["restorable"]
    else:
        assert shown(ground, backup)["fault"]
    assert unlocked is None or unlocked < UNLOCKED_WITHIN
    locked = "" if unlocked is None else f", tables can be changed after {unlocked:.1f} s"
    tell(Part.BACKUPS, f"{trouble} during a backup", f"{told.lower()}{locked}", seconds)
    backup_requests.delete_backup(ground, backup)
    ground.wait_for(lambda: not shown(ground, backup), "the backup to be gone")
    assert ground.stuck() == 0


@pytest.mark.parametrize("verb", ["restore_backup", "check_data"])
def test_a_trial_is_carried_on_though_its_agent_is_killed(
    ground: Ground, instance: str, verb: str
) -> None:
    backup = backup_requests.create_backup(ground, instance)
    ground.wait_for(lambda: status(ground, backup) == "COMPLETED", "a backup", ENDS_WITHIN)
    backup_requests.verify_backup(ground, backup)
    ground.wait_for(lambda: scratch(ground) is not None, "an instance for the trial")
    agents.kill_in(ground, str(scratch(ground)), verb)
    ground.wait_for(
        lambda: bool(shown(ground, backup)["verification"]), "a verification", ENDS_WITHIN
    )
    assert shown(ground, backup)["verification"]["restorable"]
    backup_requests.delete_backup(ground, backup)
    ground.wait_for(lambda: not shown(ground, backup), "the backup to be gone")


def test_archiving_is_switched_on_though_the_agent_is_killed(ground: Ground, instance: str) -> None:
    body = {"archive": {"enabled": True}}
    answer = ground.request("POST", f"instances/{instance}/action", body)
    assert answer.status == HTTPStatus.ACCEPTED, answer
    agents.kill_in(ground, instance, "archive")
    ground.wait_until_idle([instance])
    assert ground.last(instance).state == "succeeded"
    recovery = ground.request("GET", f"instances/{instance}/recovery")
    assert recovery.status == HTTPStatus.OK, recovery


def scratch(ground: Ground) -> str | None:
    """Return the instance that was made for a trial, once it has a server."""
    rows = ground.sql(
        f"SELECT id FROM instances WHERE project_id = '{SCRATCH_PROJECT}' AND server_id <> ''"
        " AND status = 'BUILDING'"
    )
    return str(rows[0]["id"]) if rows else None


def has_stored(ground: Ground, backup: str) -> bool:
    """Look into the storage: what the guest says of it comes later."""
    if list(ground.stack.plan.backups.glob(f"*/*/{backup}/0*")):
        return True
    assert status(ground, backup) != "COMPLETED", "it was too quick: give it more data"
    return False


def status(ground: Ground, backup: str) -> str:
    return str(shown(ground, backup)["status"])


def seconds_until_unlocked(ground: Ground, instance: str) -> float:
    """Return how long it takes until tables can be changed, as no tool that was cut short lets."""
    began = time.monotonic()
    ground.wait_until_it_serves(instance)
    with ground.stack.database(ground.details(instance)) as link, link.cursor() as cursor:
        cursor.execute("CREATE OR REPLACE TABLE changed (id INT)")
        cursor.execute("ALTER TABLE changed ADD COLUMN other INT")
    return time.monotonic() - began
