import json
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dbaas.contract import codec, errors, messages
from dbaas.contract.messages import Contact, Health, ServiceStatus
from dbaas.contract.secret import Secret
from dbaas.guestagent import identity
from dbaas.guestagent.desk import Desk
from dbaas.guestagent.identity import Paths
from dbaas.guestagent.journal import Journal
from dbaas.guestagent.reporter import Reporter
from dbaas.guestagent.session import Session
from dbaas.rpc import envelope
from tests.unit.guestagent.guest import INSTANCE, PREPARE, Broker, Works, body, header, until

CONTACT_KEY, COMMAND_KEY, EVENT_KEY = (envelope.new_key() for _ in range(3))
CONTACT = Contact(
    INSTANCE, "192.0.2.1", 5671, "guest", "", "f-1", Secret("first"), "contact", CONTACT_KEY
)
INTRODUCTION = messages.Introduction("g-1", Secret("for good"), "k1", COMMAND_KEY, EVENT_KEY)
INTRODUCE = "op1.introduce.do.1.1"


class Agent:
    """An agent's life after life on one disk."""

    def __init__(self, directory: Path, broker: Broker) -> None:
        self.paths = Paths(directory / "state", directory / "contact.json")
        self.paths.state.mkdir()
        self.broker = broker
        self.works = Works()
        self._thread: threading.Thread | None = None

    def contact(self, contact: Contact = CONTACT) -> None:
        self.paths.contact.write_text(json.dumps(codec.dump(contact)))

    def start(self) -> None:
        """Begin a life; the threads of an earlier one that was `killed` do nothing any more."""
        self.works = Works()
        journal = Journal(self.paths.state)
        reporter = Reporter(identity.count_boot(self.paths), journal)
        desk = Desk(journal, self.works.serve, reporter.log)
        self.session = Session(
            self.paths,
            desk,
            reporter,
            self.broker.dial,
            lambda: reporter.heartbeat(Health(ServiceStatus.HEALTHY)),
        )
        self.works.introduced = self.session.introduce
        self.works.cancelled = desk.cancel
        desk.start()
        self._thread = threading.Thread(target=self.session.run)
        self._thread.start()

    def stop(self) -> None:
        self.session.stop()
        if self._thread:
            self._thread.join(timeout=5)
        self.works.let_go.set()

    def send(
        self, method: str, command: str, order: object = None, *, epoch: int = 1, key: str = "k1",
        sealed_with: Secret = COMMAND_KEY, instance: str = INSTANCE,
    ) -> None:  # fmt: skip
        about = header(method, command, epoch, key, instance)
        self.broker.commands.put(envelope.seal(sealed_with, about, body(order)))

    def introduce(self, command: str = INTRODUCE) -> None:
        self.send("introduce", command, INTRODUCTION, key="contact", sealed_with=CONTACT_KEY)

    def events(self, kind: str, key: Secret = EVENT_KEY) -> list[tuple[envelope.Header, Any]]:
        found = []
        for _, each, message in list(self.broker.events):
            if each == kind:
                with suppress(errors.Forbidden):  # it is under another key
                    about, sealed = envelope.unseal(key, message)
                    found.append((about, json.loads(sealed)))
        return found

    def results(self, command: str) -> list[Any]:
        return [said for about, said in self.events("result") if about.command == command]

    def answer(self, command: str) -> Any:
        return until(lambda: self.results(command))[-1]


@pytest.fixture
def broker() -> Broker:
    return Broker(users={"f-1": "first", "g-1": "for good"})


@pytest.fixture
def agent(tmp_path: Path, broker: Broker) -> Iterator[Agent]:
    agent = Agent(tmp_path, broker)
    agent.contact()
    agent.start()
    yield agent
    agent.stop()


@pytest.fixture
def known(agent: Agent) -> Agent:
    agent.introduce()
    agent.answer(INTRODUCE)
    return agent


