"""Carries one claimed operation on from where its journal says, until it waits or ends.

Nothing is kept between two runs: whoever claims the operation next reads the same journal and goes
on. Losing the claim is no error: somebody else has it.
"""

import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from dbaas.common.context import log_under
from dbaas.common.killpoints import Side
from dbaas.common.sealing import Sealer
from dbaas.contract import codec, errors
from dbaas.contract.operations import Claim, Fact, Fault, Operation, Phase, Position, State
from dbaas.taskmanager import decisions
from dbaas.taskmanager.decisions import Decision, Stop
from dbaas.taskmanager.flow import Flow, Unreachable, Wait
from dbaas.taskmanager.journal import NOTHING, ClaimLost, Effects, Journal, Write
from dbaas.taskmanager.toolbox import Lease, Means, Toolbox, step_name

LOG = logging.getLogger(__name__)

_PREDECESSOR_POLL = 1.0

_OUTCOMES: Mapping[State, str] = {
    State.SUCCEEDED: "succeeded",
    State.FAILED: "failed",
    State.CANCELLED: "been cancelled",
}


class Endings(Protocol):
    """What else is written when an operation does not end well: what its instance shows."""

    def failed(self, op: Operation, fault: Fault) -> list[Write]:
        """Everything was undone."""

    def parked(self, op: Operation, fault: Fault) -> list[Write]:
        """Somebody has to decide."""


class Listener(Protocol):
    """Hears what happens, after it was written down; it returns at once, and raises nothing."""

    def ran(self, op: Operation, step: str, seconds: float, outcome: str) -> None:
        """A step ran for so long: it is `done`, has `failed`, or is `waiting`."""

    def stopped(self, op: Operation, state: State) -> None:
        """It has ended, or was parked."""


class _Silent:
    """Nothing: who asked sees the operation itself."""

    def failed(self, _op: Operation, _fault: Fault) -> list[Write]:
        return []

    def parked(self, _op: Operation, _fault: Fault) -> list[Write]:
        return []


_SILENT = _Silent()


