"""Numbers that processes share."""

import os
import signal
import threading
from pathlib import Path

import pytest

from dbaas.common.shared import Shared


def child(work: object) -> int:
    """Do `work` in a fork of this process; return how that ended."""
    pid = os.fork()
    if pid == 0:
        try:
            work()  # type: ignore[operator]
        finally:
            os._exit(0)
    return os.waitpid(pid, 0)[1]


def test_what_a_fork_counts_is_seen_here() -> None:
    shared = Shared(2)

    def count() -> None:
        with shared.locked() as numbers:
            numbers[1] += 5.0

    assert child(count) == 0
    with shared.locked() as numbers:
        assert list(numbers) == [0.0, 5.0]


def test_a_process_that_dies_gives_the_lock_back() -> None:
    shared = Shared(1)

    def die() -> None:
        with shared.locked():
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(child(die)) == signal.SIGKILL
    with shared.locked() as numbers:
        assert numbers[0] == 0.0


def test_no_addition_of_any_process_or_thread_is_lost() -> None:
    shared = Shared(1)

    def add() -> None:
        for _ in range(2000):
            with shared.locked() as numbers:
                numbers[0] += 1.0

    def both() -> None:
        threads = [threading.Thread(target=add) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    pid = os.fork()
    if pid == 0:
        both()
        os._exit(0)
    both()
    os.waitpid(pid, 0)
    with shared.locked() as numbers:
        assert numbers[0] == 8000.0


def test_a_file_is_shared_by_whoever_opens_it(tmp_path: Path) -> None:
    one, other = Shared(3, tmp_path / "numbers"), Shared(3, tmp_path / "numbers")
    with one.locked() as numbers:
        numbers[2] = 7.5
    with other.locked() as numbers:
        assert numbers[2] == 7.5


def test_a_file_of_another_size_begins_anew(tmp_path: Path) -> None:
    (tmp_path / "numbers").write_bytes(b"something else")
    with Shared(3, tmp_path / "numbers").locked() as numbers:
        assert list(numbers) == [0.0, 0.0, 0.0]


def test_a_file_that_cannot_be_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        Shared(1, tmp_path / "nowhere" / "numbers")
