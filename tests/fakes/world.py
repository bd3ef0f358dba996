"""What operations act upon, in memory and with every fault: a cloud's objects, a bus, guests.

Nothing here runs by itself: a test says what happens next, and `Luck` what goes wrong.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dbaas.contract import codec, errors
from dbaas.contract.messages import Cancelled, Failure, Fate, Health, ServiceStatus, VolumeSize
from tests.fakes.journal import Clock

Pause = Callable[[str], None]
"""Called where another process may go on, or this one may die."""


class Luck:
    """A finite stream of choices; when it is used up, all goes well."""

    def __init__(self, choices: bytes) -> None:
        self._choices = choices
        self._next = 0

    @property
    def used_up(self) -> bool:
        return self._next >= len(self._choices)

    def pick(self, options: int) -> int:
        """Return a number below `options`; 0 is what is harmless."""
        if self.used_up or options <= 1:
            return 0
        choice = self._choices[self._next]
        self._next += 1
        return choice % options


# The cloud


@dataclass
class Call:
    """A create that is on its way; what it makes appears `delay` seconds after its end."""

    delay: float
    broken: bool = False
    """The caller died or lost its lease: that is the end of it, too."""


@dataclass
class Object:
    name: str
    id: str
    appears: float
    vanishes: float | None = None
    call: Call | None = None


class Objects:
    """Things with names, which come and go a little later than they are asked to.

    What is created with an answer that got lost appears within the settle time, counted from the
    end of the call: when it returned, or when its caller died or lost its lease.
    """

    def __init__(self, clock: Clock, luck: Luck, pause: Pause, settle_time: float) -> None:
        self.settle_time = settle_time
        self.poll_interval = 0.5
        self.made: list[str] = []
        self.defects: list[str] = []
        self.calls: dict[str, Call] = {}
        """The open call of each thread, by the thread's name."""
        self.caller = ""
        self._clock = clock
        self._luck = luck
        self._pause = pause
        self._objects: list[Object] = []

    def find(self, name: str) -> Object | None:
        self._pause("before find")
        if self._luck.pick(8) == 7:
            raise errors.Unavailable("the cloud does not answer")
        found = self.get(name)
        self._pause("after find")
        return found

    def get(self, name: str) -> Object | None:
        return next((each for each in self._living() if self._visible(each, name)), None)

    def create(self, name: str) -> Object:
        fate = self._luck.pick(8)
        if fate in (5, 6):
            kind = errors.Unavailable if fate == 5 else errors.OverQuota
            self._pause("in create")
            raise kind("nothing was created")
        if self.get(name) is not None:
            raise errors.Conflict(f"{name} is there already")
        if any(each.name == name for each in self._living()):
            self.defects.append(f"{name} is made twice at the same time")
        self.made.append(name)
        delay = self._delay() if fate in (3, 4) else 0.0
        now = self._clock.now
        made = Object(name, f"id-{len(self.made)}", now + delay)
        self._objects.append(made)
        if fate in (2, 3, 4) and self.settle_time:
            made.call = self.calls[self.caller] = Call(delay)
        mine = self.caller
        self._pause("in create")
        if made.call is not None:
            if not made.call.broken:
                made.appears = self._clock.now + delay
            self.calls.pop(mine, None)
            made.call = None
        if fate in (1, 2, 3, 4):
            raise errors.Unavailable("the answer of the cloud was lost")
        return made

    def delete(self, name: str) -> None:
        fate = self._luck.pick(6)
        if fate == 4:
            raise errors.Unavailable("the cloud does not answer")
        found = self.get(name)
        if found is not None and found.vanishes is None:
            found.vanishes = self._clock.now + (self._delay() if fate in (2, 3) else 0.0)
        self._pause("in delete")
        if fate in (1, 3):
            raise errors.Unavailable("the answer of the cloud was lost")

    def names(self) -> set[str]:
        """Return what is there, or will be."""
        return {each.name for each in self._living()}

    def next_change(self) -> list[float]:
        moments = [(each.appears, each.vanishes) for each in self._living()]
        return [moment for pair in moments for moment in pair if moment is not None]

    def give_up_call(self, caller: str) -> None:
        """Nobody waits for the end of this call any more."""
        call = self.calls.pop(caller, None)
        if call is not None:
            call.broken = True
            for each in self._objects:
                if each.call is call:
                    each.appears = self._clock.now + call.delay

    def _delay(self) -> float:
        return self.settle_time * self._luck.pick(10) / 10.0

    def _living(self) -> list[Object]:
        now = self._clock.now
        self._objects = [
            each for each in self._objects if each.vanishes is None or each.vanishes > now
        ]
        return self._objects

    def _visible(self, each: Object, name: str) -> bool:
        open_call = each.call is not None and not each.call.broken
        return each.name == name and not open_call and each.appears <= self._clock.now


# Guests and the bus


