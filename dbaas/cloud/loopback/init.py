"""The first process of a guest without root: keeps its agent running, and ends everything with it.

Arguments: the guest's record, the identity of this start, the guest's directory, the seconds that
its processes get to end when it is asked to (SIGTERM), and what to keep running.

A start that comes late, after the guest was deleted or started anew, does nothing.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path

from dbaas.cloud.local import kernel
from dbaas.cloud.loopback import family
from dbaas.host import files

LAUNCH_LOCK = "launch.lock"
"""In a guest's directory: held while its first process decides to begin, or is ended."""

PAUSE = 1.0
"""Seconds before an agent that ended is started again, and between two requests to end."""

KILL_SECONDS = 10.0

WATCHED = (signal.SIGTERM, signal.SIGCHLD)


def main() -> int:
    record, launch, root, seconds, *command = sys.argv[1:]
    signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
    try:
        with files.lock(Path(root) / LAUNCH_LOCK):
            if json.loads(Path(record).read_text())["launch"] != launch:
                return 1
    except FileNotFoundError:
        return 1
    kernel.adopt_orphans()
    _keep(command)
    _end(Path(root), float(seconds))
    return 0


def _keep(command: list[str]) -> None:
    """Return when it is to end."""
    while True:
        agent = os.posix_spawn(command[0], command, os.environ, setsigmask=[])
        while agent not in _reap():
            if signal.sigwait(WATCHED) == signal.SIGTERM:
                return
        sys.stderr.write("the guest agent has ended, starting it again\n")
        if signal.sigtimedwait([signal.SIGTERM], PAUSE):
            return


def _reap() -> list[int]:
    """Let go of the children that have ended; return their numbers."""
    ended = []
    with suppress(ChildProcessError):
        while child := os.waitpid(-1, os.WNOHANG)[0]:
            ended.append(child)
    return ended


def _end(root: Path, seconds: float) -> None:
    """Ask again and again: somebody may have started something meanwhile."""
    deadline = time.monotonic() + seconds
    asked = 0.0
    while others := [process for process in family.members(root) if process != os.getpid()]:
        now = time.monotonic()
        if now > deadline:
            family.kill(root, KILL_SECONDS, spared=os.getpid())
            return
        if now - asked >= PAUSE:
            family.send(others, signal.SIGTERM)
            asked = now
        time.sleep(family.PAUSE)
        _reap()


if __name__ == "__main__":
    sys.exit(main())
