"""What a step may use: guests, clouds, the broker, the ledger, the catalog.

Calls on guests are journalled: the first time the line writes the command, publishes it and leaves
the step by `Wait`; when the answer is in the catalog the step runs again and the same line returns
it. So a step must ask the same things in the same order whenever it runs.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol, TypeVar, cast

from dbaas.catalog import journal
from dbaas.cloud.base import Cloud
from dbaas.common import killpoints
from dbaas.common.killpoints import Side
from dbaas.common.sealing import Sealer
from dbaas.contract import codec, errors
from dbaas.contract.interfaces import GUEST_VERBS, GuestAgent, Verb
from dbaas.contract.messages import Cancel, Failure
from dbaas.contract.operations import (
    Claim,
    CommandRecord,
    Fact,
    Gone,
    LedgerEntry,
    LedgerKind,
    Made,
    Operation,
    Phase,
)
from dbaas.taskmanager.flow import Wait
from dbaas.taskmanager.journal import ClaimLost, Journal, Write

T = TypeVar("T")

PUBLISH_AGAIN = 10.0
"""Seconds after which a command without an answer is published once more."""

_AWAY = 1.0


class Bus(Protocol):
    """How commands get to guests, and what the broker must have for that."""

    def send(
        self,
        instance_id: str,
        command_id: str,
        epoch: int,
        method: str,
        body: bytes,
        request_id: str,
    ) -> None:
        """Publish a command; raise `Unavailable` when the broker does not take it."""


class Lease(Protocol):
    """Whether the right to carry the operation on still holds, as far as one can know locally."""

    def check(self) -> None:
        """Raise `ClaimLost` when it may not hold any more."""


class Identified(Protocol):
    @property
    def id(self) -> str: ...


O = TypeVar("O", bound=Identified)  # noqa: E741 # an object of a cloud


@dataclass(frozen=True)
class Means:
    """What a task manager has for all its operations."""

    journal: Journal
    cloud: Cloud
    bus: Bus
    sealer: Sealer
    reached: killpoints.Reached
    services: Any = None
    """What the flows' own steps share: `steps.services.Services`."""


