import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbaas.cloud.local import processes


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "60"]) as process:
        yield process
        process.kill()


def test_a_process_is_found_again(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    file = tmp_path / "pid"
    assert processes.running(file) is None
    processes.remember(file, sleeper.pid)
    assert processes.running(file) == sleeper.pid


def test_another_process_of_the_same_number_is_another(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    processes.remember(file, sleeper.pid)
    pid, started, boot = file.read_text().split()
    file.write_text(f"{pid} {int(started) - 1} {boot}\n")
    assert processes.running(file) is None
    file.write_text(f"{pid} {started} an-earlier-boot\n")
    assert processes.running(file) is None
    assert processes.send(file, signal.SIGKILL) is None
    assert sleeper.poll() is None


def test_a_killed_process_is_gone_before_anybody_reaps_it(
    sleeper: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    file = tmp_path / "pid"
    processes.remember(file, sleeper.pid)
    assert processes.kill(file, timeout=5)
    assert processes.running(file) is None
    assert processes.kill(file, timeout=5)


def test_waiting_for_one_that_stays_ends(sleeper: subprocess.Popen[bytes], tmp_path: Path) -> None:
    file = tmp_path / "pid"
    processes.remember(file, sleeper.pid)
    handle = processes.send(file, signal.SIGCONT)
    assert handle is not None
    assert not processes.wait(handle, timeout=0.01)
