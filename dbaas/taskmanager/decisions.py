"""Decides where an operation goes next: pure functions over flows and positions.

Before the pivot a failure undoes in reverse order. From the pivot on it is retried with backoff,
then parked. A superseded operation stops at its next boundary and is undone, or, past its pivot,
left to its successor.
"""

from dataclasses import dataclass, replace
from typing import Any

from dbaas.contract.operations import Phase, Position, State
from dbaas.taskmanager.flow import Flow

UNDO_PATIENCE = 24 * 3600.0
"""Seconds for which an undo is retried before a human has to look."""

_LONGEST_DELAY = 15.0

_LONGEST_PAUSE = 300.0
"""Seconds for which an operation waits at most because somebody asked for it."""


@dataclass(frozen=True)
class Go:
    """Carry on at `position`, after `delay` seconds."""

    position: Position
    delay: float = 0.0


@dataclass(frozen=True)
class End:
    state: State


@dataclass(frozen=True)
class Stop:
    """Park: an operator or the tenant decides."""


Decision = Go | End | Stop


def first(flow: Flow[Any]) -> Position:
    return Position(pivoted=flow.steps[0].pivot)


def after_success(flow: Flow[Any], position: Position, superseded: bool) -> Decision:
    """Return what follows the end of a step, or of the undo of one."""
    if position.phase is Phase.UNDO:
        return _undo_below(flow, position, superseded)
    following = position.step + 1
    if following == len(flow.steps):
        return End(State.SUCCEEDED)
    pivoted = position.pivoted or flow.steps[following].pivot
    return Go(Position(Phase.DO, following, 1, pivoted))


def after_failure(
    flow: Flow[Any],
    position: Position,
    *,
    retryable: bool,
    expired: bool,
    superseded: bool,
    pause: float = 0.0,
) -> Decision:
    """Return what follows a failure; `expired`: there is no time left to retry it.

    `pause`: seconds that whoever failed asked to be left alone for.
    """
    if retryable and not expired:
        delay = max(backoff(position.attempt), min(pause, _LONGEST_PAUSE))
        return Go(replace(position, attempt=position.attempt + 1), delay)
    if position.phase is Phase.DO and not position.pivoted:
        return undo_from(flow, position, superseded)
    return when_undecidable(superseded)


def when_undecidable(superseded: bool) -> Decision:
    """Return what follows when software may not decide: a successor is as good as a human."""
    return End(State.CANCELLED) if superseded else Stop()


def when_superseded(flow: Flow[Any], position: Position) -> Decision | None:
    """Return how an operation makes room for its successor; None while it is undone already."""
    if position.phase is Phase.UNDO:
        return None
    if position.pivoted:
        return End(State.CANCELLED)
    return undo_from(flow, position, superseded=True)


def undo_from(flow: Flow[Any], position: Position, superseded: bool) -> Decision:
    """Return the begin of the way back: the step itself first, it may have half happened."""
    above = Position(Phase.UNDO, position.step + 1, 1, position.pivoted)
    return _undo_below(flow, above, superseded)


def _undo_below(flow: Flow[Any], position: Position, superseded: bool) -> Decision:
    for step in range(position.step - 1, -1, -1):
        if flow.steps[step].undo is not None:
            return Go(Position(Phase.UNDO, step, 1, position.pivoted))
    return End(State.CANCELLED if superseded else State.FAILED)


def patience(flow: Flow[Any], position: Position) -> float:
    """Return the seconds for which the step at `position` may be retried."""
    if position.phase is Phase.UNDO:
        return UNDO_PATIENCE
    return flow.steps[position.step].deadline


def backoff(attempt: int) -> float:
    """Return the seconds between a failed attempt and the next."""
    return float(min(_LONGEST_DELAY, 0.5 * 2 ** min(attempt - 1, 10)))
