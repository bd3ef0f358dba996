"""What every journal of operations must do: the one in the catalog, and its copy in memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest

from dbaas.catalog.journal import ClaimLost
from dbaas.catalog.operations import Request
from dbaas.catalog.unit import Catalog
from dbaas.contract import errors
from dbaas.contract.operations import (
    Claim,
    CommandRecord,
    Fact,
    Fault,
    Gone,
    LedgerKind,
    Made,
    Operation,
    Phase,
    Position,
    State,
)
from dbaas.contract.secret import Secret
from dbaas.taskmanager.journal import NOTHING, Effects, Write
from tests.catalog_server import CatalogServer
from tests.contract.journals import SEALER, InCatalog, InMemory, Operations, at

LEASE = 10.0
SECOND = Position(Phase.DO, 1)
FAULT = Fault("Failed", "it broke", "details")


@dataclass(frozen=True)
class Body:
    password: Secret


@pytest.fixture(scope="module")
def catalog(catalog_server: CatalogServer) -> Iterator[Catalog]:
    with catalog_server.opened() as made:
        yield made


@pytest.fixture(params=["memory", "catalog"])
def ops(request: pytest.FixtureRequest) -> Operations:
    if request.param == "memory":
        return InMemory()
    return InCatalog(request.getfixturevalue("catalog"))


def request_for(*instances: str, supersede: bool = False, kind: str = "restart") -> Request:
    return Request(
        kind=kind,
        instance_id=instances[0],
        project_id="p",
        user_id="u",
        request_id="r",
        body=Body(Secret("swordfish")),
        locks=instances,
        supersede=supersede,
    )


def claimed(ops: Operations, operation_id: str) -> Claim:
    (claim,) = ops.claim_one("tm", LEASE, operation_id)
    return claim


def started(ops: Operations, *instances: str) -> tuple[str, Claim]:
    operation_id = ops.accept(request_for(*(instances or ("i",))))
    claim = claimed(ops, operation_id)
    begin(ops, claim, ["one", "two", "three"])
    return operation_id, claim


def begin(
    ops: Operations,
    claim: Claim,
    steps: list[str],
    position: Position = Position(),  # noqa: B008 # it is frozen
    data: object = None,
) -> None:
    op = ops.journal.load(claim)
    begun = ops.journal.start(claim, op, steps, position, data or {"n": 1}, 600.0, 60.0)
    assert same(begun, ops.journal.load(claim))


def asked(ops: Operations, claim: Claim, n: int = 1, left: float = 30.0) -> str:
    command_id = f"{claim.operation_id}.0.do.1.{n}"
    record = CommandRecord(command_id, "i", "ping", "digest", False, None, 0.0, left)
    ops.journal.write_command(claim, record)
    return command_id


def advance(
    ops: Operations,
    claim: Claim,
    before: Position,
    after: Position,
    *,
    delay: float = 0.0,
    wakes: int = 0,
    fault: Fault | None = None,
    step_deadline: float | None = 60.0,
) -> bool:
    """Return whether the claim is kept; what is known then is what would be loaded."""
    known = replace(ops.journal.load(claim), position=before, wakes=wakes)
    moved = ops.journal.advance(
        claim,
        known,
        after,
        {"n": 2},
        step_deadline=step_deadline,
        delay=delay,
        fault=fault,
        effects=NOTHING,
    )
    if moved is not None:
        assert same(moved, ops.journal.load(claim))
    return moved is not None


def same(known: Operation, loaded: Operation) -> bool:
    """Whether they agree, but for commands of other steps and for some time that has passed."""
    for one, other in ((known.left, loaded.left), (known.step_left, loaded.step_left)):
        assert one == pytest.approx(other, abs=2)
    passing: dict[str, Any] = {"left": None, "step_left": None, "age": 0.0, "commands": {}}
    return replace(known, **passing) == replace(loaded, **passing)


# Accepting


def test_an_accepted_operation_is_runnable_and_holds_its_locks(ops: Operations) -> None:
    operation_id = ops.accept(request_for("i", "j"))
    assert ops.state(operation_id) is State.RUNNABLE
    assert ops.holder("i") == ops.holder("j") == operation_id


def test_a_locked_instance_is_busy_and_nothing_is_left_of_the_refused_request(
    ops: Operations,
) -> None:
    first = ops.accept(request_for("i"))
    with pytest.raises(errors.Busy):
        ops.accept(request_for("h", "i"))
    assert ops.holder("h") is None
    assert ops.holder("i") == first
    assert [claim.operation_id for claim in ops.claim("tm", LEASE, 10)] == [first]


def test_operations_without_locks_run_beside_everything(ops: Operations) -> None:
    first = ops.accept(request_for("i"))
    other = ops.accept(replace(request_for("i"), locks=()))
    assert {claim.operation_id for claim in ops.claim("tm", LEASE, 10)} == {first, other}


def test_a_superseding_request_takes_the_locks_and_waits_for_the_end(ops: Operations) -> None:
    first, claim = started(ops, "i", "j")
    second = ops.accept(request_for("i", supersede=True))
    assert (ops.holder("i"), ops.holder("j")) == (second, first)
    assert ops.journal.load(claim).superseded
    after = claimed(ops, second)
    assert not ops.journal.load(after).predecessor_ended
    assert ops.journal.sleep(after, 100.0, ops.journal.load(after).wakes)
    ops.journal.finish(claim, Position(), State.CANCELLED, FAULT, NOTHING)
    assert ops.journal.load(claimed(ops, second)).predecessor_ended
    assert ops.holder("j") is None


def test_a_request_supersedes_one_operation_or_none(ops: Operations) -> None:
    first, second = ops.accept(request_for("i")), ops.accept(request_for("j"))
    with pytest.raises(errors.Busy):
        ops.accept(request_for("i", "j", supersede=True))
    assert (ops.holder("i"), ops.holder("j")) == (first, second)
    assert not ops.journal.load(claimed(ops, first)).superseded


def test_a_parked_operation_that_is_superseded_runs_again(ops: Operations) -> None:
    first, claim = started(ops)
    assert not ops.journal.park(claim, Position(), FAULT, NOTHING)
    ops.accept(request_for("i", supersede=True))
    assert ops.journal.load(claimed(ops, first)).superseded


# Claiming


def test_an_operation_is_claimed_once(ops: Operations) -> None:
    operation_id = ops.accept(request_for("i"))
    (claim,) = ops.claim("tm1", LEASE, 10)
    assert claim == Claim(operation_id, 1)
    assert ops.claim("tm2", LEASE, 10) == []
    assert ops.claim_one("tm2", LEASE, operation_id) == []


def test_no_more_are_claimed_than_asked_for_and_the_oldest_first(ops: Operations) -> None:
    ids = []
    for n in range(4):
        ids.append(ops.accept(request_for(f"i{n}")))
        ops.pass_time(1.0)
    assert {claim.operation_id for claim in ops.claim("tm", LEASE, 3)} == set(ids[:3])


def test_when_the_lease_has_run_out_another_one_takes_over(ops: Operations) -> None:
    operation_id = ops.accept(request_for("i"))
    (claim,) = ops.claim("tm1", LEASE, 10)
    ops.pass_time(LEASE - 1)
    assert ops.claim("tm2", LEASE, 10) == []
    ops.pass_time(1.1)
    assert ops.claim("tm2", LEASE, 10) == [Claim(operation_id, 2, takeover=True)]
    with pytest.raises(ClaimLost):
        ops.journal.load(claim)


def test_a_renewed_lease_holds_and_a_lost_one_cannot_be_renewed(ops: Operations) -> None:
    operation_id = ops.accept(request_for("i"))
    (claim,) = ops.claim("tm1", LEASE, 10)
    ops.pass_time(8.0)
    assert ops.renew([claim], LEASE) == {operation_id}
    ops.pass_time(8.0)
    assert ops.claim("tm2", LEASE, 10) == []
    ops.pass_time(8.0)
    assert len(ops.claim("tm2", LEASE, 10)) == 1
    assert ops.renew([claim], LEASE) == set()


def test_a_released_lease_cannot_be_renewed_and_the_next_claim_is_no_takeover(
    ops: Operations,
) -> None:
    operation_id, claim = started(ops)
    assert ops.journal.sleep(claim, 5.0, 0)
    assert ops.renew([claim], LEASE) == set()
    assert ops.claim("tm", LEASE, 10) == []
    ops.pass_time(5.1)
    assert ops.claim("tm", LEASE, 10) == [Claim(operation_id, 2)]


def test_a_zombie_writes_nothing(ops: Operations) -> None:
    _, old = started(ops)
    known = ops.journal.load(old)
    command_id = asked(ops, old)
    entry = ops.journal.intend(old, "i", LedgerKind.PORT)
    ops.pass_time(LEASE + 1)
    ops.claim("tm2", LEASE, 10)
    record = CommandRecord("x.0.do.1.1", "i", "ping", "digest", False, None, 0.0, 30.0)
    position = Position()
    journal, effects = ops.journal, Effects([Made(entry.name, "id")], [ops.noting("zombie")])
    for attempt in (
        lambda: journal.load(old),
        lambda: journal.start(old, known, ["one"], position, {}, 1.0, 1.0),
        lambda: journal.write_command(old, record),
        lambda: journal.touch_command(old, command_id),
        lambda: journal.unsend_command(old, command_id, 1.0),
        lambda: journal.advance(
            old, known, SECOND, {}, step_deadline=1.0, delay=0.0, fault=None, effects=effects
        ),
        lambda: journal.sleep(old, 1.0, 0, effects.facts),
        lambda: journal.park(old, position, FAULT, effects),
        lambda: journal.finish(old, position, State.FAILED, FAULT, effects),
        lambda: journal.intend(old, "i", LedgerKind.VOLUME),
        lambda: journal.tried(old, entry.name),
        lambda: journal.note(old, effects.facts),
    ):
        with pytest.raises(ClaimLost):
            attempt()
    assert ops.notes() == []
    assert ops.journal.living("i", LedgerKind.VOLUME) == []
    assert [each.external_id for each in ops.journal.living("i", LedgerKind.PORT)] == [""]
    assert ops.commands(old.operation_id) == [command_id]
    assert ops.state(old.operation_id) is State.RUNNABLE


# Journalling


def test_what_was_accepted_and_journalled_is_loaded(ops: Operations) -> None:
    operation_id = ops.accept(request_for("i"))
    claim = claimed(ops, operation_id)
    op = ops.journal.load(claim)
    assert not op.started
    assert (op.data, op.left, op.step_left, op.fault) == (None, None, None, None)
    assert SEALER.show(op.request["password"]).reveal() == "swordfish"
    begin(ops, claim, ["one", "two"], Position(pivoted=True))
    op = ops.journal.load(claim)
    assert op.started
    assert op.data == {"n": 1}
    assert op.position == Position(Phase.DO, 0, 1, pivoted=True)
    assert op.left == pytest.approx(600, abs=2)
    assert op.step_left == pytest.approx(60, abs=2)
    assert ops.steps(operation_id) == [("one", "running", 1), ("two", "pending", 0)]


def test_an_advance_moves_on_and_keeps_the_claim(ops: Operations) -> None:
    operation_id, claim = started(ops)
    ops.pass_time(5.0)
    assert advance(ops, claim, Position(), SECOND)
    op = ops.journal.load(claim)
    assert at(op) == (Phase.DO, 1, 1)
    assert op.data == {"n": 2}
    assert op.step_left == pytest.approx(60, abs=2)
    assert ops.steps(operation_id)[:2] == [("one", "done", 1), ("two", "running", 1)]


def test_a_retry_of_a_step_keeps_its_deadline_and_waits_its_delay(ops: Operations) -> None:
    operation_id, claim = started(ops)
    ops.pass_time(5.0)
    again = Position(Phase.DO, 0, 2)
    kept = advance(ops, claim, Position(), again, delay=3.0, fault=FAULT, step_deadline=None)
    assert not kept
    assert ops.claim("tm", LEASE, 10) == []
    ops.pass_time(3.1)
    op = ops.journal.load(claimed(ops, operation_id))
    assert at(op) == (Phase.DO, 0, 2)
    assert op.step_left == pytest.approx(52, abs=2)
    assert op.fault is None
    assert ops.steps(operation_id)[0] == ("one", "running", 2)


def test_an_advance_with_a_delay_keeps_the_claim_if_it_was_woken(ops: Operations) -> None:
    _, claim = started(ops)
    ops.answer(asked(ops, claim), "i", {"ok": None})
    assert advance(ops, claim, Position(), Position(Phase.DO, 0, 2), delay=3.0, wakes=0)
    assert at(ops.journal.load(claim)) == (Phase.DO, 0, 2)


def test_the_way_back_keeps_why_it_was_taken(ops: Operations) -> None:
    operation_id, claim = started(ops)
    advance(ops, claim, Position(), SECOND)
    advance(ops, claim, SECOND, Position(Phase.UNDO, 1), fault=FAULT)
    assert ops.journal.load(claim).fault == FAULT
    other = Fault("Unavailable", "not now")
    advance(ops, claim, Position(Phase.UNDO, 1), Position(Phase.UNDO, 1, 2), fault=other)
    advance(ops, claim, Position(Phase.UNDO, 1, 2), Position(Phase.UNDO, 0))
    assert ops.journal.load(claim).fault == FAULT
    states = [state for _, state, _ in ops.steps(operation_id)]
    assert states == ["running", "undone", "pending"]
    ops.journal.finish(claim, Position(Phase.UNDO, 0), State.FAILED, FAULT, NOTHING)
    assert ops.steps(operation_id)[0][1] == "undone"


def test_what_a_step_writes_is_written_with_its_end_or_not_at_all(ops: Operations) -> None:
    _, claim = started(ops)

    def refuse(_unit: object) -> None:
        raise errors.Conflict("no")

    def end(writes: list[Write]) -> None:
        ops.journal.advance(
            claim,
            ops.journal.load(claim),
            SECOND,
            {"n": 2},
            step_deadline=60.0,
            delay=0.0,
            fault=None,
            effects=Effects(writes=writes),
        )

    with pytest.raises(errors.Conflict):
        end([ops.noting("first"), refuse])
    assert ops.notes() == []
    assert at(ops.journal.load(claim)) == (Phase.DO, 0, 1)
    end([ops.noting("a"), ops.noting("b")])
    assert ops.notes() == ["a", "b"]
    with pytest.raises(errors.Conflict):
        ops.journal.finish(
            claim, SECOND, State.FAILED, FAULT, Effects(writes=[ops.noting("c"), refuse])
        )
    assert ops.state(claim.operation_id) is State.RUNNABLE
    with pytest.raises(errors.Conflict):
        ops.journal.park(claim, SECOND, FAULT, Effects(writes=[ops.noting("c"), refuse]))
    assert ops.state(claim.operation_id) is State.RUNNABLE
    assert ops.notes() == ["a", "b"]


# Waiting


def test_a_wake_between_a_look_and_sleep_is_not_lost(ops: Operations) -> None:
    operation_id, claim = started(ops)
    command_id = asked(ops, claim)
    seen = ops.journal.load(claim).wakes
    assert ops.answer(command_id, "i", {"ok": None})
    assert not ops.journal.sleep(claim, 100.0, seen)
    assert ops.journal.sleep(claim, 100.0, ops.journal.load(claim).wakes)
    assert ops.claim("tm", LEASE, 10) == []
    assert ops.state(operation_id) is State.RUNNABLE


def test_an_answer_wakes_a_sleeping_operation(ops: Operations) -> None:
    operation_id, claim = started(ops)
    command_id = asked(ops, claim)
    ops.journal.sleep(claim, 100.0, 0)
    ops.answer(command_id, "i", {"ok": 7})
    record = ops.journal.load(claimed(ops, operation_id)).commands[command_id]
    assert record.answered
    assert record.result == {"ok": 7}


def test_the_first_answer_of_the_guest_that_was_asked_counts(ops: Operations) -> None:
    _, claim = started(ops)
    command_id = asked(ops, claim)
    assert not ops.answer(command_id, "another", {"ok": 0})
    assert not ops.answer("of nobody", "i", {"ok": 0})
    assert ops.answer(command_id, "i", {"ok": 1})
    assert not ops.answer(command_id, "i", {"ok": 2})
    assert ops.journal.load(claim).commands[command_id].result == {"ok": 1}


def test_a_command_has_an_age_and_a_deadline(ops: Operations) -> None:
    _, claim = started(ops)
    command_id = asked(ops, claim, left=30.0)
    ops.pass_time(4.0)
    record = ops.journal.load(claim).commands[command_id]
    assert (record.method, record.digest, record.answered) == ("ping", "digest", False)
    assert record.age == pytest.approx(4, abs=2)
    assert record.left == pytest.approx(26, abs=2)
    ops.journal.touch_command(claim, command_id)
    record = ops.journal.load(claim).commands[command_id]
    assert record.age == pytest.approx(0, abs=2)
    assert record.left == pytest.approx(26, abs=2)
    ops.journal.unsend_command(claim, command_id, 50.0)
    record = ops.journal.load(claim).commands[command_id]
    assert record.age > 1_000
    assert record.left == pytest.approx(50, abs=2)


# Parking and ending


def test_a_parked_operation_waits_with_its_fault_for_somebody_to_decide(ops: Operations) -> None:
    operation_id, claim = started(ops)
    assert not ops.journal.park(claim, Position(), FAULT, Effects(writes=[ops.noting("parked")]))
    assert ops.state(operation_id) is State.PARKED
    assert ops.fault(operation_id) == FAULT
    assert ops.holder("i") == operation_id
    assert ops.notes() == ["parked"]
    assert ops.steps(operation_id)[0][1] == "failed"
    assert ops.stuck() == []
    ops.pass_time(10_000.0)
    assert ops.claim("tm", LEASE, 10) == []


def test_what_was_superseded_meanwhile_is_not_parked(ops: Operations) -> None:
    operation_id, claim = started(ops)
    ops.accept(request_for("i", supersede=True))
    assert ops.journal.park(claim, Position(), FAULT, Effects(writes=[ops.noting("parked")]))
    assert ops.state(operation_id) is State.RUNNABLE
    assert ops.notes() == []
    assert ops.journal.load(claim).superseded


def test_a_retried_operation_goes_on_with_a_new_attempt_and_a_day(ops: Operations) -> None:
    operation_id, claim = started(ops)
    ops.journal.park(claim, Position(), FAULT, NOTHING)
    ops.pass_time(5_000.0)
    ops.retry(operation_id)
    op = ops.journal.load(claimed(ops, operation_id))
    assert at(op) == (Phase.DO, 0, 2)
    assert op.fault is None
    assert op.left == pytest.approx(24 * 3600, abs=5)
    assert op.step_left == pytest.approx(24 * 3600, abs=5)


def test_what_was_parked_before_it_was_begun_is_begun_by_a_retry(ops: Operations) -> None:
    operation_id = ops.accept(request_for("i"))
    ops.journal.park(claimed(ops, operation_id), Position(), FAULT, NOTHING)
    ops.retry(operation_id)
    assert not ops.journal.load(claimed(ops, operation_id)).started


def test_an_abandoned_operation_ends_as_it_is(ops: Operations) -> None:
    operation_id, claim = started(ops)
    asked(ops, claim)
    ops.journal.park(claim, Position(), FAULT, NOTHING)
    ops.abandon(operation_id)
    assert ops.state(operation_id) is State.ABANDONED
    assert ops.fault(operation_id) == FAULT
    assert ops.holder("i") is None
    assert ops.commands(operation_id) == []


def test_only_a_parked_operation_is_retried_or_abandoned(ops: Operations) -> None:
    operation_id, claim = started(ops)
    for decide in (ops.retry, ops.abandon):
        with pytest.raises(errors.Conflict):
            decide(operation_id)
    ops.journal.finish(claim, Position(), State.SUCCEEDED, None, NOTHING)
    for decide in (ops.retry, ops.abandon):
        with pytest.raises(errors.Conflict):
            decide(operation_id)


def test_an_ended_operation_gives_back_its_locks_and_keeps_no_secret(ops: Operations) -> None:
    operation_id = ops.accept(request_for("i", "j"))
    claim = claimed(ops, operation_id)
    data = {"secret": SEALER.hide(Secret("hidden")), "list": [SEALER.hide(Secret("too"))]}
    begin(ops, claim, ["one"], data=data)
    asked(ops, claim)
    assert "$sealed" in ops.documents(operation_id)
    ops.journal.finish(
        claim, Position(), State.SUCCEEDED, None, Effects(writes=[ops.noting("end")])
    )
    assert ops.state(operation_id) is State.SUCCEEDED
    assert ops.fault(operation_id) is None
    assert (ops.holder("i"), ops.holder("j")) == (None, None)
    assert "$sealed" not in ops.documents(operation_id)
    assert ops.commands(operation_id) == []
    assert ops.notes() == ["end"]
    assert ops.steps(operation_id) == [("one", "done", 1)]
    with pytest.raises(ClaimLost):
        ops.journal.load(claim)


def test_the_end_leaves_the_locks_of_the_successor_alone(ops: Operations) -> None:
    _, claim = started(ops)
    second = ops.accept(request_for("i", supersede=True))
    ops.journal.finish(claim, Position(), State.CANCELLED, FAULT, NOTHING)
    assert ops.holder("i") == second


def test_nothing_is_stuck(ops: Operations) -> None:
    _, claim = started(ops)
    ops.accept(request_for("j"))
    assert ops.stuck() == []
    ops.journal.sleep(claim, 100.0, 0)
    assert ops.stuck() == []


# The ledger


def test_an_object_has_one_living_entry_until_it_is_gone(ops: Operations) -> None:
    _, claim = started(ops)
    entry = ops.journal.intend(claim, "i", LedgerKind.VOLUME)
    assert entry.name == "dbaas-i-vol1"
    assert (entry.new, entry.external_id, entry.tried_age) == (True, "", None)
    again = ops.journal.intend(claim, "i", LedgerKind.VOLUME)
    assert (again.new, again.name, again.external_id) == (False, entry.name, "")
    assert again.tried_age == pytest.approx(0, abs=2)  # whoever got it first went on to make it
    ops.journal.note(claim, [Made(entry.name, "id-7")])
    assert ops.journal.intend(claim, "i", LedgerKind.VOLUME).external_id == "id-7"
    ops.journal.note(claim, [Gone(entry.name)])
    assert ops.journal.living("i", LedgerKind.VOLUME) == []
    assert ops.journal.intend(claim, "i", LedgerKind.VOLUME).name == "dbaas-i-vol2"


def test_what_was_learnt_is_kept_however_the_run_of_a_step_ends(ops: Operations) -> None:
    def learn(n: int) -> list[Fact]:
        _, claim = started(ops, f"i{n}")
        name = ops.journal.intend(claim, f"i{n}", LedgerKind.PORT).name
        facts = [Made(name, "id")]
        known = ops.journal.load(claim)
        if n == 0:
            ops.journal.sleep(claim, 1.0, known.wakes, facts)
        elif n == 1:
            assert ops.answer(asked(ops, claim), "i", {"ok": None})
            assert not ops.journal.sleep(claim, 1.0, known.wakes, facts)
        elif n == 2:
            ops.journal.park(claim, Position(), FAULT, Effects(facts))
        elif n == 3:
            ops.accept(request_for(f"i{n}", supersede=True))
            assert ops.journal.park(claim, Position(), FAULT, Effects(facts))
        elif n == 4:
            ops.journal.finish(claim, Position(), State.FAILED, FAULT, Effects(facts))
        return [
            Made(each.name, each.external_id)
            for each in ops.journal.living(f"i{n}", LedgerKind.PORT)
        ]

    assert [learn(n) for n in range(5)] == [[Made(f"dbaas-i{n}-port1", "id")] for n in range(5)]


def test_entries_of_other_kinds_and_instances_are_their_own(ops: Operations) -> None:
    _, claim = started(ops)
    ops.journal.intend(claim, "i", LedgerKind.VOLUME)
    ops.journal.intend(claim, "i", LedgerKind.SERVER)
    ops.journal.intend(claim, "k", LedgerKind.SERVER)
    assert [entry.name for entry in ops.journal.living("i", LedgerKind.SERVER)] == ["dbaas-i-srv1"]


def test_the_ledger_knows_how_long_ago_a_create_was_tried(ops: Operations) -> None:
    _, claim = started(ops)
    entry = ops.journal.intend(claim, "i", LedgerKind.PORT)
    ops.journal.tried(claim, entry.name)
    ops.pass_time(7.0)
    (found,) = ops.journal.living("i", LedgerKind.PORT)
    assert found.tried_age == pytest.approx(7, abs=2)
    ops.journal.tried(claim, entry.name)
    (found,) = ops.journal.living("i", LedgerKind.PORT)
    assert found.tried_age == pytest.approx(0, abs=2)
