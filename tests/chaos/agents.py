"""Kills the programs of a guest, and looks at what its agent says that it does."""

import os
import re
import signal
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path

from dbaas.contract.operations import LedgerKind, object_name
from dbaas.manage.stack import processes
from tests.chaos.ground import Ground
from tests.functional.stack import Answer

AGENT, ENGINE = b"guestagent", b"mariadbd"
"""What is in their command lines."""


def begun(ground: Ground, instance: str, verb: str) -> int:
    """Return how often the agent has begun with such a command, or begun again."""
    console = ground.cloud().compute.console(_server(instance))
    return len(re.findall(rf"command \S+ {verb} (?!again$)\S*$", console, re.MULTILINE))


def kill(ground: Ground, instance: str, program: bytes) -> None:
    """Raise `NotFound` if its guest does not run."""
    for pid in processes.family(ground.cloud().compute.pid(_server(instance))):
        with suppress(OSError):
            if program in Path(f"/proc/{pid}/cmdline").read_bytes():
                os.kill(pid, signal.SIGKILL)


def kill_in(
    ground: Ground, instance: str, verb: str, before: int = 0, asked: Future[Answer] | None = None
) -> None:
    """Kill the agent as soon as it has begun with such a command more than `before` times.

    The request that `asked` for it must not have been answered then.
    """

    def has_begun() -> bool:
        assert asked is None or not asked.done(), asked.result()
        return begun(ground, instance, verb) > before

    ground.wait_for(has_begun, f"{verb} to begin")
    kill(ground, instance, AGENT)


def _server(instance: str) -> str:
    return object_name(instance, LedgerKind.SERVER, 1)
