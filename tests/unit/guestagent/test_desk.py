from pathlib import Path

import pytest

from dbaas.contract import errors, messages
from dbaas.contract.messages import Fate
from dbaas.guestagent.desk import Desk
from dbaas.guestagent.journal import Journal
from tests.unit.guestagent.guest import PREPARE, Works, body, header, until

RUNNING, WAITING = "op1.step.do.1.1", "op1.step.do.1.2"


@pytest.fixture
def works() -> Works:
    return Works()


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


@pytest.fixture
def complaints() -> list[str]:
    return []


@pytest.fixture
def desk(journal: Journal, works: Works, complaints: list[str]) -> Desk:
    desk = Desk(journal, works.serve, complaints.append)
    works.cancelled = desk.cancel
    desk.start()
    return desk


def answer(journal: Journal, command: str) -> dict[str, object]:
    until(lambda: journal.answer(command))
    found = journal.answer(command)
    assert found
    return found.body


def take(desk: Desk, method: str, command: str, order: object = None, epoch: int = 1) -> None:
    desk.take(header(method, command, epoch), body(order), b"message")


def test_a_command_runs_and_its_answer_is_kept(desk: Desk, journal: Journal, works: Works) -> None:
    take(desk, "grow_volume", "op1.s.do.1.1", messages.VolumeGrowth(4096))
    assert answer(journal, "op1.s.do.1.1") == {"ok": {"total": 4096, "used": 0}}
    assert works.ran == ["grow_volume"]


def test_a_repeated_command_runs_once(desk: Desk, journal: Journal, works: Works) -> None:
    for epoch in (1, 2, 3):
        take(desk, "restart", "op1.s.do.1.1", epoch=epoch)
        answer(journal, "op1.s.do.1.1")
    assert works.ran == ["restart"]
    assert [item.epoch for _, item in journal.unsent()] == [3]


def test_a_command_of_a_former_owner_does_not_run(desk: Desk, works: Works) -> None:
    take(desk, "ping", "op1.s.do.2.1", epoch=2)
    with pytest.raises(errors.Conflict):
        take(desk, "restart", "op1.s.do.1.1", epoch=1)
    until(lambda: not desk.busy)
    assert works.ran == ["ping"]


def test_questions_are_answered_while_a_long_command_runs(
    desk: Desk, journal: Journal, works: Works
) -> None:
    take(desk, "prepare", RUNNING, PREPARE)
    works.running.wait(5)
    take(desk, "ping", WAITING)
    assert "ok" in answer(journal, WAITING)
    assert desk.busy
    works.let_go.set()
    assert "ok" in answer(journal, RUNNING)
    until(lambda: not desk.busy)


def test_long_commands_run_one_after_the_other(desk: Desk, journal: Journal, works: Works) -> None:
    take(desk, "prepare", RUNNING, PREPARE)
    works.running.wait(5)
    take(desk, "restart", WAITING)
    assert works.ran == ["prepare"]
    works.let_go.set()
    answer(journal, WAITING)
    assert works.ran == ["prepare", "restart"]


def test_others_run_while_one_runs_that_takes_hours(
    desk: Desk, journal: Journal, works: Works
) -> None:
    take(desk, "check_data", RUNNING)
    works.running.wait(5)
    until(lambda: not desk.busy)  # nobody waits for that one at once
    take(desk, "restart", WAITING)
    assert "ok" in answer(journal, WAITING)
    assert journal.answer(RUNNING) is None
    works.let_go.set()
    assert answer(journal, RUNNING) == {"ok": {"tables": 1, "rows": 2, "seconds": 3.0}}


def test_one_that_takes_hours_can_be_cancelled(desk: Desk, journal: Journal, works: Works) -> None:
    take(desk, "check_data", RUNNING)
    works.running.wait(5)
    assert desk.cancel(RUNNING).fate is Fate.STOPPED


def test_cancelling_what_never_came_keeps_it_from_running(
    desk: Desk, journal: Journal, works: Works
) -> None:
    assert desk.cancel("op1.s.do.1.1").fate is Fate.NEVER_RAN
    take(desk, "restart", "op1.s.do.1.1")
    assert answer(journal, "op1.s.do.1.1")["error"]
    assert works.ran == []


def test_cancelling_what_waits_keeps_it_from_running(
    desk: Desk, journal: Journal, works: Works
) -> None:
    take(desk, "prepare", RUNNING, PREPARE)
    works.running.wait(5)
    take(desk, "restart", WAITING)
    assert desk.cancel(WAITING).fate is Fate.NEVER_RAN
    works.let_go.set()
    until(lambda: not desk.busy)
    assert works.ran == ["prepare"]
    assert desk.cancel(WAITING).fate is Fate.NEVER_RAN


def test_cancelling_what_runs_stops_it(desk: Desk, journal: Journal, works: Works) -> None:
    take(desk, "prepare", RUNNING, PREPARE)
    works.running.wait(5)
    take(desk, "cancel", WAITING, messages.Cancel(RUNNING))
    assert answer(journal, WAITING) == {"ok": {"fate": "stopped"}}
    assert answer(journal, RUNNING)["error"] == {
        "kind": "Conflict",
        "text": "the command was cancelled",
    }
    assert desk.cancel(RUNNING).fate is Fate.STOPPED


def test_cancelling_what_has_finished_has_its_answer_sent_again(
    desk: Desk, journal: Journal
) -> None:
    take(desk, "restart", RUNNING)
    answer(journal, RUNNING)
    journal.sent(*journal.unsent()[0])
    assert desk.cancel(RUNNING).fate is Fate.FINISHED
    assert [command for command, _ in journal.unsent()] == [RUNNING]


def test_a_cancelled_command_does_not_run_after_a_restart_of_the_agent(
    tmp_path: Path, desk: Desk, complaints: list[str]
) -> None:
    desk.cancel(RUNNING)
    works = Works()
    journal = Journal(tmp_path)
    again = Desk(journal, works.serve, complaints.append)
    again.start()
    take(again, "restart", RUNNING)
    assert answer(journal, RUNNING)["error"]
    assert works.ran == []


def test_an_error_travels_by_its_kind(desk: Desk, journal: Journal, works: Works) -> None:
    works.raises = errors.Unavailable("later")
    take(desk, "restart", RUNNING)
    assert answer(journal, RUNNING) == {"error": {"kind": "Unavailable", "text": "later"}}


def test_what_nobody_expected_is_a_failure_that_tells_no_secret(
    desk: Desk, journal: Journal, works: Works, complaints: list[str]
) -> None:
    works.raises = RuntimeError("password=hunter2")
    take(desk, "restart", RUNNING)
    error = answer(journal, RUNNING)["error"]
    assert error == {"kind": "Failed", "text": "the guest agent failed while it ran 'restart'"}
    assert complaints == [f"restart {RUNNING} failed: RuntimeError"]


@pytest.mark.parametrize(
    ("method", "sent", "kind"),
    [
        ("explode", b"{}", "Unsupported"),
        ("restart", b'{"args": 1}', "Invalid"),
        ("grow_volume", b"{}", "Invalid"),
        ("grow_volume", b'{"args": {"size": "big"}}', "Invalid"),
        ("grow_volume", b"no json", "Invalid"),
        ("__init__", b"{}", "Unsupported"),
    ],
)
def test_what_is_no_order_is_answered_as_such(
    desk: Desk, journal: Journal, works: Works, method: str, sent: bytes, kind: str
) -> None:
    desk.take(header(method, RUNNING), sent, b"message")
    error = answer(journal, RUNNING)["error"]
    assert isinstance(error, dict)
    assert error["kind"] == kind
    assert works.ran == []
