"""A guest's first process, found again by whoever looks and never mistaken for another.

A process number is used again some day; number, start time and boot together are not, and a guest
cannot forge them.
"""

import os
import select
import signal
from pathlib import Path

from dbaas.host import files

_FIELDS_AFTER_NAME = 19
"""In /proc/PID/stat the start time is field 22 and the name, in parentheses, field 2 (proc(5))."""


def remember(file: Path, pid: int) -> None:
    """Write down which process it is, durably; it is our child and cannot vanish meanwhile."""
    files.write(file, f"{pid} {_started(pid)} {_boot()}\n", mode=0o600)


def running(file: Path) -> int | None:
    """Return the process's number if it still runs."""
    try:
        pid, started, boot = file.read_text().split()
    except FileNotFoundError:
        return None
    alive = boot == _boot() and _started(int(pid)) == started
    return int(pid) if alive else None


def watch(file: Path) -> int | None:
    """Return a handle to `wait` for the process by, or None when it does not run."""
    pid = running(file)
    if pid is None:
        return None
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return None
    if running(file) != pid:  # it ended, and the number may be another's by now
        os.close(handle)
        return None
    return handle


def send(file: Path, number: signal.Signals) -> int | None:
    """Signal the process; return a handle as `watch` does."""
    handle = watch(file)
    if handle is None:
        return None
    try:
        signal.pidfd_send_signal(handle, number)
    except ProcessLookupError:
        os.close(handle)
        return None
    return handle


def wait(handle: int, timeout: float) -> bool:
    """Wait until the process has ended, at most `timeout` seconds; closes the handle."""
    try:
        return bool(select.select([handle], [], [], max(0.0, timeout))[0])
    finally:
        os.close(handle)


def kill(file: Path, timeout: float) -> bool:
    """Kill the process, and with it all that is in its process namespace."""
    handle = send(file, signal.SIGKILL)
    return handle is None or wait(handle, timeout)


def _started(pid: int) -> str:
    """Return its start time in clock ticks since boot; empty for none or a zombie."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return ""
    return "" if after_name[0] in "ZX" else after_name[_FIELDS_AFTER_NAME]


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
