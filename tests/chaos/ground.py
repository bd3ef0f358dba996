"""A stack on which things go wrong, and what can be seen of it from outside."""

import json
import os
import re
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pymysql

from dbaas.cloud.local.cloud import LocalCloud
from dbaas.contract.operations import ENDED, LedgerKind, object_name
from dbaas.manage.stack import guests, supervisor
from dbaas.manage.stack.supervisor import Supervisor
from tests.chaos import requests
from tests.functional.stack import Answer, Stack

PATIENCE = 90.0
"""Seconds for what takes one or two, on a host that has other work."""

STOP_SECONDS = 60.0

_BEGUN = re.compile(r"command (\S+) (\w+) (?!again$)\S*$", re.MULTILINE)
"""What an agent logs when it begins with a command: its id, the verb and the request's id."""

_STARTED = re.compile(r"agent started", re.MULTILINE)


@dataclass(frozen=True)
class Ended:
    """An operation that has ended; `seconds` from its acceptance to its end, by the catalog."""

    kind: str
    state: str
    seconds: float


class Ground:
    """Implements `requests.Api` for the stack's tenant."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.tokens = stack.directory / "kill-points"

    def request(self, method: str, path: str, body: object = None, /) -> Answer:
        return self.stack.request(method, path, body, user=requests.who_asks(path))

    def cloud(self) -> LocalCloud:
        provider = guests.provider(self.stack.plan)
        assert isinstance(provider, LocalCloud)
        return provider

    # Kill points

    def arm(self, points: Iterable[object]) -> None:
        for point in points:
            (self.tokens / str(point)).touch()

    def armed(self) -> set[str]:
        """Return the points at which nobody died yet."""
        return {path.name for path in self.tokens.iterdir()}

    def wait_for(self, happened: Callable[[], bool], what: str, seconds: float = PATIENCE) -> None:
        deadline = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
            time.sleep(0.02)

    def wait_until_fired(self, point: object) -> None:
        self.wait_for(lambda: str(point) not in self.armed(), f"a death at {point}")

    # What goes wrong otherwise

    def programs(self) -> Supervisor:
        return Supervisor(self.stack.plan)

    @contextmanager
    def stopped(self, *programs: str) -> Iterator[None]:
        """Have these told to stop, and started again in the end."""
        self.programs().stop(programs, STOP_SECONDS)
        try:
            yield
        finally:
            self.stack.command("up")

    @staticmethod
    def sleep(seconds: float) -> None:
        """Let the world go on for a moment: what happens at its end differs from run to run."""
        time.sleep(seconds)

    # Operations

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Ask the catalog, which may be away for a moment."""
        deadline = time.monotonic() + PATIENCE
        while True:
            try:
                return self.stack.sql(statement)
            except pymysql.OperationalError:
                assert time.monotonic() < deadline, "the catalog does not come back"
                time.sleep(0.1)

    def wait_until_idle(self, instances: Sequence[str]) -> None:
        """Return when none of these has an operation that has not ended; a parked one fails."""
        states: list[str] = []

        def idle() -> bool:
            states[:] = [row["state"] for row in self._operations(instances)]
            assert "parked" not in states, self.explain(instances)
            return all(state in ENDED for state in states)

        try:
            self.wait_for(idle, f"the end of the operations of {instances}")
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.explain(instances)}") from None

    def last(self, instance: str) -> Ended:
        """Return the operation of the instance that was accepted last."""
        row = self._operations([instance])[-1]
        return Ended(row["kind"], row["state"], float(row["seconds"] or 0.0))

    def history(self, instance: str) -> list[Ended]:
        return [
            Ended(row["kind"], row["state"], float(row["seconds"] or 0.0))
            for row in self._operations([instance])
        ]

    def explain(self, instances: Sequence[str]) -> str:
        rows = self._operations(instances)
        told = [json.dumps(row, default=str) for row in rows]
        for instance in instances:
            name = object_name(instance, LedgerKind.SERVER, 1)
            told += [f"--- {name}", *self.cloud().compute.console(name).splitlines()[-12:]]
        return "\n".join([*told, *self._where_task_managers_are()])

    def _where_task_managers_are(self) -> list[str]:
        """Return the ends of their logs, with the stack of every thread."""
        told = []
        for name, state in self.programs().states().items():
            if name.startswith("dbaas-taskmanager"):
                if state.pid:
                    os.kill(state.pid, signal.SIGUSR1)
                    time.sleep(0.5)
                log = supervisor.log_file(self.stack.plan.logs, name)
                told += [f"--- {name}", *log.read_text(errors="replace").splitlines()[-200:]]
        return told

    def _operations(self, instances: Sequence[str]) -> list[dict[str, Any]]:
        listed = ", ".join(f"'{instance}'" for instance in instances)
        return self.sql(
            "SELECT id, instance_id, kind, state, phase, step, attempt, run_at, lease_until, owner,"
            " fault_message, TIMESTAMPDIFF(MICROSECOND, created_at, finished_at) / 1e6 AS seconds"
            f" FROM operations WHERE instance_id IN ({listed}) ORDER BY created_at, id"
        )

    def wait_until_done(self, instances: Sequence[str], shows: str) -> None:
        """Return when all is done that these were asked for, and done well."""
        self.wait_until_idle(instances)
        for instance in instances:
            ended = self.last(instance)
            assert ended.state == "succeeded", self.explain([instance])
            assert self.shown(instance) == shows

    def delete_all(self, instances: Sequence[str]) -> None:
        for instance in instances:
            requests.delete_instance(self, instance)
        self.wait_until_done(instances, "GONE")

    def delete_whatever_is_left(self) -> None:
        """Go on from a test that failed."""
        rows = self.sql("SELECT id FROM instances WHERE status <> 'DELETED'")
        left = [str(row["id"]) for row in rows]
        for path in self.tokens.iterdir():
            path.unlink()
        if left:
            self.stack.command("up")
            for instance in left:
                requests.abandon(self, instance)
            self.wait_until_idle(left)
        self._delete_backups()

    def _delete_backups(self) -> None:
        living = "SELECT id FROM backups WHERE deleted_at IS NULL"
        for row in self.sql(living):
            self.request("DELETE", f"backups/{row['id']}")
        if self.sql(living):
            self.wait_for(lambda: not self.sql(living), "backups to be gone")

    def details(self, instance: str) -> dict[str, Any]:
        answer = self.stack.request("GET", f"instances/{instance}")
        assert answer.status == HTTPStatus.OK, answer
        shown: dict[str, Any] = answer.body["instance"]
        return shown

    def shown(self, instance: str) -> str:
        """Return the status that the tenant sees; `GONE` when there is no such instance."""
        answer = self.stack.request("GET", f"instances/{instance}")
        return "GONE" if answer.status == 404 else str(answer.body["instance"]["status"])

    def serves(self, instance: str) -> bool:
        """Return whether a client can work with it, and the API says so."""
        shown = self.details(instance)
        try:
            with self.stack.database(shown) as link, link.cursor() as cursor:
                cursor.execute("CREATE OR REPLACE TABLE served (id INT)")
        except (OSError, pymysql.Error):
            return False
        return bool(shown["operating_status"] == "HEALTHY")

    def wait_until_it_serves(self, instance: str) -> None:
        """Return when it does: its agent starts a server that died anew, and rests before that."""
        self.wait_for(lambda: self.serves(instance), f"{instance} to serve")

    # What must be true whatever happened

    def made_twice(self, instance: str) -> list[str]:
        """Return what there is more than once, or ever was, of what there may be one of."""
        rows = self.sql(f"SELECT kind, name FROM ledger WHERE instance_id = '{instance}'")
        kinds = Counter(row["kind"] for row in rows)
        return [f"{n} objects of kind {kind}" for kind, n in kinds.items() if n > 1]

    def not_done_once(self, instance: str) -> list[str]:
        """Return what the guest of an instance that is there did not do as often as it was asked.

        By its console's text: a command that is repeated is answered, and not carried out again.
        """
        console = self.cloud().compute.console(object_name(instance, LedgerKind.SERVER, 1))
        begun = _BEGUN.findall(console)
        found = [
            f"{id_} ran {n} times" for id_, n in Counter(id_ for id_, _ in begun).items() if n > 1
        ]
        asked = Counter(ended.kind for ended in self.history(instance))
        expected = {
            "introduce": 1 + asked["rotate_keys"],
            "prepare": 1,
            "restart": asked["restart_instance"],
            "grow_volume": asked["resize_volume"],
            "use_memory": asked["resize_flavor"],
            "create_databases": asked["ask_guest"],
            "enable_root": asked["enable_root"],
            "disable_root": asked["disable_root"],
        }
        done = Counter(method for _, method in begun)
        found += [
            f"{method} was done {done[method]} times, not {n}"
            for method, n in expected.items()
            if done[method] != n
        ]
        starts = len(_STARTED.findall(console))
        return [*found, *([f"it was booted {starts} times"] if starts != 1 else [])]

    def usage(self) -> dict[str, int]:
        """Return what all projects have, by their quotas: the tenant's, and that of trials."""
        rows = self.sql(
            "SELECT resource, SUM(in_use) AS in_use FROM quota_usages GROUP BY resource"
        )
        return {row["resource"]: int(row["in_use"]) for row in rows}

    def living(self) -> dict[str, int]:
        """Return what all projects have, by their instances."""
        row = self.sql(
            "SELECT COUNT(*) AS instances, COALESCE(SUM(volume_gib), 0) AS volumes,"
            " COALESCE(SUM(flavor_ram_mib), 0) AS ram FROM instances WHERE status <> 'DELETED'"
        )[0]
        return {name: int(value) for name, value in row.items()}

    def stuck(self) -> int:
        rows = self.sql(
            "SELECT id FROM operations WHERE finished_at IS NULL AND run_at IS NULL"
            " AND fault_message IS NULL"
        )
        return len(rows)

    def leaked(self) -> str:
        """Return what the audit finds; nothing when ledger, broker and cloud agree."""
        done = self.stack.manage("audit", check=False)
        return done.stdout if done.returncode else ""

    def assert_nothing_left(self) -> None:
        """All instances were deleted: nothing of them may be left, anywhere."""
        assert self.stuck() == 0
        assert self.leaked() == ""
        assert set(self.usage().values()) <= {0}
        cloud = self.cloud()
        assert cloud.compute.servers() == {}
        assert cloud.volumes.volumes() == {}
        assert cloud.networks.ports() == {}


def create_many(ground: Ground, count: int) -> list[str]:
    return [requests.create_instance(ground, f"chaos-{n}") for n in range(count)]
