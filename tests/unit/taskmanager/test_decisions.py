"""Where an operation goes next: every path, from every position, in every flow."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbaas.contract.operations import Phase, Position, State
from dbaas.taskmanager import decisions
from dbaas.taskmanager.decisions import Decision, End, Go, Stop
from dbaas.taskmanager.flow import HOUR, Flow, Step


def nothing(_op: object, _tools: object) -> None: ...


def flow_of(undos: list[bool], pivot: int | None) -> Flow[object]:
    steps = tuple(
        Step(nothing, undo=nothing if undo else None, pivot=n == pivot)
        for n, undo in enumerate(undos)
    )
    return Flow("kind", object, object, lambda _op, _request: object(), steps)


FLOW = flow_of([True, False, True, True], pivot=2)


def do(step: int, attempt: int = 1, *, pivoted: bool = False) -> Position:
    return Position(Phase.DO, step, attempt, pivoted)


def undo(step: int, attempt: int = 1, *, pivoted: bool = False) -> Position:
    return Position(Phase.UNDO, step, attempt, pivoted)


@pytest.mark.parametrize(
    ("at", "superseded", "expected"),
    [
        (do(0), False, Go(do(1))),
        (do(0, attempt=7), False, Go(do(1))),
        (do(1), False, Go(do(2, pivoted=True))),
        (do(2, pivoted=True), False, Go(do(3, pivoted=True))),
        (do(3, pivoted=True), False, End(State.SUCCEEDED)),
        (undo(1), False, Go(undo(0))),
        (undo(1, attempt=3), True, Go(undo(0))),
        (undo(0), False, End(State.FAILED)),
        (undo(0), True, End(State.CANCELLED)),
    ],
)
def test_after_success_the_next_step_follows(
    at: Position, superseded: bool, expected: Decision
) -> None:
    assert decisions.after_success(FLOW, at, superseded) == expected


@pytest.mark.parametrize(
    ("at", "retryable", "expired", "superseded", "expected"),
    [
        (do(1), True, False, False, Go(do(1, attempt=2), 0.5)),
        (do(1, attempt=3), True, False, False, Go(do(1, attempt=4), 2.0)),
        (do(1, attempt=90), True, False, False, Go(do(1, attempt=91), 15.0)),
        (do(1), True, True, False, Go(undo(0))),
        (do(1), False, False, False, Go(undo(0))),
        (do(0), False, False, False, Go(undo(0))),
        (do(2, pivoted=True), True, False, False, Go(do(2, attempt=2, pivoted=True), 0.5)),
        (do(2, pivoted=True), True, True, False, Stop()),
        (do(2, pivoted=True), False, False, False, Stop()),
        (do(2, pivoted=True), False, False, True, End(State.CANCELLED)),
        (undo(0), True, False, False, Go(undo(0, attempt=2), 0.5)),
        (undo(0), True, True, False, Stop()),
        (undo(0), False, False, False, Stop()),
        (undo(0), False, False, True, End(State.CANCELLED)),
    ],
)
def test_after_a_failure_it_is_retried_then_undone_or_from_the_pivot_on_parked(
    at: Position, retryable: bool, expired: bool, superseded: bool, expected: Decision
) -> None:
    found = decisions.after_failure(
        FLOW, at, retryable=retryable, expired=expired, superseded=superseded
    )
    assert found == expected


@pytest.mark.parametrize(("pause", "delay"), [(0.1, 0.5), (20.0, 20.0), (1e6, 300.0)])
def test_who_asks_to_be_left_alone_is_but_not_for_ever(pause: float, delay: float) -> None:
    found = decisions.after_failure(
        FLOW, do(1), retryable=True, expired=False, superseded=False, pause=pause
    )
    assert found == Go(do(1, attempt=2), delay)


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (do(0), Go(undo(0))),
        (do(1), Go(undo(0))),
        (do(2, pivoted=True), End(State.CANCELLED)),
        (undo(1), None),
        (undo(0), None),
    ],
)
def test_a_superseded_operation_makes_room(at: Position, expected: Decision | None) -> None:
    assert decisions.when_superseded(FLOW, at) == expected


def test_what_software_may_not_decide_waits_for_a_human_unless_a_successor_is_there() -> None:
    assert decisions.when_undecidable(superseded=False) == Stop()
    assert decisions.when_undecidable(superseded=True) == End(State.CANCELLED)


def test_a_flow_that_begins_with_its_pivot_has_passed_it_at_once() -> None:
    assert decisions.first(flow_of([True, True], pivot=0)).pivoted
    assert not decisions.first(flow_of([True, True], pivot=1)).pivoted


def test_a_step_is_retried_for_its_deadline_and_an_undo_for_a_day() -> None:
    assert decisions.patience(FLOW, do(1)) == HOUR
    assert decisions.patience(FLOW, undo(1)) == decisions.UNDO_PATIENCE


@given(st.integers(1, 10**9))
def test_the_delay_between_attempts_grows_and_is_bounded(attempt: int) -> None:
    assert 0.5 <= decisions.backoff(attempt) <= decisions.backoff(attempt + 1) <= 15.0


flows = st.lists(st.booleans(), min_size=1, max_size=8).flatmap(
    lambda undos: st.builds(flow_of, st.just(undos), st.none() | st.integers(0, len(undos) - 1))
)

outcomes = st.lists(
    st.tuples(
        st.sampled_from(["success", "retryable", "expired", "fatal", "undecidable"]), st.booleans()
    ),
    max_size=40,
)
"""How each thing that is tried ends, and whether a later request arrives before it."""


def path(flow: Flow[object], ends: list[tuple[str, bool]]) -> tuple[list[Position], Decision, bool]:
    """Follow the decisions; when `ends` is used up all succeeds. Return where it went."""
    trail = [decisions.first(flow)]
    superseded = False
    for n in range(200):
        at = trail[-1]
        outcome, arrives = ends[n] if n < len(ends) else ("success", False)
        superseded = superseded or arrives
        decision = decisions.when_superseded(flow, at) if superseded else None
        if decision is None:
            decision = follow(flow, at, outcome, superseded)
        if not isinstance(decision, Go):
            return trail, decision, superseded
        trail.append(decision.position)
    raise AssertionError("it does not end")


def follow(flow: Flow[object], at: Position, outcome: str, superseded: bool) -> Decision:
    if outcome == "success":
        return decisions.after_success(flow, at, superseded)
    if outcome == "undecidable":
        return decisions.when_undecidable(superseded)
    return decisions.after_failure(
        flow,
        at,
        retryable=outcome != "fatal",
        expired=outcome == "expired",
        superseded=superseded,
    )


@given(flows, outcomes)
def test_every_path_ends_and_undoes_in_reverse_what_was_before_the_pivot(
    flow: Flow[object], ends: list[tuple[str, bool]]
) -> None:
    trail, end, superseded = path(flow, ends)
    done = [at.step for at in trail if at.phase is Phase.DO and at.attempt == 1]
    undone = [at.step for at in trail if at.phase is Phase.UNDO and at.attempt == 1]
    assert done == list(range(len(done))), "forward, each step once"
    assert undone == sorted(set(undone), reverse=True), "backward, each step once"
    if undone:
        assert not any(at.pivoted for at in trail), "never undone once the pivot was tried"
        back = next(n for n, at in enumerate(trail) if at.phase is Phase.UNDO)
        assert all(at.phase is Phase.UNDO for at in trail[back:]), "never forward again"
    if end == End(State.FAILED):
        assert not superseded
    if end == End(State.SUCCEEDED):
        assert done == list(range(len(flow.steps)))
        assert not undone
    if isinstance(end, Stop):
        assert not superseded, "a successor waits: nobody else decides"


@given(flows, outcomes)
def test_a_failure_before_the_pivot_leaves_nothing(
    flow: Flow[object], ends: list[tuple[str, bool]]
) -> None:
    harmless = [
        ("success" if outcome == "undecidable" else outcome, when) for outcome, when in ends
    ]
    trail, end, _ = path(flow, harmless)
    failed = next((n for n, at in enumerate(trail) if at.phase is Phase.UNDO), None)
    gave_up = any(outcome in ("fatal", "expired") for outcome, _ in harmless[failed or 0 :])
    if isinstance(end, End) and failed is not None and not gave_up:
        begun = {at.step for at in trail if at.phase is Phase.DO}
        undone = {at.step for at in trail if at.phase is Phase.UNDO}
        assert undone == {step for step in begun if flow.steps[step].undo is not None}


@given(flows, st.data())
def test_from_every_position_the_way_back_begins_with_the_step_itself(
    flow: Flow[object], data: st.DataObject
) -> None:
    step = data.draw(st.integers(0, len(flow.steps) - 1))
    decision = decisions.undo_from(flow, do(step), superseded=False)
    below = [n for n in range(step, -1, -1) if flow.steps[n].undo is not None]
    assert decision == (Go(undo(below[0])) if below else End(State.FAILED))


@given(flows, st.integers(1, 50))
def test_a_retry_changes_the_attempt_and_nothing_else(flow: Flow[object], attempt: int) -> None:
    at = replace(decisions.first(flow), attempt=attempt)
    decision = decisions.after_failure(flow, at, retryable=True, expired=False, superseded=False)
    assert decision == Go(replace(at, attempt=attempt + 1), decisions.backoff(attempt))
