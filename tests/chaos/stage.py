"""Where a random schedule is played: a tenant, a client of his first instance, and the faults."""

import itertools
import logging
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

import pymysql

from dbaas.cloud.local import faults
from dbaas.contract import errors
from dbaas.contract.operations import ENDED, LedgerKind, object_name
from dbaas.manage.stack import processes
from tests.chaos import agents, requests
from tests.chaos.ground import Ground
from tests.chaos.persistence import Persistent
from tests.chaos.schedules import SLOTS, Event, Fault

LOG = logging.getLogger(__name__)

PATIENCE = 240.0
"""Seconds for everything to end, on a host that has other work."""

BUSY_SECONDS = 5.0
"""For so long the tenant tries to change an instance on which something else goes on."""

_PROGRAMS = {Fault.KILL_AGENT: agents.AGENT, Fault.KILL_ENGINE: agents.ENGINE}
_REFUSALS = (HTTPStatus.NOT_FOUND, HTTPStatus.UNPROCESSABLE_ENTITY, HTTPStatus.BAD_REQUEST)
_ANSWERED_LATER = ("ask_guest", "enable_root", "disable_root")
"""A guest may refuse these after they were accepted."""


@dataclass(frozen=True)
class Accepted:
    kind: str
    instance: str


class Clerk:
    """A client who writes numbers and notes those of which he was told that they are kept."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self._numbers = itertools.count(1)
        self._instance: dict[str, Any] = {}
        self.acknowledged: list[int] = []

    def start(self, instance: dict[str, Any]) -> None:
        self._instance = instance
        with self._connected() as link, link.cursor() as cursor:
            cursor.execute("CREATE TABLE written (n INT PRIMARY KEY)")
        self._thread.start()

    def stop(self) -> None:
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def lost(self) -> set[int]:
        """Return what he was told is kept, and is not."""
        with self._connected() as link, link.cursor() as cursor:
            cursor.execute("SELECT n FROM written")
            return set(self.acknowledged) - {row[0] for row in cursor.fetchall()}

    def _connected(self) -> "pymysql.Connection[Any]":
        return self._ground.stack.database(self._instance)

    def _write(self) -> None:
        while not self._over.is_set():
            with suppress(pymysql.MySQLError, OSError):
                link = self._connected()
                with link, link.cursor() as cursor:
                    while not self._over.is_set():
                        number = next(self._numbers)
                        cursor.execute("INSERT INTO written VALUES (%s)", (number,))
                        self.acknowledged.append(number)
                        time.sleep(0.01)
            time.sleep(0.1)


class Stage:
    def __init__(self, ground: Ground, seed: int) -> None:
        self.seed = seed
        self._ground = ground
        self._tenant = Persistent(ground.stack, doubts=False)
        self._slots: list[str | None] = [None] * SLOTS
        self._busy = [threading.Lock() for _ in range(SLOTS)]
        self._repairs: list[tuple[float, Callable[[], None]]] = []
        self._wrong: list[str] = []
        self._refused: list[Accepted] = []
        self._failed: list[dict[str, Any]] = []
        self.accepted: list[Accepted] = []
        self.clerk = Clerk(ground)
        self.faults = self.deaths = 0
        """`deaths`: those at kill points."""
        self.seconds_to_recover = 0.0

    @property
    def failures(self) -> int:
        return len(self._failed)

    def play(self, events: Sequence[Event]) -> None:
        """Do all of it at its time; the first instance is there before anything goes wrong."""
        first, *rest = events
        self._ask(first)
        instance = self._slots[0]
        assert instance is not None, self._wrong
        self._ground.wait_until_done([instance], "ACTIVE")
        self.clerk.start(self._ground.details(instance))
        began = time.monotonic()
        with ThreadPoolExecutor(16) as tenants:
            asked: list[Future[None]] = []
            for event in rest:
                self._wait_until(began + event.at)
                if event.what in list(Fault):
                    self._go_wrong(event)
                else:
                    asked.append(tenants.submit(self._ask, event))
            self._wait_until(time.monotonic())
            self.repair()
            for one in asked:
                one.result()

    def repair(self) -> None:
        """End all that is wrong; what died is started again by its supervisor."""
        for _, repair in self._repairs:
            repair()
        self._repairs.clear()
        for point in self._ground.armed():
            with suppress(FileNotFoundError):
                (self._ground.tokens / point).unlink()
                self.deaths -= 1
        self._ground.stack.command("up")

    def _wait_until(self, moment: float) -> None:
        """Let time pass, and what lasted long enough end."""
        for at, repair in sorted(self._repairs, key=lambda item: item[0]):
            if at <= moment:
                time.sleep(max(0.0, at - time.monotonic()))
                repair()
        self._repairs = [item for item in self._repairs if item[0] > moment]
        time.sleep(max(0.0, moment - time.monotonic()))

    # The tenant

    def _ask(self, event: Event) -> None:
        number = int(event.on)
        with self._busy[number]:
            try:
                self._ask_for(number, event.what)
            except Exception as error:  # noqa: BLE001  # the test shows it
                self._wrong.append(f"{event}: {error!r}")

    def _ask_for(self, number: int, wanted: str) -> None:
        """Ask, and for a while again where the instance is busy; note how it was answered."""
        instance = self._slots[number]
        if wanted == "delete_instance" and number == 0:
            return
        if instance is None:
            recorder = Recorder(self._tenant)
            instance = self._slots[number] = requests.create_instance(recorder, "random")
            self.accepted.append(Accepted(requests.CREATE, instance))
            return
        deadline = time.monotonic() + BUSY_SECONDS
        while self._answer(instance, wanted) == HTTPStatus.UNPROCESSABLE_ENTITY:
            if time.monotonic() > deadline:
                return
            time.sleep(0.3)
        if wanted == "delete_instance":
            self._slots[number] = None

    def _answer(self, instance: str, kind: str) -> int:
        """Return the status of the answer; raise `AssertionError` for one that may not be."""
        recorder = Recorder(self._tenant)
        try:
            requests.CHANGES[kind].ask(recorder, instance)
        except AssertionError:
            if recorder.status not in _REFUSALS:
                raise
            self._refused.append(Accepted(kind, instance))
        else:
            self.accepted.append(Accepted(kind, instance))
        return recorder.status

    # What goes wrong

    def _go_wrong(self, event: Event) -> None:
        fault = Fault(event.what)
        if fault is Fault.KILL_POINT:
            self.deaths += event.on not in self._ground.armed()  # for now: see `repair`
            self._ground.arm([event.on])
            return
        self.faults += 1
        if fault in (Fault.KILL, Fault.FREEZE):
            self._at_service(fault, event)
        else:
            instance = self._slots[int(event.on)]
            if instance is not None:
                # Of a guest that is not there yet, or no more, nothing can go wrong.
                with suppress(errors.Error, OSError):
                    self._at_guest(fault, event, instance)

    def _at_service(self, fault: Fault, event: Event) -> None:
        with suppress(errors.Unavailable):
            pid = self._ground.programs().states()[event.on].pid
            if not pid:
                return
            members = processes.family(pid)
            if fault is Fault.KILL:
                _signal(members, signal.SIGKILL)
            else:
                _signal(members, signal.SIGSTOP)
                self._after(event, lambda: _signal(members, signal.SIGCONT))

    def _at_guest(self, fault: Fault, event: Event, instance: str) -> None:
        cloud, name = self._ground.cloud(), object_name(instance, LedgerKind.SERVER, 1)
        if fault is Fault.CUT_OFF:
            faults.link_down(cloud, name)
            self._after(event, lambda: faults.link_up(cloud, name))
        elif fault is Fault.FREEZE_GUEST:
            faults.freeze(cloud, name)
            self._after(event, lambda: faults.thaw(cloud, name))
        else:
            agents.kill(self._ground, instance, _PROGRAMS[fault])

    def _after(self, event: Event, repair: Callable[[], None]) -> None:
        def repair_if_it_is_there() -> None:
            with suppress(errors.Error, OSError):
                repair()

        self._repairs.append((time.monotonic() + event.seconds, repair_if_it_is_there))

    # Afterwards

    def violations(self) -> list[str]:
        """Wait until all has ended, look at everything, and delete it; return what is wrong."""
        ground = self._ground
        began = time.monotonic()
        self._wait_for_the_end()
        self.seconds_to_recover = time.monotonic() - began
        self.clerk.stop()
        wrong = self._wrong + self._of_operations()
        wrong += [f"{ground.stuck()} are stuck"] if ground.stuck() else []
        mine = {one.instance for one in self.accepted}
        rows = [row for row in ground.sql("SELECT id, status FROM instances") if row["id"] in mine]
        wrong += [twice for row in rows for twice in ground.made_twice(row["id"])]
        if not ground.usage().items() >= ground.living().items():
            wrong.append(f"usage {ground.usage()}, but there are {ground.living()}")
        if leaked := ground.leaked():
            wrong.append(leaked)
        wrong += self._of_engines([row["id"] for row in rows if row["status"] == "ACTIVE"])
        living = [row["id"] for row in rows if row["status"] != "DELETED"]
        for instance in living:
            requests.delete_instance(self._tenant, instance)
        ground.wait_until_idle(living)
        ground.assert_nothing_left()
        return wrong

    def _wait_for_the_end(self) -> None:
        """Return when no operation goes on; a parked one waits for an operator, and is told."""
        ended = ", ".join(f"'{state}'" for state in (*ENDED, "parked"))
        going = f"SELECT instance_id FROM operations WHERE state NOT IN ({ended})"
        try:
            self._ground.wait_for(lambda: not self._ground.sql(going), "the end", PATIENCE)
        except AssertionError as error:
            stuck = [row["instance_id"] for row in self._ground.sql(going)]
            raise AssertionError(f"{error}\n{self._ground.explain(stuck)}") from None

    def _of_operations(self) -> list[str]:
        """Compare what was accepted with what was done: each once, or for a good reason not."""
        mine = {one.instance for one in self.accepted}
        rows = [
            row
            for row in self._ground.sql(
                "SELECT id, kind, instance_id, state, step, fault_message, superseded_by"
                " FROM operations"
            )
            if row["instance_id"] in mine
        ]
        wrong = [f"parked: {row}" for row in rows if row["state"] == "parked"]
        self._failed = [row for row in rows if row["state"] in ("failed", "cancelled")]
        for row in self._failed:
            LOG.warning("failed: %s", row)
        wrong += [
            f"without a reason: {row}"
            for row in self._failed
            if not row["fault_message"] and not row["superseded_by"]
        ]
        done = Counter((row["kind"], row["instance_id"]) for row in rows)
        asked = Counter((one.kind, one.instance) for one in self.accepted)
        refused = Counter((one.kind, one.instance) for one in self._refused)
        for key in done | asked:
            most = asked[key] + (refused[key] if key[0] in _ANSWERED_LATER else 0)
            # A delete of what is being deleted is the same one.
            least = min(asked[key], 1) if key[0] == "delete_instance" else asked[key]
            if not least <= done[key] <= most:
                wrong.append(f"{key} was accepted {asked[key]} times and done {done[key]} times")
        return wrong

    def _of_engines(self, instances: Sequence[str]) -> list[str]:
        wrong = []
        for instance in instances:
            try:
                self._ground.wait_until_it_serves(instance)
            except AssertionError:
                explained = self._ground.explain([instance])
                wrong.append(f"{instance} shows ACTIVE and does not serve: {explained}")
        if not wrong and self._slots[0] in instances and (lost := self.clerk.lost()):
            wrong.append(f"rows were acknowledged and are not there: {sorted(lost)}")
        return wrong


class Recorder:
    """Implements `requests.Api`: remembers how the last request was answered."""

    def __init__(self, api: requests.Api) -> None:
        self._api = api
        self.status = 0

    def request(self, method: str, path: str, body: object = None, /) -> requests.Answer:
        answer = self._api.request(method, path, body)
        self.status = answer.status
        return answer


def _signal(members: Sequence[int], number: int) -> None:
    for pid in members:
        with suppress(ProcessLookupError):
            os.kill(pid, number)
