"""A guest's processes, found by a mark in their environment.

Whatever a guest starts inherits the mark, in whichever session it is and whoever its parent was.
"""

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from dbaas.host.services import MARK

PAUSE = 0.02
"""Seconds between two looks at processes that are about to end."""

_GONE = (FileNotFoundError, ProcessLookupError, PermissionError)


def members(root: Path) -> list[int]:
    """Return the numbers of the guest's processes, those that only wait to be reaped left out."""
    wanted = f"{MARK}={root}".encode()
    return [int(entry.name) for entry in Path("/proc").iterdir() if _has(entry, wanted)]


def _has(entry: Path, wanted: bytes) -> bool:
    if not entry.name.isdigit():
        return False
    with suppress(*_GONE):
        return wanted in (entry / "environ").read_bytes().split(b"\0")
    return False


def send(processes: Iterable[int], number: signal.Signals) -> None:
    for process in processes:
        with suppress(ProcessLookupError):
            os.kill(process, number)


def kill(root: Path, timeout: float, spared: int = 0) -> bool:
    """Kill them all, also those that are started meanwhile; tell whether none is left."""
    deadline = time.monotonic() + timeout
    while left := [process for process in members(root) if process != spared]:
        if time.monotonic() > deadline:
            return False
        send(left, signal.SIGKILL)
        time.sleep(PAUSE)
    return True
