import pytest

from dbaas.contract import errors
from dbaas.host import commands


def test_a_program_gets_its_input_and_its_output_comes_back() -> None:
    assert commands.run(["cat"], timeout=5, input=b"hello\n") == "hello"


def test_a_program_without_input_reads_nothing() -> None:
    assert commands.run(["cat"], timeout=5) == ""


def test_a_failure_carries_the_end_of_the_complaint() -> None:
    with pytest.raises(errors.Failed, match=r"exited with 3: it hurts"):
        commands.run(["sh", "-c", "echo it hurts >&2; exit 3"], timeout=5)


def test_a_program_that_takes_too_long_is_killed_and_is_worth_another_try() -> None:
    with pytest.raises(errors.Unavailable):
        commands.run(["sleep", "60"], timeout=0.05)


def test_a_program_that_is_not_there_has_failed() -> None:
    with pytest.raises(errors.Failed, match="cannot be run"):
        commands.run(["no-such-program-here"], timeout=5)


def test_an_argument_is_never_read_by_a_shell() -> None:
    assert commands.run(["echo", "$HOME; `id`"], timeout=5) == "$HOME; `id`"