class Runner:
    """Runs operations of the kinds in `flows`; one for all threads of a process."""

    def __init__(
        self,
        means: Means,
        flows: Mapping[str, Flow[Any]],
        endings: Endings,
        listeners: Sequence[Listener] = (),
    ) -> None:
        self._means = means
        self._journal: Journal = means.journal
        self._sealer: Sealer = means.sealer
        self._flows = flows
        self._endings = endings
        self._listeners = listeners

    def carry_on(self, claim: Claim, lease: Lease) -> None:
        """Run steps until the operation waits, ends, or is no longer ours.

        Raises `Unavailable` when the catalog is away: the lease then runs out by itself.
        """
        try:
            op: Operation | None = self._journal.load(claim)
            while op is not None and (op := self._go(claim, lease, op)) is not None:
                lease.check()
        except ClaimLost:
            LOG.info("Operation %s is carried on elsewhere.", claim.operation_id)

    def _go(self, claim: Claim, lease: Lease, op: Operation) -> Operation | None:
        """Run what is next; return the operation as it is then, None if it is no longer ours."""
        log_under(op.request_id)
        if not op.predecessor_ended:
            return self._sleep(claim, op, _PREDECESSOR_POLL, [])
        flow = self._flows.get(op.kind)
        if flow is None:
            fault = Fault("NeedsOperator", f"This version cannot do '{op.kind}'.")
            return self._record_undecidable(claim, op, fault)
        if not op.started:
            return self._start(claim, flow, op)
        return self._step(claim, lease, flow, op)

    def _sleep(
        self, claim: Claim, op: Operation, seconds: float, facts: Sequence[Fact]
    ) -> Operation | None:
        if self._journal.sleep(claim, seconds, op.wakes, facts):
            return None
        return self._journal.load(claim)  # it was woken meanwhile

    def _start(self, claim: Claim, flow: Flow[Any], op: Operation) -> Operation | None:
        if op.superseded:
            self._finish(claim, op, State.CANCELLED, None, NOTHING)
            return None
        try:
            data = flow.begin(op, codec.load(flow.request, op.request, self._sealer.show))
        except Exception as error:  # noqa: BLE001 # nothing was done yet; it would not help again
            fault = _fault_of(op, error)
            effects = Effects(writes=self._endings_of(flow).failed(op, fault))
            self._finish(claim, op, State.FAILED, fault, effects)
            return None
        position = decisions.first(flow)
        LOG.info("Operation %s (%s) of instance %s begins", op.id, op.kind, op.instance_id)
        return self._journal.start(
            claim,
            op,
            [step.name for step in flow.steps],
            position,
            self._dump(data),
            flow.deadline,
            decisions.patience(flow, position),
        )

    def _step(self, claim: Claim, lease: Lease, flow: Flow[Any], op: Operation) -> Operation | None:
        try:
            step = flow.steps[op.position.step]
            data = codec.load(flow.data, op.data, self._sealer.show)
        except (IndexError, errors.Invalid):
            LOG.exception("Operation %s (%s) cannot be read", op.id, op.kind)
            fault = Fault("NeedsOperator", f"This version cannot go on with '{op.kind}'.")
            return self._record_undecidable(claim, op, fault)
        name = step_name(op.position.phase, step.name)
        tools = Toolbox(self._means, claim, lease, op, name)
        decision = decisions.when_superseded(flow, op.position) if op.superseded else None
        began = time.monotonic()
        failure: Exception | None = None
        try:
            if decision is None:
                function = step.function if op.position.phase is Phase.DO else step.undo
                decision, failure = self._try(flow, op, function, data, tools)
            decision = self._sure_of_guests(flow, decision, failure, tools, op)
        except Wait as wait:
            self._ran(op, name, began, "waiting")
            return self._sleep(claim, op, wait.seconds, tools.facts)
        if failure is None:
            effects = Effects(tools.facts, tools.writes)
            try:
                now = self._record(claim, flow, op, decision, self._dump(data), None, effects)
            except (ClaimLost, errors.Unavailable):
                raise
            except Exception as error:  # noqa: BLE001 # what the step wanted written was refused
                decision, failure = self._after_failure(flow, op, error), error
        if failure is not None:
            fault = _fault_of(op, failure)
            LOG.warning("Operation %s (%s): %s: %s", op.id, op.kind, name, fault.message)
            now = self._record(claim, flow, op, decision, op.data, fault, Effects(tools.facts))
        self._ran(op, name, began, "done" if failure is None else "failed")
        tools.reached(Side.AFTER_RECORD)
        return now

    def _try(
        self,
        flow: Flow[Any],
        op: Operation,
        function: Callable[[Any, Any], None] | None,
        data: Any,
        tools: Toolbox,
    ) -> tuple[Decision, Exception | None]:
        tools.reached(Side.BEFORE_INTENT)
        try:
            if function is not None:
                function(data, tools)
        except Wait:
            if not _expired(op):
                raise
            slow = errors.Failed(_too_slow(flow, op.position))
            return self._after_failure(flow, op, slow), slow
        except ClaimLost:
            raise
        except Exception as error:  # noqa: BLE001 # runners are a place that catches everything
            return self._after_failure(flow, op, error), error
        return decisions.after_success(flow, op.position, op.superseded), None

    @staticmethod
    def _after_failure(flow: Flow[Any], op: Operation, error: Exception) -> Decision:
        if isinstance(error, errors.NeedsOperator):
            return decisions.when_undecidable(op.superseded)
        return decisions.after_failure(
            flow,
            op.position,
            retryable=isinstance(error, errors.RETRYABLE),
            expired=_expired(op),
            superseded=op.superseded,
            pause=error.after if isinstance(error, errors.Unavailable) else 0.0,
        )

    def _sure_of_guests(
        self,
        flow: Flow[Any],
        decision: Decision,
        failure: Exception | None,
        tools: Toolbox,
        op: Operation,
    ) -> Decision:
        """Return `decision` once no guest runs a command of this attempt any more.

        A step that ended well although a guest did not answer may do without that guest. Nobody
        waits for one that is about to be ended, and may be dead.
        """
        successor = self._flows.get(op.superseder)
        if successor is not None and successor.ends_guest:
            return decision
        if not tools.outstanding() or tools.cancel_outstanding() or op.superseded:
            return decision
        return Stop() if failure and flow.unreachable is Unreachable.PARK else decision

    def _record(
        self,
        claim: Claim,
        flow: Flow[Any],
        op: Operation,
        decision: Decision,
        document: Any,
        fault: Fault | None,
        effects: Effects,
    ) -> Operation | None:
        position = op.position
        if isinstance(decision, Stop):
            known = fault or Fault("NeedsOperator", "The guest does not answer.")
            LOG.error("Operation %s (%s) is parked: %s", op.id, op.kind, known.message)
            writes = self._endings_of(flow).parked(op, known)
            return self._park(claim, op, known, Effects(effects.facts, writes))
        if isinstance(decision, decisions.End):
            known = fault or self._first_fault(op)
            if decision.state is State.FAILED:
                writes = self._endings_of(flow).failed(op, known)
                effects = Effects(effects.facts, [*effects.writes, *writes])
            ended = None if decision.state is State.SUCCEEDED else known
            self._finish(claim, op, decision.state, ended, effects)
            LOG.info("Operation %s (%s) has %s", op.id, op.kind, _OUTCOMES[decision.state])
            return None
        after = decision.position
        same = (after.phase, after.step) == (position.phase, position.step)
        return self._journal.advance(
            claim,
            op,
            after,
            document,
            step_deadline=None if same else decisions.patience(flow, after),
            delay=decision.delay,
            fault=fault,
            effects=effects,
        )

    def _record_undecidable(self, claim: Claim, op: Operation, fault: Fault) -> Operation | None:
        if op.superseded:
            self._finish(claim, op, State.CANCELLED, fault, NOTHING)
            return None
        return self._park(claim, op, fault, Effects(writes=self._endings.parked(op, fault)))

    def _finish(
        self, claim: Claim, op: Operation, state: State, fault: Fault | None, effects: Effects
    ) -> None:
        self._journal.finish(claim, op.position, state, fault, effects)
        for listener in self._listeners:
            listener.stopped(op, state)

    def _park(
        self, claim: Claim, op: Operation, fault: Fault, effects: Effects
    ) -> Operation | None:
        """Return the operation if it was superseded meanwhile, and so goes on."""
        if self._journal.park(claim, op.position, fault, effects):
            return self._journal.load(claim)
        for listener in self._listeners:
            listener.stopped(op, State.PARKED)
        return None

    def _ran(self, op: Operation, step: str, began: float, outcome: str) -> None:
        for listener in self._listeners:
            listener.ran(op, step, time.monotonic() - began, outcome)

    @staticmethod
    def _first_fault(op: Operation) -> Fault:
        if op.fault is not None:
            return op.fault
        return Fault("Failed", "It was stopped by a later request.")

    def _endings_of(self, flow: Flow[Any]) -> Endings:
        return self._endings if flow.moves_instance else _SILENT

    def _dump(self, data: object) -> Any:
        return codec.dump(data, self._sealer.hide)


def _too_slow(flow: Flow[Any], position: Position) -> str:
    name = flow.steps[position.step].name.replace("_", " ")
    return f"'{name}' did not finish within {decisions.patience(flow, position):.0f} seconds."


def _expired(op: Operation) -> bool:
    """Return whether there is no time left to try again; an undo has all of its own."""
    late = op.left is not None and op.left <= 0 and op.position.phase is Phase.DO
    return late or (op.step_left is not None and op.step_left <= 0)


def _fault_of(op: Operation, error: Exception) -> Fault:
    details = "".join(traceback.format_exception(error, limit=-8))
    if isinstance(error, errors.Error):
        return Fault(type(error).__name__, error.text, details)
    LOG.error("Operation %s (%s) met a defect", op.id, op.kind, exc_info=error)
    return Fault("Failed", "An unexpected error occurred.", details)
