"""Whatever happens to task managers, guests, cloud, broker and catalog: every operation ends well.

Hypothesis writes plans, a schedule and luck; `HYPOTHESIS_PROFILE=thorough` tries many more of them.
"""

import os
from random import Random

from hypothesis import HealthCheck, Phase, event, given, note, settings
from hypothesis import strategies as st

from dbaas.contract.operations import ENDED, LedgerKind, State
from dbaas.taskmanager.flow import Unreachable
from tests.unit.taskmanager.simulation import INSTANCES, Act, Does, Fortune, Part, Plan, Simulation

EXAMPLES = {"quick": 600, "thorough": 20_000}[os.environ.get("HYPOTHESIS_PROFILE", "quick")]

NEVER = ("Unavailable",) * 10_000
"""Longer than any deadline lets it be retried."""

retryable = st.lists(st.sampled_from(["Unavailable", "Busy"]), max_size=2).map(tuple)
fatal = st.sampled_from([("Failed",), ("Busy", "Failed"), ("NeedsOperator",), ("defect",), NEVER])
do_fails = st.one_of(st.just(()), st.just(()), retryable, fatal)
undo_fails = st.one_of(
    st.just(()), st.just(()), retryable, st.sampled_from([("Failed",), ("NeedsOperator",)])
)
kinds = st.sampled_from(LedgerKind)
asking = st.sampled_from([Does.ASK, Does.ASK_TWICE, Does.ASK_ALL, Does.WAIT, Does.NOTHING])


@st.composite
def parts(draw: st.DrawFn, *, pivoted: bool, pivot: bool) -> Part:
    """Return a step; what is made before the pivot is unmade when it is undone."""
    bad_writes = draw(st.sampled_from([0, 0, 0, 0, 1, 10_000]))
    if not pivoted and draw(st.booleans()):
        kind = draw(kinds)
        return Part(
            Act(Does.MAKE, kind, draw(do_fails)),
            Act(Does.UNMAKE, kind, draw(undo_fails)),
            pivot,
            bad_writes,
        )
    if pivoted and draw(st.booleans()):
        does = draw(st.sampled_from([Does.MAKE, Does.UNMAKE]))
        return Part(Act(does, draw(kinds), draw(do_fails)), None, pivot, bad_writes)
    does = draw(st.one_of(asking, st.just(Does.TOLERATE)))
    undo = draw(st.none() | st.builds(Act, asking, kinds, undo_fails))
    return Part(Act(does, fails=draw(do_fails)), undo, pivot, bad_writes)


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    length = draw(st.integers(1, 4))
    pivot = draw(st.integers(0, length))
    supersede = draw(st.sampled_from([True, True, False]))
    locks = ("i0",) if supersede else draw(st.sampled_from([("i0",), ("i0",), INSTANCES]))
    return Plan(
        tuple(draw(parts(pivoted=n >= pivot, pivot=n == pivot)) for n in range(length)),
        locks,
        supersede,
        draw(st.sampled_from(Unreachable)),
        draw(st.integers(0, 19)) == 19,
        supersede and draw(st.booleans()),
    )


def streams(longest: int) -> st.SearchStrategy[bytes]:
    """Return choices: some that shrink well, and more of which every byte is as likely."""
    sizes = st.integers(0, longest)
    simple = sizes.flatmap(lambda size: st.binary(min_size=size, max_size=size))
    even = st.integers(0, 2**64 - 1).map(lambda seed: _even(Random(seed), longest))
    return simple | even | even


def _even(source: Random, longest: int) -> bytes:
    return source.randbytes(source.randint(0, longest))


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    print_blob=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.target, Phase.shrink],
)
@given(
    st.lists(plans(), min_size=1, max_size=3),
    st.sampled_from([0.0, 5.0, 30.0]),
    streams(300),
    st.builds(Fortune, streams(40), streams(40), streams(100)),
)
def test_every_operation_ends_and_leaves_what_the_ledger_says(
    what: list[Plan], settle_time: float, schedule: bytes, luck: Fortune
) -> None:
    sim = Simulation(what, settle_time, schedule, luck)
    sim.run()
    for line in sim.log[-400:]:
        note(line)
    for row in sim.journal.operations.values():
        event(f"ends {row.state}{' after undo' if row.position.phase == 'undo' else ''}")
    expect_all_well(sim)


def expect_all_well(sim: Simulation) -> None:
    journal = sim.journal
    assert sim.defects == []
    assert sim.objects.defects == []
    assert journal.stuck() == []
    for row in journal.operations.values():
        assert row.state in ENDED or (row.state is State.PARKED and row.fault is not None)
        expect_written_once(sim, row.id)
    assert all(journal.operations[each].state not in ENDED for each in journal.locks.values())
    expect_ledger_and_cloud_to_agree(sim)
    for guest in sim.guests.values():
        assert all(times == 1 for times in guest.runs.values()), guest.runs


def expect_written_once(sim: Simulation, operation_id: str) -> None:
    row = sim.journal.operations[operation_id]
    notes = [each for each in sim.journal.notes if each[0] == operation_id]
    done = [each[1] for each in notes if each[-1] == "do"]
    undone = [each[1] for each in notes if each[-1] == "undo"]
    assert done == list(range(len(done))), "steps end once, in order"
    assert undone == sorted(set(undone), reverse=True), "undone once, in reverse order"
    assert not (undone and row.position.pivoted), "never undone from the pivot on"
    assert notes.count((operation_id, "failed")) == (row.state is State.FAILED)
    if row.state is State.SUCCEEDED:
        assert len(done) == len(row.steps)
        assert not undone
    if row.state in ENDED:
        assert not [each for each in sim.journal.commands.values() if operation_id in each.id]
        assert "sealed" not in f"{row.request}{row.data}"


def expect_ledger_and_cloud_to_agree(sim: Simulation) -> None:
    journal = sim.journal
    living = {row.name for row in journal.ledger.values() if row.state != "gone"}
    assert sim.objects.names() <= living, "nothing leaks"
    if all(row.state in (State.SUCCEEDED, State.FAILED) for row in journal.operations.values()):
        assert sim.objects.names() == living
    for row in journal.ledger.values():
        assert row.tried_at is not None or row.name not in sim.objects.made, "intent before effect"