def test_a_guest_is_introduced_and_answers_as_who_it_is_then(agent: Agent, broker: Broker) -> None:
    agent.introduce()
    assert agent.answer(INTRODUCE) == {"ok": None}
    assert broker.connects == ["f-1", "g-1"]
    assert {user for user, _, _ in broker.events} == {"g-1"}
    assert not agent.paths.contact.exists()
    assert (agent.paths.state / "identity.json").stat().st_mode & 0o077 == 0


def test_an_introduction_whose_answer_was_lost_is_answered_again(known: Agent) -> None:
    known.introduce()
    until(lambda: len(known.results(INTRODUCE)) == 2)
    known.introduce("op1.introduce.do.2.1")
    assert known.answer("op1.introduce.do.2.1") == {"ok": None}


def test_the_contact_key_is_worth_nothing_once_the_guest_is_known(known: Agent) -> None:
    known.send("ping", "op1.a.do.1.1")
    known.answer("op1.a.do.1.1")
    known.introduce("op1.introduce.do.9.1")
    known.send("ping", "op1.b.do.1.1")
    known.answer("op1.b.do.1.1")
    assert known.results("op1.introduce.do.9.1") == []
    assert CONTACT_KEY.reveal() not in (known.paths.state / "identity.json").read_text()


def test_a_guest_that_is_known_becomes_another_and_forgets_its_former_key(
    known: Agent, broker: Broker
) -> None:
    command_key, event_key = envelope.new_key(), envelope.new_key()
    broker.users["f-1"] = "anew"
    order = messages.Introduction("f-1", Secret("anew"), "k2", command_key, event_key)
    for n in (1, 2):  # as who it was, both times
        known.send("introduce", f"op2.introduce.do.{n}.1", order)
        until(lambda n=n: len(known.events("result", event_key)) == n)  # type: ignore[misc]
    assert broker.connects == ["f-1", "g-1", "f-1"]
    known.send("restart", "op2.a.do.1.1")  # under the former key
    known.send("ping", "op2.b.do.1.1", key="k2", sealed_with=command_key)
    until(lambda: "ping" in known.works.ran)
    assert "restart" not in known.works.ran
    assert COMMAND_KEY.reveal() not in (known.paths.state / "identity.json").read_text()


def test_only_an_introduction_comes_under_the_contact_key(agent: Agent) -> None:
    agent.send("restart", "op1.a.do.1.1", key="contact", sealed_with=CONTACT_KEY)
    agent.introduce()
    agent.answer(INTRODUCE)
    assert agent.works.ran == ["introduce"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"sealed_with": envelope.new_key()},
        {"key": "k2"},
        {"instance": "00000000-0000-0000-0000-000000000000"},
    ],
)
def test_what_is_not_from_the_control_plane_is_dropped(
    known: Agent, broker: Broker, wrong: dict[str, Any]
) -> None:
    known.send("restart", "op1.a.do.1.1", **wrong)
    broker.commands.put(b"\0\0\0\1garbage")
    known.send("ping", "op1.b.do.1.1")
    known.answer("op1.b.do.1.1")
    assert known.works.ran == ["introduce", "ping"]
    assert broker.acknowledged == 4
    assert known.results("op1.a.do.1.1") == []


def test_an_event_sent_back_is_no_command(known: Agent, broker: Broker) -> None:
    (_, _, message), *_ = [event for event in broker.events if event[1] == "result"]
    broker.commands.put(message)
    known.send("ping", "op1.b.do.1.1")
    known.answer("op1.b.do.1.1")
    assert known.works.ran == ["introduce", "ping"]


def test_a_former_owner_of_an_operation_gets_no_answer(known: Agent) -> None:
    known.send("ping", "op2.s.do.1.2", epoch=4)
    known.answer("op2.s.do.1.2")
    known.send("restart", "op2.s.do.1.1", epoch=3)
    known.send("ping", "op2.s.do.1.3", epoch=4)
    known.answer("op2.s.do.1.3")
    assert "restart" not in known.works.ran
    assert known.results("op2.s.do.1.1") == []


