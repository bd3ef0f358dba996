"""What only the database can show: several of each at the same time, and what people see.

What one process sees is in `tests/contract/test_journal.py`.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace

import pytest
import sqlalchemy

from dbaas.catalog import guests, journal, operation_views, operations, tables
from dbaas.catalog.journal import ClaimLost
from dbaas.catalog.operation_views import OperationView
from dbaas.catalog.operations import Request
from dbaas.catalog.records import Outstanding
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.operations import Claim, CommandRecord, Fault, Operation, Phase, Position, State
from dbaas.contract.secret import Secret
from tests.catalog_server import CatalogServer

SEALER = Sealer(bytes(32))
FAULT = Fault("Failed", "it broke", "details")
MANY = 40
_STEPS = tables.operation_steps


@dataclass(frozen=True)
class Body:
    password: Secret


@pytest.fixture(scope="module")
def emptied(catalog_server: CatalogServer) -> Iterator[Catalog]:
    with catalog_server.opened() as made:
        yield made


@pytest.fixture
def catalog(emptied: Catalog) -> Catalog:
    def empty(one: Unit) -> None:
        for table in reversed(tables.metadata.sorted_tables):
            one.execute(table.delete())

    emptied.run(empty)
    return emptied


def request_for(*instances: str, supersede: bool = False) -> Request:
    return Request(
        kind="restart_instance",
        instance_id=instances[0],
        project_id="p",
        user_id="u",
        request_id="r",
        body=Body(Secret("swordfish")),
        locks=instances,
        supersede=supersede,
    )


def accept(catalog: Catalog, request: Request) -> str:
    return catalog.run(lambda one: operations.accept(one, request, SEALER))


def claim(catalog: Catalog, limit: int = 10, owner: str = "tm") -> list[Claim]:
    return catalog.run(lambda one: operations.claim(one, owner, 15.0, limit))


def start(catalog: Catalog, one_claim: Claim) -> None:
    op = load(catalog, one_claim)
    catalog.run(
        lambda one: journal.start(one, one_claim, op, ["a", "b"], Position(), {}, 600.0, 60.0)
    )


def advance(
    catalog: Catalog,
    one_claim: Claim,
    after: Position,
    fault: Fault | None = None,
    patience: float | None = 60.0,
) -> None:
    op = load(catalog, one_claim)
    catalog.run(lambda one: journal.advance(one, one_claim, op, after, {}, patience, 0.0, fault))


def finish(catalog: Catalog, one_claim: Claim, state: State = State.SUCCEEDED) -> None:
    catalog.run(lambda one: journal.finish(one, one_claim, Position(), state, None))


def load(catalog: Catalog, one_claim: Claim) -> Operation:
    return catalog.read(lambda one: journal.load(one, one_claim))


def claim_one(catalog: Catalog, operation_id: str) -> list[Claim]:
    return catalog.run(lambda one: operations.claim_one(one, "tm", 15.0, operation_id))


def sleep(catalog: Catalog, one_claim: Claim, wakes: int) -> bool:
    return catalog.run(lambda one: journal.sleep(one, one_claim, 1000.0, wakes))


def holder(catalog: Catalog, instance_id: str) -> str | None:
    return catalog.read(lambda one: operations.running(one, instance_id))


def page(catalog: Catalog, marker: str | None = None, limit: int = 20) -> list[OperationView]:
    return catalog.read(lambda one: operation_views.page(one, "p", limit=limit, marker=marker))


def show(catalog: Catalog, operation_id: str) -> OperationView:
    return catalog.read(lambda one: operation_views.show(one, operation_id))


def ask(catalog: Catalog, one_claim: Claim) -> Outstanding:
    command = Outstanding(f"{one_claim.operation_id}.0.do.1.1", one_claim.operation_id, "i", "ping")
    record = CommandRecord(command.id, "i", "ping", "digest", False, None, 0.0, 30.0)
    catalog.run(lambda one: journal.write_command(one, one_claim, record))
    return command


def at_once(count: int, work: Callable[[int], object]) -> list[object]:
    """Do `work` in threads that begin together; return what each gave or raised."""
    gate = threading.Barrier(count)

    def run(n: int) -> object:
        gate.wait()
        try:
            return work(n)
        except errors.Error as error:
            return error

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(run, range(count)))


def test_of_many_requests_for_one_instance_one_is_accepted(catalog: Catalog) -> None:
    results = at_once(12, lambda _: accept(catalog, request_for("i")))
    accepted = [each for each in results if isinstance(each, str)]
    assert len(accepted) == 1
    assert sum(isinstance(each, errors.Busy) for each in results) == 11
    assert holder(catalog, "i") == accepted[0]


def test_sets_that_overlap_are_locked_without_a_deadlock(catalog: Catalog) -> None:
    sets = [("a", "b", "c"), ("c", "b"), ("b", "a"), ("c", "a")] * 3
    results = at_once(12, lambda n: accept(catalog, request_for(*sets[n])))
    assert all(isinstance(each, str | errors.Busy) for each in results), results
    accepted = {each for each in results if isinstance(each, str)}
    holders = {holder(catalog, each) for each in "abc"}
    assert accepted == holders - {None}


def test_the_last_of_many_that_supersede_each_other_has_the_lock(catalog: Catalog) -> None:
    accept(catalog, request_for("i"))
    at_once(8, lambda _: accept(catalog, request_for("i", supersede=True)))
    ended = 0
    for _ in range(30):
        for each in claim(catalog):
            op = load(catalog, each)
            if op.predecessor_ended:
                finish(catalog, each, State.CANCELLED if op.superseded else State.SUCCEEDED)
                ended += 1
            else:
                sleep(catalog, each, op.wakes)
    assert ended == 9, "each is woken by the end of the one before"
    assert sorted(each.state for each in page(catalog)) == ["cancelled"] * 8 + ["succeeded"]
    assert holder(catalog, "i") is None


def test_several_claimers_share_the_work_and_nothing_is_claimed_twice(catalog: Catalog) -> None:
    ids = {accept(catalog, request_for(f"i{n}")) for n in range(MANY)}

    def take(n: int) -> list[str]:
        taken: list[str] = []
        while found := claim(catalog, limit=3, owner=f"tm{n}"):
            taken += [each.operation_id for each in found]
        return taken

    with ThreadPoolExecutor(6) as pool:
        shares = list(pool.map(take, range(6)))
    taken = [each for share in shares for each in share]
    assert len(taken) == len(set(taken)) == MANY
    assert set(taken) == ids


def test_a_claimer_passes_over_what_another_one_has_its_hands_on(catalog: Catalog) -> None:
    first = accept(catalog, request_for("i"))
    second = accept(catalog, request_for("j"))
    held, release = threading.Event(), threading.Event()

    def slow(one: Unit) -> list[Claim]:
        found = operations.claim_one(one, "slow", 15.0, first)
        held.set()
        release.wait(10.0)
        return found

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(catalog.run, slow)
        held.wait(10.0)
        quick = claim(catalog)
        release.set()
        assert [each.operation_id for each in other.result()] == [first]
    assert [each.operation_id for each in quick] == [second]


def test_accepting_does_not_wait_for_a_claimer(catalog: Catalog) -> None:
    accept(catalog, request_for("i"))
    held, release = threading.Event(), threading.Event()

    def slow(one: Unit) -> None:
        operations.claim(one, "slow", 15.0, 10)
        held.set()
        release.wait(10.0)

    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(catalog.run, slow)
        held.wait(10.0)
        second = accept(catalog, request_for("j"))
        assert not release.is_set()
        release.set()
        other.result()
    assert [each.operation_id for each in claim(catalog)] == [second]


def test_no_wake_is_lost_between_answers_and_sleep(catalog: Catalog) -> None:
    for _ in range(20):
        accept(catalog, request_for("i"))
        (mine,) = claim(catalog)
        start(catalog, mine)
        answer_and_sleep_at_once(catalog, mine)


def answer_and_sleep_at_once(catalog: Catalog, mine: Claim) -> None:
    command = ask(catalog, mine)
    seen = load(catalog, mine).wakes

    def race(which: int) -> object:
        if which:
            return sleep(catalog, mine, seen)
        return catalog.run(lambda one: guests.answer(one, command, {"ok": None}))

    answered, slept = at_once(2, race)
    assert answered
    (now,) = claim(catalog) if slept else [mine]
    assert load(catalog, now).commands[command.id].answered
    finish(catalog, now)


def test_parking_and_superseding_at_once_leave_nobody_waiting_for_ever(catalog: Catalog) -> None:
    for _ in range(20):
        accept(catalog, request_for("i"))
        (mine,) = claim(catalog)
        start(catalog, mine)
        park_and_supersede_at_once(catalog, mine)


def park_and_supersede_at_once(catalog: Catalog, mine: Claim) -> None:
    def race(which: int) -> object:
        if which:
            return accept(catalog, request_for("i", supersede=True))
        return catalog.run(lambda one: journal.park(one, mine, Position(), FAULT))

    kept, successor = at_once(2, race)
    (now,) = [mine] if kept else claim_one(catalog, mine.operation_id)
    assert load(catalog, now).superseded
    finish(catalog, now, State.CANCELLED)
    (after,) = claim(catalog)
    assert after.operation_id == successor
    assert load(catalog, after).predecessor_ended
    finish(catalog, after)


def test_a_fence_holds_off_whoever_wants_to_change_the_operation(catalog: Catalog) -> None:
    accept(catalog, request_for("i"))
    (mine,) = claim(catalog)
    start(catalog, mine)
    fenced, release = threading.Event(), threading.Event()
    order: list[str] = []

    def slow(one: Unit) -> None:
        journal.fence(one, mine)
        fenced.set()
        release.wait(10.0)
        order.append("journalled")

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(catalog.run, slow)
        fenced.wait(10.0)

        def supersede() -> None:
            accept(catalog, request_for("i", supersede=True))
            order.append("superseded")

        second = pool.submit(supersede)
        release.set()
        first.result()
        second.result()
    assert order == ["journalled", "superseded"]


def test_a_claim_on_something_that_never_was_is_lost(catalog: Catalog) -> None:
    with pytest.raises(ClaimLost):
        catalog.run(lambda one: journal.fence(one, Claim("nobody", 1)))


def test_what_is_stuck_is_found(catalog: Catalog) -> None:
    operation_id = accept(catalog, request_for("i"))
    assert catalog.read(operation_views.stuck) == []
    table = tables.operations
    forget = sqlalchemy.update(table).where(table.c.id == operation_id).values(run_at=None)
    catalog.run(lambda one: one.execute(forget))
    assert catalog.read(operation_views.stuck) == [operation_id]


# What people see


def test_pages_follow_each_other_without_gap_or_repetition(catalog: Catalog) -> None:
    ids = {accept(catalog, request_for(f"i{n}")) for n in range(7)}
    accept(catalog, replace(request_for("foreign"), project_id="q"))
    seen: list[OperationView] = []
    while found := page(catalog, marker=seen[-1].id if seen else None, limit=3):
        seen += found
    assert len(seen) == 7
    assert {each.id for each in seen} == ids
    created = [each.created_at for each in seen]
    assert created == sorted(created, reverse=True), "the newest first"


def test_a_page_is_filtered_by_instance_and_state(catalog: Catalog) -> None:
    mine = accept(catalog, request_for("i"))
    accept(catalog, request_for("j"))
    by_instance = catalog.read(lambda one: operation_views.page(one, "p", instance_id="i"))
    assert [each.id for each in by_instance] == [mine]
    assert len(catalog.read(lambda one: operation_views.page(one, "p", state="runnable"))) == 2
    assert catalog.read(lambda one: operation_views.page(one, "p", state="failed")) == []
    assert len(catalog.read(lambda one: operation_views.page(one))) == 2


def test_an_operation_of_another_project_cannot_be_found(catalog: Catalog) -> None:
    operation_id = accept(catalog, request_for("i"))
    with pytest.raises(errors.NotFound):
        catalog.read(lambda one: operation_views.show(one, operation_id, "q"))
    assert catalog.read(lambda one: operation_views.show(one, operation_id, "p")).id == operation_id


@pytest.mark.parametrize("decide", [operation_views.retry, operation_views.abandon])
def test_nobody_decides_about_what_is_not_there(
    catalog: Catalog, decide: Callable[[Unit, str], None]
) -> None:
    with pytest.raises(errors.NotFound):
        catalog.run(lambda one: decide(one, "nothing"))


def test_progress_is_the_part_of_the_steps_that_are_done(catalog: Catalog) -> None:
    operation_id = accept(catalog, request_for("i"))

    assert show(catalog, operation_id).progress == 0.0
    (mine,) = claim(catalog)
    start(catalog, mine)
    assert show(catalog, operation_id).progress == 0.0
    advance(catalog, mine, Position(Phase.DO, 1))
    assert show(catalog, operation_id).progress == 0.5
    finish(catalog, mine)
    assert show(catalog, operation_id).progress == 1.0


def test_why_it_failed_and_in_which_step_is_shown(catalog: Catalog) -> None:
    operation_id = accept(catalog, request_for("i"))
    (mine,) = claim(catalog)
    start(catalog, mine)
    back = Position(Phase.UNDO, 0)
    advance(catalog, mine, back, FAULT)
    advance(catalog, mine, replace(back, attempt=2), replace(FAULT, message="2"), None)
    catalog.run(
        lambda one: journal.finish(one, mine, replace(back, attempt=2), State.FAILED, FAULT)
    )
    view = show(catalog, operation_id)
    assert (view.state, view.fault) == ("failed", FAULT)
    assert view.finished_at is not None
    assert view.steps[0].state == "undone"


def test_what_ended_long_ago_is_forgotten_some_at_a_time(catalog: Catalog) -> None:
    ended = [accept(catalog, request_for(f"i{n}")) for n in range(3)]
    for one in claim(catalog):
        start(catalog, one)
        finish(catalog, one)
    later = accept(catalog, request_for("i0"))
    assert catalog.run(lambda unit: operations.forget(unit, 3600.0)) == 0
    past = sqlalchemy.text("UPDATE operations SET finished_at = finished_at - INTERVAL 2 HOUR")
    catalog.run(lambda unit: unit.execute(past))
    assert catalog.run(lambda unit: operations.forget(unit, 3600.0, limit=2)) == 2
    assert catalog.run(lambda unit: operations.forget(unit, 3600.0, limit=2)) == 1
    assert [one.id for one in page(catalog)] == [later]
    assert len(ended) == 3
    assert catalog.read(lambda unit: unit.scalars(sqlalchemy.select(_STEPS.c.n)).all()) == []


def test_an_answer_is_wiped_that_nobody_came_for(catalog: Catalog) -> None:
    accept(catalog, request_for("i"))
    (one,) = claim(catalog)
    start(catalog, one)
    catalog.run(lambda unit: operations.keep_answer(unit, one.operation_id, "{}"))
    assert catalog.run(lambda unit: operations.wipe_answers(unit, 0.0)) == 0
    finish(catalog, one)
    assert catalog.run(operations.wipe_answers) == 0
    assert catalog.run(lambda unit: operations.wipe_answers(unit, 0.0)) == 1
