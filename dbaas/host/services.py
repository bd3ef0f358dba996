"""Run a long-lived program that outlives its starter, and find, watch and stop it later.

The program runs in a session of its own, under a user of its own. Before it begins, a record is
written of who it is: process id, start time and boot of the machine. So it is found again by an
agent that was killed and restarted, and a process that got a recycled id is never mistaken for it.
"""

import os
import select
import shutil
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands, files

MARK = "DBAAS_GUEST"
"""In the environment of a guest's processes where nothing but that tells which they are."""

TICKS = os.sysconf("SC_CLK_TCK")

LAUNCH = """
record=$1 output=$2 user=$3
shift 3
umask 027
(
    read -r stat </proc/self/stat
    read -r boot </proc/sys/kernel/random/boot_id
    echo "$boot $stat" >"$record" || exit 1
    if [ -n "$user" ]; then
        set -- setpriv --reuid="$user" --regid="$user" --init-groups -- "$@"
    fi
    exec "$@" >>"$output" 2>&1 </dev/null
) &
"""
"""A constant script: the record is written by the process that then becomes the program, so there
is no instant at which a crash of the starter leaves a program without a record. Everything that
varies is an argument."""


@dataclass(frozen=True)
class Service:
    """A program to run, and where to find it again."""

    program: Sequence[str]
    record: Path
    output: Path
    """File that gets what it says; opened to append, so it may be cut while it is written."""
    user: str = ""
    """Account under which it runs (with its group of the same name); empty means the agent's."""


@dataclass(frozen=True)
class Process:
    """A running process; `started` in clock ticks since the machine booted."""

    pid: int
    started: int

    @property
    def uptime(self) -> float:
        """Seconds since it started."""
        return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - self.started / TICKS)


def start(service: Service) -> Process:
    """Start the program unless it runs already; its death right after is for `find` to tell."""
    running = find(service)
    if running:
        return running
    if shutil.which(service.program[0]) is None:
        raise errors.Failed(f"{service.program[0]} is not installed here")
    service.record.unlink(missing_ok=True)
    arguments = (str(service.record), str(service.output), service.user, *service.program)
    environment = {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "HOME": "/"}
    if MARK in os.environ:
        environment[MARK] = os.environ[MARK]
    launcher = ["setsid", "--wait", "sh", "-c", LAUNCH, "launch", *arguments]
    commands.run(launcher, timeout=10.0, env=environment)
    recorded = _recorded(service.record)
    if recorded is None:
        raise errors.Failed(f"{service.program[0]} could not be started")
    return recorded


def find(service: Service) -> Process | None:
    """Return the program's process if it runs, whoever started it."""
    recorded = _recorded(service.record)
    if recorded is None or _start_time(recorded.pid) != recorded.started:
        return None
    return recorded


def watch(process: Process) -> int | None:
    """Return a descriptor that is readable once the process has ended; None if it has already.

    The caller closes it.
    """
    try:
        watcher = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return None
    if _start_time(process.pid) != process.started:
        os.close(watcher)
        return None
    return watcher


def wait(process: Process, timeout: float) -> bool:
    """Return whether the process ended within `timeout` seconds."""
    watcher = watch(process)
    if watcher is None:
        return True
    try:
        return _ended(watcher, timeout)
    finally:
        os.close(watcher)


def stop(service: Service, *, grace: float) -> None:
    """Ask the program to end, and kill it if it still runs after `grace` seconds."""
    process = find(service)
    watcher = watch(process) if process else None
    if watcher is not None:
        try:
            _end(watcher, grace)
        finally:
            os.close(watcher)
    service.record.unlink(missing_ok=True)


def bound(output: Path, limit: int) -> None:
    """Cut a program's output when it exceeds `limit` bytes; the last quarter of that is kept.

    What is written while this runs may be lost; the program goes on in the same file.
    """
    with suppress(FileNotFoundError):
        if output.stat().st_size <= limit:
            return
        with output.open("rb") as file:
            file.seek(-(limit // 4), os.SEEK_END)
            end = file.read()
        files.write(output.with_name(f"{output.name}.1"), end, mode=0o640)
        os.truncate(output, 0)


def _end(watcher: int, grace: float) -> None:
    with suppress(ProcessLookupError):
        signal.pidfd_send_signal(watcher, signal.SIGTERM)
        if not _ended(watcher, grace):
            signal.pidfd_send_signal(watcher, signal.SIGKILL)
            _ended(watcher, 60.0)


def _ended(watcher: int, timeout: float) -> bool:
    poller = select.poll()
    poller.register(watcher, select.POLLIN)
    return bool(poller.poll(timeout * 1000))


def _recorded(record: Path) -> Process | None:
    try:
        boot, stat = record.read_text().split(" ", 1)
        pid, started = _parse(stat)
    except (FileNotFoundError, ValueError, IndexError):
        return None
    return Process(pid, started) if boot == _boot() else None


def _start_time(pid: int) -> int | None:
    """Return when a live process started; None for none, and for one that only waits to be reaped.

    proc(5): state is field 3 and start time field 22; the name in field 2 may hold anything.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    if stat.rpartition(")")[2].split()[0] in "ZX":
        return None
    return _parse(stat)[1]


def _parse(stat: str) -> tuple[int, int]:
    return int(stat.split(" ", 1)[0]), int(stat.rpartition(")")[2].split()[19])


def _boot() -> str:
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
