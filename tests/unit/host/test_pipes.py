import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.host import pipes
from dbaas.host.pipes import Pipe, Program


class Unwanted(Exception): ...


def wanted() -> None: ...


def shell(script: str) -> Program:
    return Program(("sh", "-c", script))


def read_all(pipe: Pipe) -> bytes:
    found, buffer = b"", memoryview(bytearray(1 << 16))
    while count := pipe.read(buffer):
        found += buffer[:count]
    return found


def running(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in "ZX"


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.002)


def test_we_read_what_the_last_one_makes_of_what_the_first_one_says() -> None:
    with Pipe([shell("printf abc; echo fine >&2"), Program(("tr", "a-c", "x-z"))], wanted) as pipe:
        assert read_all(pipe) == b"xyz"
        pipe.finish()
        assert pipe.said(0) == "fine\n"


def test_the_first_one_reads_what_we_write(tmp_path: Path) -> None:
    content = os.urandom(3 << 20)
    programs = [Program(("cat",)), shell(f"cat >{tmp_path}/out")]
    with Pipe(programs, wanted, feeds=True) as pipe:
        pipe.write(content)
        pipe.finish()
    assert (tmp_path / "out").read_bytes() == content


@pytest.mark.parametrize("bad", [0, 1])
def test_the_one_that_failed_is_named_with_its_complaint(bad: int) -> None:
    programs = [Program(("cat", "/dev/null")), Program(("cat",))]
    programs[bad] = shell("cat >/dev/null; echo 'no luck' >&2; exit 3")
    with Pipe(programs, wanted) as pipe:
        read_all(pipe)
        with pytest.raises(errors.Failed, match="sh exited with 3: no luck"):
            pipe.finish()


def test_the_reader_that_ended_is_named_and_not_the_one_that_wrote_to_it() -> None:
    with Pipe([Program(("yes",)), shell("echo 'no room' >&2; exit 4")], wanted) as pipe:
        read_all(pipe)
        with pytest.raises(errors.Failed, match="sh exited with 4: no room"):
            pipe.finish()


def test_writing_to_one_that_ended_tells_its_complaint() -> None:
    with (
        Pipe([shell("echo 'disk full' >&2; exit 5")], wanted, feeds=True) as pipe,
        pytest.raises(errors.Failed, match="disk full"),
    ):
        pipe.write(bytes(8 << 20))


def test_one_that_is_not_there_is_named() -> None:
    with pytest.raises(errors.Failed, match="no-such-program is not installed"):
        pipes.run(Program(("/bin/no-such-program",)), wanted)


def test_leaving_kills_what_runs() -> None:
    with Pipe([Program(("sleep", "20")), Program(("cat",))], wanted) as pipe:
        pids = [child.pid for child in pipe._children]
        assert all(running(pid) for pid in pids)
    assert not any(running(pid) for pid in pids)


@pytest.mark.parametrize("feeds", [False, True])
def test_waiting_ends_when_it_is_not_wanted_any_more(feeds: bool) -> None:
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() > began + 0.05:
            raise Unwanted

    with (
        Pipe([Program(("sleep", "20"))], check, feeds=feeds) as pipe,
        pytest.raises(Unwanted),
    ):
        pipe.write(bytes(8 << 20)) if feeds else pipe.read(memoryview(bytearray(10)))


def test_a_program_s_complaints_are_kept_to_their_end_only() -> None:
    said = pipes.run(shell("head -c 300000 /dev/zero | tr '\\0' x >&2; printf end >&2"), wanted)
    assert said.endswith("xend")
    assert len(said) <= 2 * pipes.TAIL


def test_it_is_told_how_much_went_through() -> None:
    with Pipe([Program(("cat",)), Program(("cat",))], wanted, feeds=True) as pipe:
        pipe.write(bytes(100_000))
        until(lambda: pipe.has_read(1) >= 100_000)
        assert 100_000 <= pipe.has_written(0) <= pipe.has_read(0)
        pipe.finish()


STARTER = """
import sys, time
from dbaas.host.pipes import Pipe, Program
with Pipe([Program(("sleep", "20")), Program(("cat",))], lambda: None) as pipe:
    print(*(child.pid for child in pipe._children), flush=True)
    time.sleep(9)
"""


def test_they_die_with_who_began_them() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", STARTER], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as starter:
        assert starter.stdout
        pids = [int(pid) for pid in starter.stdout.readline().split()]
        until(lambda: all("sleep" in name(pids[0]) or name(pid) for pid in pids))
        starter.send_signal(signal.SIGKILL)
        until(lambda: not any(running(pid) for pid in pids))


def name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes somebody else")
def test_one_that_runs_under_another_account_dies_with_its_starter_too() -> None:
    starter = STARTER.replace('"20"))', '"20"), "daemon")')
    with subprocess.Popen(
        [sys.executable, "-c", starter], stdout=subprocess.PIPE, text=True, cwd=Path.cwd()
    ) as process:
        assert process.stdout
        pid = int(process.stdout.readline().split()[0])
        until(lambda: "sleep" in name(pid))
        assert Path(f"/proc/{pid}").owner() == "daemon"
        process.send_signal(signal.SIGKILL)
        until(lambda: not running(pid))
