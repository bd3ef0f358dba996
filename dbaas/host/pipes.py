"""Programs, each of which reads what the one before it says, with us at one end of the row.

They die with whoever began them: when it closes the row, when it is killed, when it crashes.
"""

import fcntl
import os
import select
import shutil
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from dbaas.contract import errors

TAIL = 2000
"""Characters of a program's complaint that are kept."""
ROOM = 1 << 20
"""Bytes that the kernel keeps between two programs: the default of 64 KiB wakes them too often."""
LOOK = 0.2
"""Seconds between two looks at whether anybody still wants it."""
SET_PIPE_SIZE = 1031
"""F_SETPIPE_SZ of fcntl(2)."""

Check = Callable[[], None]
"""Raises when it is not wanted any more."""


@dataclass(frozen=True)
class Program:
    """`user`: the account under which it runs, with the group of its name; empty means our own."""

    args: Sequence[str]
    user: str = ""

    @property
    def name(self) -> str:
        return Path(self.args[0]).name


class Pipe:
    """A row of programs. A context: what still runs when it is left is killed.

    It has to be entered in a thread that lives as long as the programs are to: the kernel kills
    them when that one ends (PR_SET_PDEATHSIG of prctl(2) means the thread).
    """

    def __init__(self, programs: Sequence[Program], check: Check, *, feeds: bool = False) -> None:
        """`feeds`: we write what the first one reads; else we read what the last one says.

        `check` is called now and then while we wait for one of them.
        """
        self._programs = programs
        self._check = check
        self._feeds = feeds
        self._children: list[subprocess.Popen[bytes]] = []
        self._ends: list[int] = []
        self._ours = -1
        self._complaints: list[_Complaint] = []

    def __enter__(self) -> "Pipe":
        try:
            self._start()
        except BaseException:
            self._kill()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._kill()

    def read(self, into: memoryview) -> int:
        """Fill it as far as there is something, and return how many bytes; 0 only at the end."""
        filled = 0
        while filled < len(into):
            self._await(select.POLLIN)
            count = os.readv(self._ours, [into[filled:]])
            if not count:
                break
            filled += count
        return filled

    def write(self, content: bytes | memoryview) -> None:
        """Have all of it read; raise `Failed` with the complaint of the program that ended."""
        rest = memoryview(content)
        while rest:
            self._await(select.POLLOUT)
            try:
                rest = rest[os.write(self._ours, rest) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self.finish()
                raise errors.Failed(f"{self._programs[0].name} did not read to the end") from None

    def finish(self) -> None:
        """Wait until all have ended; raise `Failed` for the first that did so badly."""
        self._close_ours()
        for child in self._children:
            watcher = os.pidfd_open(child.pid)
            try:
                self._await(select.POLLIN, watcher)
            finally:
                os.close(watcher)
            child.wait()
        for complaint in self._complaints:
            complaint.join()
        ended = list(zip(self._programs, self._children, self._complaints, strict=True))
        # One whose reader has ended is killed by that (13): the reader is the one to name then.
        bad = [each for each in ended if each[1].returncode]
        bad.sort(key=lambda each: each[1].returncode == -signal.SIGPIPE)
        for program, child, complaint in bad:
            said = complaint.text.strip()[-TAIL:] or "it said nothing"
            raise errors.Failed(f"{program.name} exited with {child.returncode}: {said}")

    def ask_to_end(self, number: int) -> None:
        """Send SIGTERM to a program, unless it has ended."""
        child = self._children[number]
        if child.poll() is None:
            child.terminate()

    def ended(self) -> bool:
        """Return whether any of them has."""
        return any(child.poll() is not None for child in self._children)

    def said(self, number: int) -> str:
        """Return the end of what a program wrote to its standard error; all, once it has ended."""
        return self._complaints[number].text

    def has_read(self, number: int) -> int:
        """Return how many bytes a program has read so far, from wherever; 0 where nobody tells."""
        return self._moved(number, "rchar")

    def has_written(self, number: int) -> int:
        """Return how many bytes a program has written so far, to wherever; 0 likewise."""
        return self._moved(number, "wchar")

    def _moved(self, number: int, field: str) -> int:
        """proc_pid_io(5)."""
        with suppress(OSError, ValueError):
            text = Path(f"/proc/{self._children[number].pid}/io").read_text()
            for line in text.splitlines():
                name, _, value = line.partition(":")
                if name == field:
                    return int(value)
        return 0

    def _start(self) -> None:
        for program in self._programs:
            if shutil.which(program.args[0]) is None:
                raise errors.Failed(f"{program.name} is not installed here")
        count = len(self._programs)
        inputs: list[int | None] = [None] * count
        outputs: list[int | None] = [None] * count
        for number in range(count - 1):
            inputs[number + 1], outputs[number] = self._pipe()
        if self._feeds:
            inputs[0], self._ours = self._pipe()
            os.set_blocking(self._ours, False)
        else:
            self._ours, outputs[-1] = self._pipe()
        for program, reads, writes in zip(self._programs, inputs, outputs, strict=True):
            self._children.append(_begin(program, reads, writes))
            self._complaints.append(_Complaint(_stderr(self._children[-1])))
        for end in (*inputs, *outputs):
            if end is not None:
                self._close(end)

    def _pipe(self) -> tuple[int, int]:
        ends = os.pipe2(os.O_CLOEXEC)
        self._ends += ends
        with suppress(OSError):  # a user may have no leave for more
            fcntl.fcntl(ends[0], SET_PIPE_SIZE, ROOM)
        return ends

    def _await(self, event: int, handle: int | None = None) -> None:
        poller = select.poll()
        poller.register(self._ours if handle is None else handle, event)
        self._check()
        while not poller.poll(LOOK * 1000):
            self._check()

    def _close(self, end: int) -> None:
        self._ends.remove(end)
        os.close(end)

    def _close_ours(self) -> None:
        if self._ours in self._ends:
            self._close(self._ours)

    def _kill(self) -> None:
        for child in self._children:
            if child.returncode is None:  # it was not waited for, so that its id is still its own
                with suppress(ProcessLookupError):
                    os.kill(child.pid, signal.SIGKILL)
        for end in tuple(self._ends):
            self._close(end)
        for child in self._children:
            child.wait()
        for complaint in self._complaints:
            complaint.join()


def run(program: Program, check: Check) -> str:
    """Run one that reads and says nothing of worth; return the end of its complaints.

    Raise `Failed` when it ends badly. It may take as long as `check` lets it.
    """
    with Pipe([program], check) as pipe:
        sink = memoryview(bytearray(1 << 16))
        while pipe.read(sink):
            pass
        pipe.finish()
        return pipe.said(0)


def _begin(program: Program, reads: int | None, writes: int | None) -> "subprocess.Popen[bytes]":
    prefix = ["setpriv", "--pdeathsig", "KILL", "--"]
    if program.user:  # before that: becoming somebody else takes it off again (prctl(2))
        become = [f"--reuid={program.user}", f"--regid={program.user}", "--init-groups"]
        prefix = ["setpriv", *become, "--", *prefix]
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": "/"}
    return subprocess.Popen(  # noqa: S603  # an argument list, never a shell string
        [*prefix, *program.args],
        stdin=subprocess.DEVNULL if reads is None else reads,
        stdout=subprocess.DEVNULL if writes is None else writes,
        stderr=subprocess.PIPE,
        env=environment,
    )


def _stderr(child: "subprocess.Popen[bytes]") -> IO[bytes]:
    assert child.stderr is not None  # noqa: S101  # it was asked for
    return child.stderr


class _Complaint:
    """Keeps the end of what a program writes to its standard error."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._end = b""
        self._thread = threading.Thread(target=self._listen, name="complaints", daemon=True)
        self._thread.start()

    @property
    def text(self) -> str:
        return self._end.decode("utf-8", "replace")

    def join(self) -> None:
        """Wait until nobody has it open any more: the program, and whatever it has begun."""
        self._thread.join(timeout=2.0)

    def _listen(self) -> None:
        with self._source, suppress(OSError, ValueError):
            while said := os.read(self._source.fileno(), 1 << 16):
                self._end = (self._end + said)[-2 * TAIL :]
