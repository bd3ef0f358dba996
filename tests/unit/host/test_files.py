import threading
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.host import files


def test_a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "key"
    files.write(path, "old")
    files.write(path, b"new", mode=0o600)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in tmp_path.iterdir()] == ["key"]


def test_a_write_that_fails_leaves_the_old_content(tmp_path: Path) -> None:
    path = tmp_path / "directory"
    path.mkdir()
    with pytest.raises(IsADirectoryError):
        files.write(path, "x")
    assert files.leftovers(tmp_path) == []


def test_removing_what_is_not_there_is_fine(tmp_path: Path) -> None:
    files.write(tmp_path / "a", "x")
    files.remove(tmp_path / "a")
    files.remove(tmp_path / "a")
    assert not (tmp_path / "a").exists()


def test_a_lock_that_is_held_is_busy_after_the_time_out(tmp_path: Path) -> None:
    second = files.lock(tmp_path / "l", timeout=0.02)
    with files.lock(tmp_path / "l"), pytest.raises(errors.Busy):
        second.__enter__()


def test_a_shared_lock_is_shared(tmp_path: Path) -> None:
    with files.lock(tmp_path / "l", shared=True), files.lock(tmp_path / "l", shared=True):
        pass


def test_a_lock_is_got_when_its_holder_lets_go(tmp_path: Path) -> None:
    order = []
    held = threading.Event()

    def hold() -> None:
        with files.lock(tmp_path / "l"):
            held.set()
            order.append("first")

    thread = threading.Thread(target=hold)
    thread.start()
    held.wait(5)
    with files.lock(tmp_path / "l", timeout=5):
        order.append("second")
    thread.join()
    assert order == ["first", "second"]
