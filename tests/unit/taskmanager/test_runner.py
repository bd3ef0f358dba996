"""A runner where a simulation seldom comes: other versions, strange answers, late objects."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, cast

import pytest

from dbaas.catalog.journal import ClaimLost
from dbaas.catalog.operations import Request
from dbaas.cloud.base import Cloud
from dbaas.common import killpoints
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.messages import VolumeGrowth
from dbaas.contract.operations import Claim, Fault, LedgerKind, Operation, Position, State
from dbaas.taskmanager.flow import Flow, Step, Unreachable
from dbaas.taskmanager.journal import Write
from dbaas.taskmanager.runner import Runner
from dbaas.taskmanager.toolbox import Means, Toolbox
from tests.fakes.journal import Clock, MemoryJournal
from tests.fakes.world import Bus, Luck, Object, Objects

Work = Callable[["Data", Toolbox], None]


@dataclass(frozen=True)
class Order:
    size: int = 1


@dataclass
class Data:
    instance_id: str


class Held:
    """A lease that holds until it is told otherwise."""

    lost = False

    def check(self) -> None:
        if self.lost:
            raise ClaimLost


class Notes:
    def failed(self, op: Operation, fault: Fault) -> list[Write]:
        return [lambda unit: unit.append(("failed", fault.message))]

    def parked(self, op: Operation, fault: Fault) -> list[Write]:
        return [lambda unit: unit.append(("parked", fault.message))]


class Place:
    """One operation, one guest, one cloud; nothing goes wrong by itself."""

    def __init__(self, *steps: Step, unreachable: Unreachable = Unreachable.PARK) -> None:
        self.clock = Clock()
        self.journal = MemoryJournal(self.clock, Sealer(bytes(32)))
        self.objects = Objects(self.clock, Luck(b""), lambda _point: None, 30.0)
        self.bus = Bus(Luck(b""), lambda _point: None)
        self.lease = Held()
        self.flows: dict[str, Flow[Any]] = {
            "work": Flow(
                "work",
                Order,
                Data,
                lambda op, _order: Data(op.instance_id),
                steps,
                unreachable=unreachable,
            )
        }
        self.means = Means(
            journal=self.journal,
            cloud=cast(Cloud, self.objects),
            bus=self.bus,
            sealer=Sealer(bytes(32)),
            reached=killpoints.nothing,
        )
        self.id = self.accept()

    def accept(self, kind: str = "work", *, supersede: bool = False) -> str:
        return self.journal.accept(
            Request(kind, "i", "p", "u", "r", Order(), locks=("i",), supersede=supersede)
        )

    def run(self, operation_id: str = "") -> None:
        """Carry it on until it waits or ends."""
        claims = self.journal.claim_one("tm", 15.0, operation_id or self.id)
        for claim in claims:
            Runner(self.means, self.flows, Notes()).carry_on(claim, self.lease)

    def run_for(self, seconds: float) -> None:
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.run()
            self.clock.now += 0.5

    def state(self) -> State:
        return self.journal.operations[self.id].state

    def fault(self) -> str:
        found = self.journal.operations[self.id].fault
        return "" if found is None else found.message

    def sent(self, method: str) -> list[str]:
        return [each.command_id for each in self.bus.commands if each.method == method]

    def answer(self, command_id: str, result: Any) -> None:
        assert self.journal.answer(command_id, "i", result)


def restart(op: Data, tools: Toolbox) -> None:
    tools.guest(op.instance_id).restart()


def error(kind: str) -> dict[str, Any]:
    return {"error": {"kind": kind, "text": "no"}}


def nothing(_op: Data, _tools: Toolbox) -> None: ...


# Other versions


def test_what_this_version_does_not_know_is_parked_and_done_by_one_that_does() -> None:
    place = Place(Step(nothing))
    flows, place.flows = place.flows, {}
    place.run()
    assert place.state() is State.PARKED
    assert "'work'" in place.fault()
    place.flows = flows
    place.journal.retry(place.id)
    place.run()
    assert place.state() is State.SUCCEEDED


@pytest.mark.parametrize("begun", [True, False])
def test_what_this_version_does_not_know_does_not_keep_its_successor_waiting(begun: bool) -> None:
    place = Place(Step(restart))
    if begun:
        place.run()
    place.flows = {}
    successor = place.accept("another", supersede=True)
    place.run()
    assert place.state() is State.CANCELLED
    assert place.journal.load(place.journal.claim_one("tm", 15.0, successor)[0]).predecessor_ended


@pytest.mark.parametrize("data", ['{"other": 1}', '{"instance_id": 7}', "[]"])
def test_data_of_another_version_is_left_to_a_human(data: str) -> None:
    place = Place(Step(restart))
    place.run()
    place.journal.operations[place.id].data = data
    place.clock.now += 10.0
    place.run()
    assert place.state() is State.PARKED
    assert place.journal.notes == [("parked", place.fault())]


def test_a_flow_that_became_shorter_is_left_to_a_human() -> None:
    place = Place(Step(nothing), Step(restart))
    place.run()
    place.flows = Place(Step(nothing)).flows
    place.clock.now += 10.0
    place.run()
    assert place.state() is State.PARKED


def test_a_request_that_cannot_be_read_fails_and_says_so() -> None:
    place = Place(Step(nothing))
    place.journal.operations[place.id].request = '{"size": "large"}'
    place.run()
    assert place.state() is State.FAILED
    assert "size" in place.fault()
    assert place.journal.notes == [("failed", place.fault())]


def test_a_step_that_asks_something_else_when_it_runs_again_is_left_to_a_human() -> None:
    sizes = iter(range(1, 100))

    def grow(op: Data, tools: Toolbox) -> None:
        tools.guest(op.instance_id).grow_volume(VolumeGrowth(next(sizes)))

    place = Place(Step(grow))
    place.run()
    place.clock.now += 10.0
    place.run()
    (cancel,) = place.sent("cancel")
    place.answer(cancel, {"ok": {"fate": "never ran"}})
    place.run()
    assert place.state() is State.PARKED
    assert "something else" in place.fault()


# Answers


def test_nobody_waits_for_what_a_guest_is_at_that_is_about_to_be_ended() -> None:
    place = Place(Step(restart))
    deletion = replace(place.flows["work"], kind="delete", ends_guest=True)
    place.flows["delete"] = deletion
    place.run()
    assert place.sent("restart")
    place.accept("delete", supersede=True)
    place.run()
    assert place.sent("cancel") == []
    assert place.state() is State.CANCELLED


@pytest.mark.parametrize("answer", [{}, {"ok": 7}, {"ok": {"fate": "eaten"}}, error("Nonsense")])
def test_a_strange_answer_to_a_cancel_is_no_answer(answer: Any) -> None:
    place = Place(Step(restart))
    place.run()
    place.accept(supersede=True)
    place.run()
    (cancel,) = place.sent("cancel")
    place.answer(cancel, answer)
    place.run()
    assert place.state() is State.CANCELLED


@pytest.mark.parametrize("answer", [{}, {"ok": 7}, error("Nonsense")])
def test_a_strange_answer_to_a_command_is_a_failure(answer: Any) -> None:
    place = Place(Step(restart))
    place.run()
    (command,) = place.sent("restart")
    place.answer(command, answer)
    place.run()
    assert place.state() is State.FAILED


def test_what_cannot_be_stopped_is_waited_for() -> None:
    def ask_both(op: Data, tools: Toolbox) -> None:
        tools.ask_all("restart", {"a": None, "b": None})

    place = Place(Step(ask_both, pivot=True))
    place.run()
    first, second = place.sent("restart")
    place.journal.answer(second, "b", error("Busy"))
    place.run()
    (cancel,) = place.sent("cancel")
    place.journal.answer(cancel, "a", error("Busy"))
    place.run_for(9.0)
    assert place.sent("restart") == [first, second], "no new attempt beside the old one"
    place.journal.answer(first, "a", error("Conflict"))
    place.run_for(1.0)
    assert [each.rpartition(".")[0][-1] for each in place.sent("restart")] == ["1", "1", "2", "2"]


def test_an_order_for_a_guest_that_nobody_knows_any_more_does_not_run_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = Place(Step(restart, pivot=True))
    place.run()

    def unknown(*_args: object) -> None:
        raise errors.NotFound("no such guest")

    monkeypatch.setattr(place.bus, "send", unknown)
    place.run_for(11.0)
    assert place.state() is State.PARKED
    assert place.fault() == "no such guest"


# Objects


def make(op: Data, tools: Toolbox) -> None:
    cloud = cast(Objects, tools.cloud)
    tools.make(op.instance_id, LedgerKind.SERVER, cloud.find, cloud.create, 30.0)


def test_an_object_that_appears_while_it_is_looked_for_is_adopted() -> None:
    place = Place(Step(make))
    place.objects.create("dbaas-i-srv1")
    place.run()
    assert place.state() is State.SUCCEEDED
    assert place.objects.made == ["dbaas-i-srv1"]


def test_a_name_that_somebody_else_holds_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(Step(make))
    place.objects.create("dbaas-i-srv1")
    monkeypatch.setattr(place.objects, "find", lambda _name: None)
    place.run()
    assert place.state() is State.FAILED


def test_the_settle_time_begins_when_the_call_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    place = Place(Step(make))
    tries: list[float] = []

    def slow(name: str) -> Object:
        place.clock.now += 50.0
        tries.append(place.clock.now)
        raise errors.Unavailable("timed out")

    monkeypatch.setattr(place.objects, "create", slow)
    place.run_for(100.0)
    assert tries[1] - 50.0 - tries[0] >= 30.0


def test_nothing_is_published_under_a_lease_that_ran_out() -> None:
    place = Place(Step(restart))
    place.lease.lost = True
    Runner(place.means, place.flows, Notes()).carry_on(begun(place), place.lease)
    assert place.bus.commands == []
    place.lease.lost = False
    place.clock.now += 16.0
    place.run()
    assert len(place.sent("restart")) == 1


def begun(place: Place) -> Claim:
    """Return a claim on the operation, which is about to run its first step."""
    (claim,) = place.journal.claim_one("tm", 15.0, place.id)
    place.journal.start(
        claim, place.journal.load(claim), ["step"], Position(), {"instance_id": "i"}, 600.0, 600.0
    )
    return claim


def test_nothing_is_created_under_a_lease_that_ran_out() -> None:
    place = Place(Step(make))
    place.lease.lost = True
    Runner(place.means, place.flows, Notes()).carry_on(begun(place), place.lease)
    assert place.objects.made == []
    place.lease.lost = False
    place.clock.now += 46.0
    place.run()
    assert place.objects.made == [], "what the other owner tried may have ended just now"
    place.clock.now += 30.0
    place.run()
    assert place.objects.made == ["dbaas-i-srv1"]


def test_a_claim_that_was_lost_is_no_error() -> None:
    place = Place(Step(nothing))
    Runner(place.means, place.flows, Notes()).carry_on(Claim(place.id, 7), place.lease)
    assert place.state() is State.RUNNABLE


def test_a_step_that_may_do_without_an_answer_goes_on_once_the_guest_is_cancelled() -> None:
    def try_to_restart(op: Data, tools: Toolbox) -> None:
        try:
            tools.guest(op.instance_id).restart()
        except errors.Failed:
            return

    place = Place(Step(try_to_restart))
    place.run_for(181.0)
    assert place.state() is State.RUNNABLE
    assert place.sent("cancel")
    place.run_for(31.0)
    assert place.state() is State.SUCCEEDED
