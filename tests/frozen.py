"""Processes that are there and do nothing, for a while."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PATIENCE = 10.0
"""Seconds for what takes no time, but where the kernel is at work for one of them."""


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Freeze these processes; each goes on in the end, if it is still there then."""
    assert pids
    try:
        freeze(*pids)
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


def freeze(*pids: int) -> None:
    """Return when all threads stand still: one that waits for a lock may get it until then."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + PATIENCE
    while not all(_stands_still(pid) for pid in pids):
        assert time.monotonic() < deadline, f"one of {pids} does not stand still"
        time.sleep(0.002)


def _stands_still(pid: int) -> bool:
    return all(_state(thread) in "TtZX" for thread in Path(f"/proc/{pid}/task").glob("*/stat"))


def _state(stat: Path) -> str:
    """Return the letter for what a thread does (proc(5)); of one that has ended, `X`."""
    try:
        return stat.read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