def test_answers_wait_while_the_broker_is_away(known: Agent, broker: Broker) -> None:
    known.send("prepare", "op2.s.do.1.1", PREPARE)
    known.works.running.wait(5)
    broker.away = True
    known.works.let_go.set()
    until(lambda: (known.paths.state / "unsent" / "op2.s.do.1.1").exists())
    broker.away = False
    assert "ok" in known.answer("op2.s.do.1.1")
    assert known.works.ran == ["introduce", "prepare"]


def test_an_answer_that_was_lost_on_the_way_is_sent_again(known: Agent, broker: Broker) -> None:
    until(lambda: known.events("hb"))
    broker.publish_fails = 1
    known.send("restart", "op2.s.do.1.1")
    assert "ok" in known.answer("op2.s.do.1.1")
    assert len(known.results("op2.s.do.1.1")) == 1


def test_what_was_accepted_is_run_by_the_next_life_of_the_agent(
    known: Agent, broker: Broker
) -> None:
    known.send("prepare", "op2.s.do.1.1", PREPARE)
    known.works.running.wait(5)
    until(lambda: broker.acknowledged == 2)
    killed = known.works
    known.session.stop()
    known.start()
    known.works.let_go.set()
    assert "ok" in known.answer("op2.s.do.1.1")
    assert known.works.ran == ["prepare"]
    killed.let_go.set()


def test_events_are_in_order_over_the_lives_of_an_agent(known: Agent) -> None:
    known.stop()
    known.start()
    known.send("ping", "op2.s.do.1.1")
    known.answer("op2.s.do.1.1")
    marks = [
        (about.boot, about.seq) for kind in ("result", "hb") for about, _ in known.events(kind)
    ]
    assert len(set(marks)) == len(marks)
    lives = sorted({boot for boot, _ in marks})
    assert len(lives) == 2
    assert min(seq for boot, seq in marks if boot == lives[1]) == 1


def test_a_connection_begins_with_how_the_guest_is(known: Agent) -> None:
    until(lambda: known.events("hb"))
    assert known.events("hb")[0][1]["service"] == "healthy"


def test_refused_credentials_are_tried_again(tmp_path: Path) -> None:
    broker = Broker()
    agent = Agent(tmp_path, broker)
    agent.contact()
    agent.start()
    try:
        broker.users = {"f-1": "first", "g-1": "for good"}
        agent.introduce()
        assert agent.answer(INTRODUCE) == {"ok": None}
    finally:
        agent.stop()


def test_a_contact_that_comes_late_is_found(tmp_path: Path, broker: Broker) -> None:
    agent = Agent(tmp_path, broker)
    agent.start()
    try:
        agent.contact()
        agent.introduce()
        assert agent.answer(INTRODUCE) == {"ok": None}
    finally:
        agent.stop()


def test_a_crash_before_the_contact_file_was_removed_changes_nothing(
    known: Agent, broker: Broker
) -> None:
    known.stop()
    known.contact()
    known.start()
    known.send("ping", "op2.s.do.1.1")
    known.answer("op2.s.do.1.1")
    assert broker.connects == ["f-1", "g-1", "g-1"]
    assert not known.paths.contact.exists()


def test_a_rebuilt_server_is_introduced_anew(known: Agent, broker: Broker) -> None:
    known.stop()
    key = envelope.new_key()
    contact = Contact(
        INSTANCE, "192.0.2.1", 5671, "guest", "", "f-2", Secret("second"), "contact", key
    )
    known.contact(contact)
    broker.users = {"f-2": "second", "g-2": "anew"}
    known.start()
    fresh = envelope.new_key()
    order = messages.Introduction("g-2", Secret("anew"), "k2", envelope.new_key(), fresh)
    broker.events.clear()
    known.send("introduce", "op3.s.do.1.1", order, key="contact", sealed_with=key)
    until(lambda: broker.events)
    assert broker.connects[-2:] == ["f-2", "g-2"]
    assert known.events("result", fresh)[0][1] == {"ok": None}
