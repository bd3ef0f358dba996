from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.contract.messages import Fate, Health, ServiceStatus
from dbaas.contract.secret import Secret
from dbaas.guestagent.identity import Identity
from dbaas.guestagent.journal import Journal
from dbaas.guestagent.reporter import FIRST_REST, LOG_INTERVAL, LONGEST_REST, Reporter
from dbaas.rpc import envelope
from dbaas.rpc.guests import Address
from tests.unit.guestagent.guest import INSTANCE

KEY = envelope.new_key()
ME = Identity(
    INSTANCE, Address("h", 1, "v", "g", Secret("p")), "k1", envelope.new_key(), KEY, None, ""
)


class Sender:
    def __init__(self) -> None:
        self.said: list[tuple[str, envelope.Header, bytes]] = []

    def publish(self, kind: str, body: bytes) -> None:
        self.said.append((kind, *envelope.unseal(KEY, body)))


@pytest.fixture
def now() -> list[float]:
    return [100.0]


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


@pytest.fixture
def reporter(journal: Journal, now: list[float]) -> Reporter:
    return Reporter(7, journal, lambda: now[0])


def test_every_change_of_status_is_said_but_only_the_last_of_equals(reporter: Reporter) -> None:
    sender = Sender()
    for service, used in (("CRASHED", 1), ("CRASHED", 2), ("HEALTHY", 3), ("HEALTHY", 4)):
        reporter.heartbeat(Health(ServiceStatus[service], volume_used=used))
    reporter.publish(sender, ME)
    reporter.publish(sender, ME)
    assert [(kind, about.boot, about.seq) for kind, about, _ in sender.said] == [
        ("hb", 7, 1),
        ("hb", 7, 2),
    ]
    assert b'"volume_used": 2' in sender.said[0][2]
    assert b'"volume_used": 4' in sender.said[1][2]


class Full(Sender):
    """Has no room for this many messages."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def publish(self, kind: str, body: bytes) -> None:
        if self.times > 0:
            self.times -= 1
            raise errors.Busy("full")
        super().publish(kind, body)


def test_what_the_broker_had_no_room_for_is_said_again_after_a_rest(
    reporter: Reporter, journal: Journal, now: list[float]
) -> None:
    sender = Full(1)
    reporter.heartbeat(Health(ServiceStatus.CRASHED))
    reporter.heartbeat(Health(ServiceStatus.HEALTHY, volume_used=1))
    journal.accept("c.1", 1, b"")
    journal.finish("c.1", Fate.FINISHED, {"ok": None})
    reporter.publish(sender, ME)
    reporter.heartbeat(Health(ServiceStatus.HEALTHY, volume_used=2))
    reporter.publish(sender, ME)
    assert sender.said == []
    now[0] += FIRST_REST
    reporter.publish(sender, ME)
    assert [kind for kind, _, _ in sender.said] == ["hb", "hb", "result"]
    assert b"crashed" in sender.said[0][2]
    assert b'"volume_used": 2' in sender.said[1][2]
    assert [about.seq for _, about, _ in sender.said] == [2, 3, 4]


def test_an_agent_rests_longer_while_the_broker_stays_full(
    reporter: Reporter, now: list[float]
) -> None:
    sender = Full(1000)
    reporter.heartbeat(Health(ServiceStatus.HEALTHY))
    for _ in range(600):  # seconds, in tenths
        reporter.publish(sender, ME)
        now[0] += 0.1
    assert 6 <= 1000 - sender.times <= 18
    sender.times = 0
    now[0] += LONGEST_REST
    reporter.publish(sender, ME)
    assert len(sender.said) == 1


def test_a_heartbeat_is_kept_when_the_connection_is_lost(reporter: Reporter) -> None:
    class Lost(Sender):
        def publish(self, kind: str, body: bytes) -> None:
            raise errors.Unavailable("lost")

    reporter.heartbeat(Health(ServiceStatus.HEALTHY))
    with pytest.raises(errors.Unavailable):
        reporter.publish(Lost(), ME)
    sender = Sender()
    reporter.publish(sender, ME)
    assert len(sender.said) == 1


def test_log_lines_are_few_and_short(reporter: Reporter, now: list[float]) -> None:
    sender = Sender()
    for line in range(50):
        reporter.log(f"{line}" * 1000)
        reporter.publish(sender, ME)
    assert len(sender.said) == 1
    assert len(sender.said[0][2]) < 600
    now[0] += LOG_INTERVAL
    reporter.publish(sender, ME)
    assert [about.method for _, about, _ in sender.said] == ["log", "log"]


def test_an_answer_that_no_broker_takes_is_an_answer_too(
    reporter: Reporter, journal: Journal
) -> None:
    sender = Sender()
    journal.finish("op1.s.do.1.1", Fate.FINISHED, {"ok": "x" * (1 << 20)})
    reporter.publish(sender, ME)
    ((kind, about, body),) = sender.said
    assert (kind, about.command) == ("result", "op1.s.do.1.1")
    assert b"cannot be sent" in body
    assert journal.unsent() == []
