"""Finds and ends the processes of one stack by a mark in their environment, never by a name.

Whatever a stack starts inherits the mark, so that it is found when its supervisor was killed.
"""

import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dbaas.manage.stack.plan import Plan

MARK = "DBAAS_STACK"

_PROC = Path("/proc")
_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


@dataclass(frozen=True)
class Usage:
    """What a process and its descendants take."""

    processes: int
    memory: int
    """Bytes: the proportional set size, in which shared pages count once in all."""


NOTHING = Usage(0, 0)


def mark(plan: Plan) -> dict[str, str]:
    return {MARK: str(plan.directory)}


def of(plan: Plan) -> list[int]:
    """Return the pids of everything that this stack started and that still runs."""
    wanted = f"{MARK}={plan.directory}".encode()
    return [pid for pid in _pids() if pid != os.getpid() and wanted in _environment(pid)]


def end(pids: Iterable[int], grace: float) -> None:
    """Send SIGTERM to these, SIGKILL to those that are there after `grace` seconds; wait."""
    handles = [handle for pid in pids if (handle := _open(pid)) is not None]
    try:
        for signal_number, seconds in ((signal.SIGTERM, grace), (signal.SIGKILL, 10.0)):
            for handle in handles:
                with suppress(ProcessLookupError):
                    signal.pidfd_send_signal(handle, signal_number)
            _wait(handles, seconds)
    finally:
        for handle in handles:
            os.close(handle)


def usage(pid: int) -> Usage:
    members = family(pid)
    return Usage(len(members), sum(_memory(member) for member in members))


def uptime(pid: int) -> float:
    """Return the seconds since the process was started; 0 when it has ended."""
    with suppress(*_GONE):
        ticks = int(_stat(pid)[19])
        return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    return 0.0


def _stat(pid: int) -> list[str]:
    """Return what proc(5) has in `stat` after the name in parentheses, which may hold anything."""
    return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()


def _pids() -> list[int]:
    return [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdigit()]


def _environment(pid: int) -> Sequence[bytes]:
    try:
        return (_PROC / str(pid) / "environ").read_bytes().split(b"\0")
    except _GONE:
        return ()


def _open(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)
    except ProcessLookupError:
        return None


def _wait(handles: list[int], seconds: float) -> None:
    """Return when all of these have ended, or after so long; a handle is readable at the end."""
    deadline = time.monotonic() + seconds
    for handle in handles:
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        poll.poll(max(0.0, deadline - time.monotonic()) * 1000)


def family(pid: int) -> list[int]:
    """Return a process and all its descendants."""
    children: dict[int, list[int]] = {}
    for other in _pids():
        with suppress(*_GONE):
            children.setdefault(int(_stat(other)[1]), []).append(other)
    members = [pid]
    for member in members:
        members += children.get(member, [])
    return members


def _memory(pid: int) -> int:
    with suppress(*_GONE):
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    return 0