@dataclass(frozen=True)
class Message:
    instance_id: str
    command_id: str
    epoch: int
    method: str
    target: str = ""
    """Of a `cancel`: the command that is not wanted any more."""


@dataclass(frozen=True)
class Event:
    instance_id: str
    command_id: str
    result: Any


class Bus:
    """Carries messages both ways; a test delivers them in any order, twice, or never."""

    def __init__(self, luck: Luck, pause: Pause) -> None:
        self.away = False
        self.commands: list[Message] = []
        self.events: list[Event] = []
        self.sent: set[str] = set()
        """Every command that was ever taken."""
        self._luck = luck
        self._pause = pause

    def send(
        self,
        instance_id: str,
        command_id: str,
        epoch: int,
        method: str,
        body: bytes,
        request_id: str,
    ) -> None:
        self._pause("before send")
        fate = self._luck.pick(8)
        if self.away or fate == 6:
            raise errors.Unavailable("the broker does not answer")
        target = command_id.removesuffix(".cancel") if method == "cancel" else ""
        self.commands.append(Message(instance_id, command_id, epoch, method, target))
        self.sent.add(command_id)
        self._pause("after send")
        if fate == 7:
            raise errors.Unavailable("the confirmation of the broker was lost")


@dataclass
class Answer:
    fate: Fate
    result: Any


@dataclass
class Guest:
    """An agent as it is on its disk: what it accepted, what it answered, whom it obeys."""

    id: str
    bus: Bus
    luck: Luck
    begun: Callable[[str], None]
    """Told of each command when it begins to have effects."""
    dead: bool = False
    queue: list[Message] = field(default_factory=list)
    running: Message | None = None
    answers: dict[str, Answer] = field(default_factory=dict)
    epochs: dict[str, int] = field(default_factory=dict)
    runs: dict[str, int] = field(default_factory=dict)

    def take(self, message: Message) -> None:
        operation = message.command_id.partition(".")[0]
        if self.dead or message.epoch < self.epochs.get(operation, 0):
            return
        self.epochs[operation] = message.epoch
        if message.command_id in self.answers:
            self._tell(message.command_id)
        elif message.method == "cancel":
            self._cancel(message)
        elif message != self.running and message.command_id not in self._accepted():
            self.queue.append(message)

    def work(self) -> None:
        """End what runs, or begin what is next."""
        if self.dead:
            return
        if self.running is not None:
            self._finish(self.running, Fate.FINISHED, self._outcome(self.running))
        elif self.queue:
            self.running = self.queue.pop(0)
            self.runs[self.running.command_id] = self.runs.get(self.running.command_id, 0) + 1
            self.begun(self.running.command_id)

    def crash(self) -> None:
        """The agent dies and comes back: what it was at is reported as a failure."""
        if self.running is not None:
            self._finish(self.running, Fate.FINISHED, _failure("Failed", "it was interrupted"))

    def idle(self) -> bool:
        return self.dead or (self.running is None and not self.queue)

    def _accepted(self) -> set[str]:
        running = [] if self.running is None else [self.running]
        return {message.command_id for message in (*self.queue, *running)}

    def _cancel(self, order: Message) -> None:
        running = self.running
        if running is not None and running.command_id == order.target:
            if self.luck.pick(4) == 3:
                busy = _failure("Busy", "it cannot be stopped where it is")
                self._store(order.command_id, Fate.FINISHED, busy)
                return
            self._finish(running, Fate.STOPPED, _failure("Conflict", "it was cancelled"))
        self.queue = [each for each in self.queue if each.command_id != order.target]
        known = self.answers.get(order.target)
        if known is None:
            never = _failure("Conflict", "it was cancelled before it ran")
            known = self.answers[order.target] = Answer(Fate.NEVER_RAN, never)
        elif known.fate is Fate.FINISHED:
            self._tell(order.target)
        said = {"ok": codec.dump(Cancelled(known.fate))}
        self._store(order.command_id, Fate.FINISHED, said)

    def _finish(self, message: Message, fate: Fate, result: Any) -> None:
        self.running = None
        self._store(message.command_id, fate, result)

    def _store(self, command_id: str, fate: Fate, result: Any) -> None:
        self.answers[command_id] = Answer(fate, result)
        self._tell(command_id)

    def _tell(self, command_id: str) -> None:
        self.bus.events.append(Event(self.id, command_id, self.answers[command_id].result))

    def _outcome(self, message: Message) -> Any:
        fate = self.luck.pick(8)
        if fate >= 6:
            return _failure("Busy" if fate == 6 else "Failed", "the guest could not")
        if message.method == "grow_volume":
            return {"ok": codec.dump(VolumeSize(2, 1))}
        return {"ok": codec.dump(Health(ServiceStatus.HEALTHY))}


def _failure(kind: str, text: str) -> Any:
    return {"error": codec.dump(Failure(kind, text))}
