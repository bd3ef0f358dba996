from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.contract.messages import Fate
from dbaas.guestagent.journal import Journal

FIRST, SECOND, OTHER = "op1.step.do.1.1", "op1.step.do.1.2", "op2.step.do.1.1"
BODY = {"ok": 1}


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path)


def test_a_command_is_new_once(journal: Journal) -> None:
    assert journal.accept(FIRST, 1, b"m")
    assert not journal.accept(FIRST, 1, b"m")


def test_what_was_accepted_outlives_the_agent_in_order(tmp_path: Path, journal: Journal) -> None:
    journal.accept(SECOND, 1, b"earlier")
    journal.accept(FIRST, 1, b"later")
    assert Journal(tmp_path).unfinished() == [(SECOND, b"earlier"), (FIRST, b"later")]


def test_what_was_finished_is_not_run_again(tmp_path: Path, journal: Journal) -> None:
    journal.accept(FIRST, 1, b"m")
    journal.finish(FIRST, Fate.FINISHED, BODY)
    again = Journal(tmp_path)
    assert again.unfinished() == []
    assert not again.accept(FIRST, 1, b"m")


def test_a_crash_between_answer_and_removal_of_the_order_does_not_run_it_again(
    tmp_path: Path, journal: Journal
) -> None:
    journal.accept(FIRST, 1, b"m")
    order = (tmp_path / "accepted" / FIRST).read_bytes()
    journal.finish(FIRST, Fate.FINISHED, BODY)
    (tmp_path / "accepted" / FIRST).write_bytes(order)
    assert Journal(tmp_path).unfinished() == []


def test_an_answer_waits_until_the_broker_has_it(tmp_path: Path, journal: Journal) -> None:
    journal.accept(FIRST, 3, b"m")
    journal.finish(FIRST, Fate.FINISHED, BODY)
    again = Journal(tmp_path)
    ((command, answer),) = again.unsent()
    assert (command, answer.body, answer.epoch) == (FIRST, BODY, 3)
    again.sent(command, answer)
    assert again.unsent() == []
    assert Journal(tmp_path).unsent() == []


def test_a_repeated_command_is_answered_again(journal: Journal) -> None:
    journal.accept(FIRST, 1, b"m")
    journal.finish(FIRST, Fate.FINISHED, BODY)
    journal.sent(*journal.unsent()[0])
    journal.accept(FIRST, 2, b"m")
    ((command, answer),) = journal.unsent()
    assert (command, answer.body, answer.epoch) == (FIRST, BODY, 2)


def test_an_answer_that_is_asked_for_while_it_is_sent_is_sent_again(journal: Journal) -> None:
    journal.accept(FIRST, 1, b"m")
    journal.finish(FIRST, Fate.FINISHED, BODY)
    ((command, answer),) = journal.unsent()
    journal.accept(FIRST, 2, b"m")
    journal.sent(command, answer)
    assert [command for command, _ in journal.unsent()] == [FIRST]


def test_a_former_owner_of_an_operation_is_refused(tmp_path: Path, journal: Journal) -> None:
    journal.accept(FIRST, 2, b"m")
    with pytest.raises(errors.Conflict, match="former owner"):
        journal.accept(SECOND, 1, b"m")
    assert journal.accept(OTHER, 1, b"m")
    journal.finish(FIRST, Fate.FINISHED, BODY)
    with pytest.raises(errors.Conflict):
        Journal(tmp_path).accept(SECOND, 1, b"m")


def test_a_higher_epoch_of_a_repeated_command_counts_after_a_restart(
    tmp_path: Path, journal: Journal
) -> None:
    journal.accept(FIRST, 1, b"m")
    journal.finish(FIRST, Fate.FINISHED, BODY)
    journal.accept(FIRST, 5, b"m")
    with pytest.raises(errors.Conflict):
        Journal(tmp_path).accept(SECOND, 4, b"m")


def test_a_forestalled_command_never_runs(tmp_path: Path, journal: Journal) -> None:
    journal.forestall(FIRST)
    assert journal.unsent() == []
    again = Journal(tmp_path)
    assert not again.accept(FIRST, 1, b"m")
    ((_, answer),) = again.unsent()
    assert answer.fate is Fate.NEVER_RAN
    assert answer.body["error"]["kind"] == "Conflict"


def test_only_the_last_answers_are_kept_but_none_that_the_broker_lacks(tmp_path: Path) -> None:
    journal = Journal(tmp_path, keep=3)
    commands = [f"op{n}.s.do.1.1" for n in range(6)]
    for command in commands:
        journal.accept(command, 1, b"m")
        journal.finish(command, Fate.FINISHED, BODY)
    assert len(journal.unsent()) == 6
    for command, answer in journal.unsent():
        journal.sent(command, answer)
    assert [command for command in commands if journal.answer(command)] == commands[3:]
    assert len(list((tmp_path / "sent").iterdir())) == 3


@pytest.mark.parametrize("command", ["", ".", "../x", "a/b", ".hidden", "x" * 121, "a\0"])
def test_a_command_s_id_is_no_path(journal: Journal, command: str) -> None:
    with pytest.raises(errors.Invalid, match="no id of a command"):
        journal.accept(command, 1, b"m")


def test_nobody_else_reads_the_journal(tmp_path: Path, journal: Journal) -> None:
    journal.accept(FIRST, 1, b"m")
    journal.finish(FIRST, Fate.FINISHED, BODY)
    assert (tmp_path / "unsent").stat().st_mode & 0o077 == 0
    assert (tmp_path / "unsent" / FIRST).stat().st_mode & 0o077 == 0


def test_what_has_begun_is_known_until_it_is_answered(tmp_path: Path, journal: Journal) -> None:
    journal.accept(FIRST, 1, b"m")
    assert not journal.has_begun(FIRST)
    journal.begin(FIRST)
    journal.begin(FIRST)
    again = Journal(tmp_path)
    assert again.has_begun(FIRST)
    assert not again.has_begun(SECOND)
    again.finish(FIRST, Fate.FINISHED, BODY)
    assert not again.has_begun(FIRST)
    assert not Journal(tmp_path).has_begun(FIRST)
