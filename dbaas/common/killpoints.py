"""Points at which a test may let a process die, as `kill -9` would.

The environment variable that arms them, `DBAAS_KILL_POINTS`, names a directory, and is never set in
production. A point `<kind>:<step>:<side>` fires when a file of that name is in it, and unlinks the
file first: the process that is started next goes on.
"""

import os
import signal
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

VARIABLE = "DBAAS_KILL_POINTS"


class Side(StrEnum):
    BEFORE_INTENT = "before-intent"
    BEFORE_CALL = "before-call"
    AFTER_CALL = "after-call"
    AFTER_RECORD = "after-record"


Reached = Callable[[str, str, Side], None]
"""Called with an operation's kind, a step's name and the side, whenever a point is reached."""


def nothing(_kind: str, _step: str, _side: Side) -> None:
    """Outside of tests."""


def from_environment() -> Reached:
    """Return what the environment asks for: in production, `nothing`."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        return nothing

    def die(kind: str, step: str, side: Side) -> None:
        try:
            Path(directory, f"{kind}:{step}:{side}").unlink()
        except FileNotFoundError:
            return
        os.kill(os.getpid(), signal.SIGKILL)

    return die