class Toolbox:
    """The tools for one run of one step."""

    def __init__(self, means: Means, claim: Claim, lease: Lease, op: Operation, step: str) -> None:
        self.cloud = means.cloud
        self.services = means.services
        self.operation_id = op.id
        self.writes: list[Write] = []
        self.facts: list[Fact] = []
        """What was learnt of clouds and is not journalled yet."""
        self._means = means
        self._claim = claim
        self._lease = lease
        self._op = op
        self._step = step
        self._calls = 0
        self._commands = dict(op.commands)

    # Catalog

    def write(self, write: Write) -> None:
        """Write this in the transaction that journals the end of the step: once, or never."""
        self.writes.append(write)

    def say(self, text: str) -> None:
        """Tell whoever looks at the operation something about this step, when it has ended."""
        step = self._op.position.step
        self.write(lambda unit: journal.say(unit, self.operation_id, step, text))

    # Guests

    def guest(self, instance_id: str) -> GuestAgent:
        """Return the agent of this instance; its verbs are journalled calls."""
        return cast(GuestAgent, _Guest(self, instance_id))

    def ask_all(self, verb: str, orders: Mapping[str, object]) -> dict[str, Any]:
        """Give each instance its order at once; return the answers when all of them are there."""
        answers: dict[str, Any] = {}
        waits = []
        for instance_id in sorted(orders):
            try:
                answers[instance_id] = self.call(instance_id, verb, orders[instance_id])
            except Wait as wait:
                waits.append(wait.seconds)
        if waits:
            raise Wait(min(waits))
        return answers

    def call(self, instance_id: str, method: str, order: object = None) -> Any:
        """Make one journalled call."""
        self._calls += 1
        command_id = f"{self._attempt}{self._calls}"
        return self._journalled(command_id, instance_id, GUEST_VERBS[method], order)

    def tell(self, instance_id: str, method: str, order: object, about: str) -> None:
        """Give an order whose answer nobody waits for: it is no call of the step's.

        `about` tells it from others of this attempt. It may be another one each time, and is not
        given while the last one may be on its way.
        """
        prefix = f"{self._attempt}{about}."
        told = [one for id_, one in self._commands.items() if id_.startswith(prefix)]
        if any(one.age < PUBLISH_AGAIN for one in told):
            return
        verb, body = GUEST_VERBS[method], _body(order)
        self._send_new(f"{prefix}{len(told) + 1}", instance_id, verb, body)

    def outstanding(self) -> list[CommandRecord]:
        """Return the calls of the present attempt that were not answered, in order."""
        return [
            command
            for command in self._commands.values()
            if command.id.startswith(self._attempt)
            and not command.answered
            and command.id.removeprefix(self._attempt).isdecimal()
        ]

    @property
    def _attempt(self) -> str:
        """What the ids of all commands of the present attempt begin with."""
        position = self._op.position
        return f"{self._op.id}.{position.step}.{position.phase}.{position.attempt}."

    def cancel_outstanding(self) -> bool:
        """Make sure that no command of this attempt is running; return False if nobody knows.

        Leaves by `Wait` until the guest has said what became of each of them.
        """
        known = True
        waits = []
        for command in self.outstanding():
            try:
                self._journalled(
                    _cancel_id(command.id),
                    command.instance_id,
                    GUEST_VERBS["cancel"],
                    Cancel(command.id),
                )
            except errors.RETRYABLE:
                # It cannot be stopped: its own answer is the next that can be heard of it.
                if self._op.superseded or command.left <= 0:
                    known = False
                else:
                    waits.append(min(PUBLISH_AGAIN, command.left))
            except errors.Error:
                known = False
            except Wait as wait:
                waits.append(wait.seconds)
        if waits:
            raise Wait(min(waits))
        return known

    def _journalled(self, command_id: str, instance_id: str, verb: Verb, order: object) -> Any:
        body = b"{}" if verb.takes is None else _body(order)
        known = self._commands.get(command_id)
        if known is None:
            self._send_new(command_id, instance_id, verb, body)
            raise Wait(PUBLISH_AGAIN)
        if known.digest != self._digest(instance_id, verb, body):
            raise errors.NeedsOperator(
                f"step {self._step} asked {verb.name} something else when it ran again"
            )
        cancelled = _cancel_id(command_id) in self._commands
        if known.answered and not (cancelled and "error" in known.result):
            return self._answer(verb, known.result)
        if known.left <= 0:
            raise errors.Failed(
                f"The guest did not answer '{verb.name}' within {verb.deadline:.0f} seconds."
            )
        if cancelled:
            raise errors.Unavailable(f"'{verb.name}' was interrupted.")
        if known.age >= PUBLISH_AGAIN or self._claim.takeover:
            self._journal(lambda journal: journal.touch_command(self._claim, command_id))
            self._publish(known, verb, body)
        raise Wait(min(max(PUBLISH_AGAIN - known.age, 0.1), known.left))

    def _send_new(self, command_id: str, instance_id: str, verb: Verb, body: bytes) -> None:
        digest = self._digest(instance_id, verb, body)
        command = CommandRecord(
            command_id, instance_id, verb.name, digest, False, None, 0.0, verb.deadline
        )
        self._journal(lambda journal: journal.write_command(self._claim, command))
        self._commands[command_id] = command
        self._publish(command, verb, body)

    def _digest(self, instance_id: str, verb: Verb, body: bytes) -> str:
        return self._means.sealer.digest(f"{verb.name} {instance_id} {body.decode()}")

    def _publish(self, command: CommandRecord, verb: Verb, body: bytes) -> None:
        self.reached(Side.BEFORE_CALL)
        self._lease.check()
        try:
            self._means.bus.send(
                command.instance_id,
                command.id,
                self._claim.epoch,
                command.method,
                body,
                self._op.request_id,
            )
        except errors.Unavailable:
            # The time while the broker is away is not the guest's: its deadline begins anew.
            self._journal(
                lambda journal: journal.unsend_command(self._claim, command.id, verb.deadline)
            )
            raise Wait(_AWAY) from None
        self.reached(Side.AFTER_CALL)

    def _answer(self, verb: Verb, result: Any) -> Any:
        if "error" in result:
            failure = codec.load(Failure, result["error"])
            raise errors.BY_NAME.get(failure.kind, errors.Failed)(failure.text)
        if "ok" not in result:
            raise errors.Invalid(f"The guest gave no answer to '{verb.name}'.")
        return codec.load_any(verb.gives, result["ok"], self._means.sealer.show, verb.name)

    # Clouds

    def make(
        self,
        instance_id: str,
        kind: LedgerKind,
        find: Callable[[str], O | None],
        create: Callable[[str], O],
        settle: float,
    ) -> O:
        """Return the instance's object of this kind, made under the name that the ledger gives.

        Adopts what is there already. After a create of unknown outcome it waits `settle` seconds
        before it creates again.
        """
        self._note_facts()
        entry = self._journal(lambda journal: journal.intend(self._claim, instance_id, kind))
        age = self._tried_age(entry)
        self.reached(Side.BEFORE_CALL)
        found = None if entry.new else find(entry.name)
        if found is None:
            if not entry.new:
                if age is not None and age < settle:
                    raise Wait(settle - age)
                self._journal(lambda journal: journal.tried(self._claim, entry.name))
            self._lease.check()
            found = self._create(entry.name, find, create)
        self.reached(Side.AFTER_CALL)
        if found.id != entry.external_id:
            self.facts.append(Made(entry.name, found.id))
        return found

    def _note_facts(self) -> None:
        """Journal at once what the ledger has to know before it is asked."""
        if self.facts:
            self._journal(lambda journal: journal.note(self._claim, self.facts))
            self.facts = []

    def _tried_age(self, entry: LedgerEntry) -> float | None:
        """Return the seconds since a create of unknown outcome ended, if there was one.

        One of an owner that stopped in the middle may have lasted until then: it counts from now.
        """
        if entry.tried_age is None or entry.external_id or not self._claim.takeover:
            return entry.tried_age
        self._tried_now(entry.name)
        return 0.0

    def _tried_now(self, name: str) -> None:
        try:
            self._means.journal.tried(self._claim, name)
        except errors.Unavailable as error:
            raise ClaimLost(name) from error  # the lease runs out; who takes over counts anew

    def _create(self, name: str, find: Callable[[str], O | None], create: Callable[[str], O]) -> O:
        try:
            return create(name)
        except errors.Conflict:
            # It appeared since it was looked for: an earlier create was slow.
            found = find(name)
            if found is None:
                raise
            return found
        except errors.Unavailable:
            # The time within which it may appear begins now, and not when the call did.
            self._tried_now(name)
            raise

    def unmake(
        self,
        instance_id: str,
        kind: LedgerKind,
        find: Callable[[str], O | None],
        delete: Callable[[str], None],
        settle: float,
    ) -> None:
        """Delete all that the instance has, or may have, of this kind, and see that it is gone."""
        left = False
        self._note_facts()
        entries = self._journal(lambda journal: journal.living(instance_id, kind))
        ages = [self._tried_age(entry) for entry in entries]
        for entry, age in zip(entries, ages, strict=True):
            self.reached(Side.BEFORE_CALL)
            self._lease.check()
            delete(entry.name)
            self.reached(Side.AFTER_CALL)
            may_appear = not entry.external_id and age is not None and age < settle
            if may_appear or find(entry.name) is not None:
                left = True
            else:
                self.facts.append(Gone(entry.name))
        if left:
            self.look_again()

    def look_again(self) -> NoReturn:
        """Leave the step, which runs again when the cloud may have come further."""
        raise Wait(self.cloud.poll_interval)

    def name_of(self, instance_id: str, kind: LedgerKind) -> str:
        """Return the name of the instance's living object; raise `Failed` if it has none."""
        self._note_facts()
        living = self._journal(lambda journal: journal.living(instance_id, kind))
        if not living:
            raise errors.Failed(f"The instance has no {kind} any more.")
        return living[-1].name

    def effect(self, work: Callable[[], T]) -> T:
        """Do something to a cloud that may be repeated and needs no entry in the ledger."""
        self.reached(Side.BEFORE_CALL)
        self._lease.check()
        done = work()
        self.reached(Side.AFTER_CALL)
        return done

    def _journal(self, work: Callable[[Journal], T]) -> T:
        """Return what `work` gives; when the catalog is away, that is no failure of the step.

        Who took over does not give the claim back then: that it did has to be known to the next.
        """
        try:
            return work(self._means.journal)
        except errors.Unavailable as error:
            if self._claim.takeover:
                raise ClaimLost(self.operation_id) from error
            raise Wait(_AWAY) from None

    def reached(self, side: Side) -> None:
        self._means.reached(self._op.kind, self._step, side)


class _Guest:
    """Every verb of `GuestAgent` as a journalled call; what it lacks is an AttributeError."""

    def __init__(self, tools: Toolbox, instance_id: str) -> None:
        self._tools = tools
        self._instance_id = instance_id

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in GUEST_VERBS:
            raise AttributeError(name)

        def call(order: object = None) -> Any:
            return self._tools.call(self._instance_id, name, order)

        return call


def step_name(phase: Phase, name: str) -> str:
    """Return how kill points and logs call a step: the undo of one has a name of its own."""
    return name if phase is Phase.DO else f"undo_{name}"


def _cancel_id(command_id: str) -> str:
    return f"{command_id}.cancel"


def _body(order: object) -> bytes:
    return json.dumps({"args": codec.dump(order)}, sort_keys=True).encode()
