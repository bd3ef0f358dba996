"""Task managers, guests and a cloud under a schedule that somebody else wrote.

The runner, its toolbox and its decisions are the real ones; each claimed operation runs on a stack
of its own, which gives way before and after every journal call, cloud call, publication and kill
point. The schedule says who goes on, who dies there, who stands still for how long, and what
happens meanwhile. When it is used up, all goes well, and everything has to come to its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, cast

import greenlet

from dbaas.catalog.journal import ClaimLost
from dbaas.catalog.operations import Request
from dbaas.cloud.base import Cloud
from dbaas.common.killpoints import Side
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.messages import VolumeGrowth
from dbaas.contract.operations import (
    ENDED,
    Claim,
    Fact,
    Fault,
    Gone,
    LedgerKind,
    Operation,
    Phase,
    Position,
    State,
)
from dbaas.contract.secret import Secret
from dbaas.taskmanager.flow import Flow, Step, Unreachable, Wait
from dbaas.taskmanager.journal import Journal, Write
from dbaas.taskmanager.runner import Runner
from dbaas.taskmanager.toolbox import Means, Toolbox
from tests.fakes.journal import Clock, MemoryJournal, Row
from tests.fakes.world import Bus, Event, Guest, Luck, Message, Objects

LEASE = 15.0
INSTANCES = ("i0", "i1")
PROCESSES = 3

_INSTANT = 1e-6
"""What everything takes at least: on a clock that stands still the shortest wait would not end."""
_ROUNDS = 100_000
_STEP_DEADLINE = 120.0
_DEADLINE = 900.0


# What is run


class Does(StrEnum):
    """What a step of a plan does."""

    NOTHING = "nothing"
    MAKE = "make"
    UNMAKE = "unmake"
    ASK = "ask"
    ASK_TWICE = "ask twice"
    ASK_ALL = "ask all"
    TOLERATE = "tolerate"
    WAIT = "wait"


@dataclass(frozen=True)
class Act:
    """`fails`: the errors that it raises, one each time, when all else is done."""

    does: Does
    kind: LedgerKind = LedgerKind.SERVER
    fails: tuple[str, ...] = ()


@dataclass(frozen=True)
class Part:
    """A step to be; its first `bad_writes` writes are refused when its end is journalled."""

    do: Act
    undo: Act | None = None
    pivot: bool = False
    bad_writes: int = 0


@dataclass(frozen=True)
class Plan:
    """An operation to be."""

    parts: tuple[Part, ...]
    locks: tuple[str, ...] = ("i0",)
    supersede: bool = False
    unreachable: Unreachable = Unreachable.PARK
    bad_begin: bool = False
    ends_guest: bool = False


@dataclass(frozen=True)
class Fortune:
    """What goes wrong, in each room on its own."""

    cloud: bytes = b""
    guests: bytes = b""
    catalog: bytes = b""


@dataclass(frozen=True)
class Order:
    password: Secret


@dataclass
class Trail:
    """The journalled data: where it has been."""

    instance_id: str
    password: Secret
    done: list[int]


class Crash(BaseException):
    """The process dies here."""


class Notes:
    """What the ends of operations write."""

    def failed(self, op: Operation, fault: Fault) -> list[Write]:
        return [lambda unit: unit.append((op.id, "failed"))]

    def parked(self, op: Operation, fault: Fault) -> list[Write]:
        return [lambda unit: unit.append((op.id, "parked"))]


@dataclass(eq=False)
class Process:
    name: str
    frozen: bool = False
    renews: bool = True
    workers: list["Worker"] = field(default_factory=list)


@dataclass(eq=False)
class Worker:
    """A thread of a process, at work on one claim; and the lease that goes with it."""

    name: str
    clock: Clock
    claim: Claim
    until: float
    stack: Any = None

    def check(self) -> None:
        if self.clock.now >= self.until:
            raise ClaimLost(self.claim.operation_id)


# What is watched


class WatchedJournal(MemoryJournal):
    """Looks at the world whenever something is journalled."""

    def __init__(self, clock: Clock, sealer: Sealer, sim: "Simulation") -> None:
        super().__init__(clock, sealer)
        self._sim = sim

    def start(self, claim: Claim, *args: Any, **kwargs: Any) -> Operation:
        begun = super().start(claim, *args, **kwargs)
        row = self.operations[claim.operation_id]
        for other in self.operations.values():
            earlier = other.id < row.id and set(other.locks) & set(row.locks)
            if earlier and other.state not in ENDED:
                self._sim.defect(f"{row.id} starts before {other.id} has ended")
        return begun

    def advance(self, claim: Claim, *args: Any, **kwargs: Any) -> Operation | None:
        before = self._fence(claim).position
        self._sim.expect_quiet_guests(claim.operation_id, before)
        return super().advance(claim, *args, **kwargs)

    def park(self, claim: Claim, *args: Any, **kwargs: Any) -> bool:
        before = self._fence(claim).position
        self._sim.expect_quiet_guests(claim.operation_id, before)
        return super().park(claim, *args, **kwargs)

    def finish(self, claim: Claim, *args: Any, **kwargs: Any) -> None:
        row = self._fence(claim)
        self._sim.expect_quiet_guests(claim.operation_id, row.position)
        super().finish(claim, *args, **kwargs)
        self._sim.expect_nothing_left(row)

    def tried(self, claim: Claim, name: str) -> None:
        super().tried(claim, name)
        if self.ledger[name].state == "gone":
            self._sim.defect(f"{name} is made again after it was gone")

    def _note(self, facts: Sequence[Fact]) -> None:
        super()._note(facts)
        for fact in facts:
            if isinstance(fact, Gone) and fact.name in self._sim.objects.names():
                self._sim.defect(f"{fact.name} is written off and still there")


class Interruptible:
    """The journal as runners get it: they may be interrupted around every call, or not get it."""

    def __init__(self, sim: "Simulation", journal: MemoryJournal, luck: Luck) -> None:
        self._sim = sim
        self._journal = journal
        self._luck = luck

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._journal, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            self._sim.pause(f"before {name}")
            fate = self._luck.pick(32)
            if fate == 30:
                raise errors.Unavailable("the catalog does not answer")
            result = method(*args, **kwargs)
            self._sim.pause(f"after {name}")
            if fate == 31:
                raise errors.Unavailable("the catalog broke off in a commit")
            return result

        return call


class Simulation:
    def __init__(
        self, plans: Sequence[Plan], settle_time: float, schedule: bytes, luck: Fortune
    ) -> None:
        self.plans = plans
        self.defects: list[str] = []
        self.unsure: set[str] = set()
        """Operations that went on although a guest did not say what it does."""
        self.log: list[str] = []
        self.clock = Clock()
        self._schedule = Luck(schedule)
        self._of_guests = Luck(luck.guests)
        sealer = Sealer(bytes(32))
        self.journal = WatchedJournal(self.clock, sealer, self)
        self.objects = Objects(self.clock, Luck(luck.cloud), self.pause, settle_time)
        self.bus = Bus(self._of_guests, self.pause)
        self.guests = {name: self._guest(name) for name in INSTANCES}
        self._processes = [Process(f"tm{n}") for n in range(PROCESSES)]
        self._current: Worker | None = None
        self._started = 0
        self._accepted = 0
        self._counts: dict[tuple[str, int, Phase], int] = {}
        self._refused: dict[tuple[str, int, Phase], int] = {}
        means = Means(
            journal=cast(Journal, Interruptible(self, self.journal, Luck(luck.catalog))),
            cloud=cast(Cloud, self.objects),
            bus=self.bus,
            sealer=sealer,
            reached=self._reached,
        )
        flows = {f"plan{n}": self._flow(f"plan{n}", plan) for n, plan in enumerate(plans)}
        self._runner = Runner(means, flows, Notes())
        self.accept_next()

    def _guest(self, name: str) -> Guest:
        return Guest(name, self.bus, self._of_guests, self._begun)

    def run(self) -> None:
        """Do what the schedule says, and let everything come to its end."""
        while not self._schedule.used_up:
            self._happen()
        self._settle()

    def defect(self, text: str) -> None:
        self.defects.append(text)
        self.note(f"DEFECT: {text}")

    def note(self, text: str) -> None:
        who = "" if self._current is None else f"{self._current.name} "
        self.log.append(f"{self.clock.now - 1000:9.2f} {who}{text}")

    # Flows

    def _flow(self, kind: str, plan: Plan) -> Flow[Any]:
        def begin(op: Operation, request: Order) -> Trail:
            if plan.bad_begin:
                raise errors.Failed("this cannot be begun")
            return Trail(op.instance_id, request.password, [])

        return Flow(
            kind,
            Order,
            Trail,
            begin,
            tuple(self._step(n, part) for n, part in enumerate(plan.parts)),
            deadline=_DEADLINE,
            unreachable=plan.unreachable,
            ends_guest=plan.ends_guest,
        )

    def _step(self, n: int, part: Part) -> Step:
        def do(op: Trail, tools: Toolbox) -> None:
            self._act(part.do, op, tools, n, Phase.DO, part.bad_writes)

        def undo(op: Trail, tools: Toolbox) -> None:
            if part.undo is not None:
                self._act(part.undo, op, tools, n, Phase.UNDO, 0)

        do.__name__ = f"step_{n}"
        return Step(do, None if part.undo is None else undo, part.pivot, _STEP_DEADLINE)

    def _act(
        self, act: Act, op: Trail, tools: Toolbox, n: int, phase: Phase, bad_writes: int
    ) -> None:
        key = (tools.operation_id, n, phase)
        self._do(act, op.instance_id, tools, key)
        failed = self._counts.get(key, 0)
        if failed < len(act.fails):
            self._counts[key] = failed + 1
            kind = errors.BY_NAME.get(act.fails[failed], RuntimeError)
            raise kind(f"step {n} fails")
        op.done.append(n)

        def write(unit: list[Any]) -> None:
            refused = self._refused.get(key, 0)
            if refused < bad_writes:
                self._refused[key] = refused + 1
                raise errors.Conflict("this cannot be written")
            unit.append(key)

        tools.write(write)

    def _do(self, act: Act, instance_id: str, tools: Toolbox, key: tuple[str, int, Phase]) -> None:
        cloud, settle = self.objects, self.objects.settle_time
        match act.does:
            case Does.MAKE:
                tools.make(instance_id, act.kind, cloud.find, cloud.create, settle)
            case Does.UNMAKE:
                tools.unmake(instance_id, act.kind, cloud.find, cloud.delete, settle)
            case Does.ASK:
                tools.guest(instance_id).restart()
            case Does.ASK_TWICE:
                tools.guest(instance_id).restart()
                tools.guest(instance_id).grow_volume(VolumeGrowth(key[1]))
            case Does.ASK_ALL:
                tools.ask_all("grow_volume", {each: VolumeGrowth(1) for each in INSTANCES})
            case Does.TOLERATE:
                try:
                    tools.guest(instance_id).ping()
                except errors.Failed:
                    self.note("does without an answer")
            case Does.WAIT:
                began = self._counts.setdefault((key[0], -1 - key[1], key[2]), int(self.clock.now))
                if self.clock.now < began + 7:
                    raise Wait(3.0)

    # Processes

    def pause(self, point: str) -> None:
        """Give way: another one goes on now, and this one later, or never."""
        worker = self._current
        if worker is not None:
            self.note(point)
            worker.stack.parent.switch()

    def _reached(self, kind: str, step: str, side: Side) -> None:
        self.pause(f"{kind}:{step}:{side}")

    def _claim(self, process: Process, limit: int) -> bool:
        if process.frozen:
            return False
        claims = self.journal.claim(process.name, LEASE, limit)
        for claim in claims:
            self._started += 1
            name = f"{process.name}.{self._started}"
            self.note(f"{name} claims {claim.operation_id[-2:]} epoch {claim.epoch}")
            self._give_up_calls([each for one in self._processes for each in one.workers], claim)
            worker = Worker(name, self.clock, claim, self.clock.now + LEASE)
            worker.stack = greenlet.greenlet(lambda worker=worker: self._work(worker))
            process.workers.append(worker)
        return bool(claims)

    def _work(self, worker: Worker) -> None:
        try:
            self._runner.carry_on(worker.claim, worker)
        except Crash:
            self.note("dies")
        except errors.Unavailable as error:
            self.note(f"leaves it: {error.text}")
        except Exception as error:  # noqa: BLE001 # whatever it is, it is a defect
            self.defect(f"carry_on raised {error!r}")

    def _resume(self, process: Process, worker: Worker, *, crash: bool = False) -> None:
        self._current = worker
        self.objects.caller = worker.name
        self.clock.now += _INSTANT
        if not crash:
            worker.stack.switch()
        elif worker.stack:
            worker.stack.throw(Crash)
        self._current = None
        if crash or worker.stack.dead:
            process.workers.remove(worker)

    def _crash(self, process: Process) -> None:
        self._give_up_calls(process.workers)
        for worker in list(process.workers):
            self._resume(process, worker, crash=True)
        process.frozen, process.renews = False, True

    def _freeze(self, process: Process) -> None:
        self.note(f"{process.name} stands still")
        self._give_up_calls(process.workers)
        process.frozen = True

    def _give_up_calls(self, workers: list[Worker], claim: Claim | None = None) -> None:
        """These do not matter any more; with `claim`: those that it takes over from."""
        for worker in workers:
            if claim is None or worker.claim.operation_id == claim.operation_id:
                self.objects.give_up_call(worker.name)

    def _pass_time(self, seconds: float) -> None:
        """Let time pass, and processes renew their leases."""
        while seconds > 0:
            renewing = [each for each in self._processes if each.workers and not each.frozen]
            part = min(seconds, LEASE / 3) if renewing else seconds
            self.clock.now += part
            seconds -= part
            for process in renewing:
                if process.renews:
                    self._renew(process)

    def _renew(self, process: Process) -> None:
        held = self.journal.renew([worker.claim for worker in process.workers], LEASE)
        for worker in process.workers:
            kept = worker.claim.operation_id in held and self.clock.now < worker.until
            worker.until = self.clock.now + LEASE if kept else 0.0

    # What happens

    def _happen(self) -> None:
        pick = self._schedule.pick
        self._EVENTS[pick(len(self._EVENTS))](self)

    def _run_one(self) -> None:
        ready = [(one, each) for one in self._processes if not one.frozen for each in one.workers]
        if ready:
            self._resume(*ready[self._schedule.pick(len(ready))])
        else:
            self._claim_some()

    def _run_some(self) -> None:
        self._run_for(1 + self._schedule.pick(12))

    def _run_for(self, times: int) -> None:
        for _ in range(times):
            ready = [
                (one, each) for one in self._processes if not one.frozen for each in one.workers
            ]
            if ready:
                self._resume(*ready[0])

    def _some_process(self) -> Process:
        return self._processes[self._schedule.pick(len(self._processes))]

    def _claim_some(self) -> None:
        self._claim(self._some_process(), 2)

    def _crash_one(self) -> None:
        self._crash(self._some_process())

    def _freeze_one(self) -> None:
        self._freeze(self._some_process())

    def _thaw_one(self) -> None:
        process = self._some_process()
        process.frozen, process.renews = False, True

    def _take_over(self) -> None:
        """A process loses all that it is at, by death or by a long pause; others go on with it."""
        working = [each for each in self._processes if each.workers and not each.frozen]
        if not working:
            return
        process = working[self._schedule.pick(len(working))]
        dies = self._schedule.pick(2)
        (self._crash if dies else self._freeze)(process)
        self._pass_time((LEASE + 0.1, 35.0, 100.0)[self._schedule.pick(3)])
        for other in self._processes:
            if other is not process:
                self._claim(other, 2)
        self._run_for(self._schedule.pick(60))
        if not dies:
            process.frozen = False

    def _stop_renewing(self) -> None:
        self._some_process().renews = False

    def _tick(self) -> None:
        self._pass_time((0.1, 0.5, 1.0, 4.0)[self._schedule.pick(4)])

    def _leap(self) -> None:
        self._pass_time((16.0, 31.0, 61.0, 200.0)[self._schedule.pick(4)])

    def _long_leap(self) -> None:
        self._pass_time(1_000.0)

    def _deliver(self) -> None:
        if self.bus.commands:
            message = self.bus.commands.pop(self._schedule.pick(len(self.bus.commands)))
            self._hand_over(message)

    def _hand_over(self, message: Message) -> None:
        self.note(f"{message.instance_id} gets {message.command_id[-18:]} @{message.epoch}")
        self.guests[message.instance_id].take(message)

    def _guest_works(self) -> None:
        self.guests[INSTANCES[self._schedule.pick(2)]].work()

    def _guest_crashes(self) -> None:
        self.guests[INSTANCES[self._schedule.pick(2)]].crash()

    def _guest_dies(self) -> None:
        self.guests[INSTANCES[self._schedule.pick(2)]].dead = True

    def _report(self) -> None:
        if self.bus.events:
            self._store(self.bus.events.pop(self._schedule.pick(len(self.bus.events))))

    def _store(self, event: Event) -> None:
        first = self.journal.answer(event.command_id, event.instance_id, event.result)
        self.note(f"answer to {event.command_id[-18:]}: {event.result}{'' if first else ' (late)'}")

    def _lose(self) -> None:
        queue: list[Any] = self.bus.commands if self._schedule.pick(2) else self.bus.events
        if queue:
            queue.pop(self._schedule.pick(len(queue)))

    def _duplicate(self) -> None:
        queue: list[Any] = self.bus.commands if self._schedule.pick(2) else self.bus.events
        if queue:
            queue.append(queue[self._schedule.pick(len(queue))])

    def _broker(self) -> None:
        self.bus.away = not self.bus.away

    def accept_next(self) -> None:
        """Accept the next plan, if nothing that it may not supersede has its locks."""
        if self._accepted == len(self.plans):
            return
        plan = self.plans[self._accepted]
        request = Request(
            kind=f"plan{self._accepted}",
            instance_id=plan.locks[0],
            project_id="p",
            user_id="u",
            request_id="r",
            body=Order(Secret("swordfish")),
            locks=plan.locks,
            supersede=plan.supersede,
        )
        try:
            self.journal.accept(request)
        except errors.Busy:
            return
        self.note(f"plan {self._accepted} is accepted")
        self._accepted += 1

    def _decide(self) -> None:
        parked = [row.id for row in self.journal.operations.values() if row.state is State.PARKED]
        if parked:
            operation_id = parked[self._schedule.pick(len(parked))]
            if self._schedule.pick(3):
                self._retry(self.journal.operations[operation_id])
            else:
                self.journal.abandon(operation_id)

    def _retry(self, row: Row) -> None:
        """As an operator does, who has less patience here than in the catalog."""
        self.journal.retry(row.id)
        if row.deadline is not None:
            row.deadline = row.step_deadline = self.clock.now + _STEP_DEADLINE

    _EVENTS = (
        *(_run_some,) * 8,
        *(_run_one,) * 8,
        *(_claim_some,) * 3,
        *(_tick,) * 3,
        *(_deliver,) * 3,
        *(_guest_works,) * 3,
        *(_report,) * 3,
        *(_leap,) * 2,
        *(accept_next,) * 3,
        *(_take_over,) * 2,
        _long_leap,
        _crash_one,
        _freeze_one,
        _thaw_one,
        _stop_renewing,
        _guest_crashes,
        _guest_dies,
        _lose,
        _duplicate,
        _broker,
        _decide,
    )

    def _settle(self) -> None:
        self.note("from here on all goes well")
        self.bus.away = False
        for process in self._processes:
            process.frozen, process.renews = False, True
        for _ in range(_ROUNDS):
            if not self._round():
                moment = self._next_moment()
                if moment is None:
                    return
                self._pass_time(moment - self.clock.now)
        self.defect("it does not come to an end")

    def _round(self) -> bool:
        moved = False
        while self.bus.commands:
            self._hand_over(self.bus.commands.pop(0))
            moved = True
        for guest in self.guests.values():
            while not guest.idle():
                guest.work()
                moved = True
        while self.bus.events:
            self._store(self.bus.events.pop(0))
            moved = True
        for process in self._processes:
            moved = self._claim(process, 1) or moved
            for worker in list(process.workers):
                self._resume(process, worker)
                moved = True
        return moved

    def _next_moment(self) -> float | None:
        moments = self.objects.next_change()
        for row in self.journal.operations.values():
            if row.state is State.RUNNABLE:
                moments += [each for each in (row.run_at, row.lease_until) if each is not None]
        later = [moment for moment in moments if moment >= self.clock.now]
        return min(later) + 0.001 if later else None

    # What must hold all the time

    def _begun(self, command_id: str) -> None:
        """A guest begins a command: it must be one of what its operation is doing now."""
        operation_id, step, phase, attempt, *_ = command_id.split(".")
        row = self.journal.operations[operation_id]
        at = (str(row.position.step), row.position.phase.value, str(row.position.attempt))
        self.note(f"{command_id[-12:]} begins to run")
        if operation_id in self.unsure:
            return
        if row.state in ENDED or at != (step, phase, attempt):
            self.defect(f"{command_id} runs while its operation is {row.state} at {at}")

    def expect_quiet_guests(self, operation_id: str, before: Position) -> None:
        """The attempt at `before` is over: no guest may still be, or get, at its commands."""
        if self._guest_is_ended_after(operation_id):
            self.unsure.add(operation_id)
            return
        prefix = f"{operation_id}.{before.step}.{before.phase}.{before.attempt}."
        for command in list(self.journal.commands.values()):
            mine = command.id.startswith(prefix) and command.method != "cancel"
            if not mine or command.result is not None:
                continue
            cancel = self.journal.commands.get(f"{command.id}.cancel")
            if cancel is None:
                if command.id in self.bus.sent:
                    self.defect(f"{command.id} is left alone")
            elif cancel.result is None and cancel.deadline > self.clock.now:
                self.defect(f"{command.id} is cancelled without waiting for the answer")
            elif cancel.result is None or "error" in cancel.result:
                self.unsure.add(operation_id)
                waited = cancel.result is None or command.deadline <= self.clock.now
                if not waited and self.journal.operations[operation_id].superseded_by is None:
                    self.defect(f"{command.id} was not waited for although it runs")
        for guest in self.guests.values():
            running = guest.running
            if guest.dead or running is None or operation_id in self.unsure:
                continue
            if running.command_id.startswith(prefix):
                self.defect(f"{running.command_id} runs on")

    def _guest_is_ended_after(self, operation_id: str) -> bool:
        successor = self.journal.operations[operation_id].superseded_by
        if successor is None:
            return False
        kind = self.journal.operations[successor].kind
        return self.plans[int(kind.removeprefix("plan"))].ends_guest

    def expect_nothing_left(self, row: Row) -> None:
        """An operation that was undone leaves nothing of what it made."""
        parts = self.plans[int(row.kind.removeprefix("plan"))].parts
        undone = {
            note[1] for note in self.journal.notes if note[0] == row.id and note[-1] == "undo"
        }
        begun = [n for n, step in enumerate(row.steps) if step.attempts]
        missing = [n for n in begun if parts[n].undo is not None and n not in undone]
        if row.state is State.FAILED and missing:
            self.defect(f"{row.id} failed, and steps {missing} were not undone")
        if row.position.pivoted:
            if row.state is State.FAILED:
                self.defect(f"{row.id} failed after its pivot instead of being parked")
            return
        if row.state in (State.FAILED, State.CANCELLED) and not missing:
            for n in begun:
                part = parts[n]
                left = [each.name for each in self.journal.living(row.instance_id, part.do.kind)]
                if part.do.does is Does.MAKE and left:
                    self.defect(f"{row.id} is {row.state} and leaves {left}")
