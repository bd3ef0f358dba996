"""Commands side by side: what one waits for, another does meanwhile.

python -m tests.lanes COMMAND... shows the first one's output as it comes, and what the others said
after it. It exits with 1 if any of them failed. Whoever stops it stops them, as Ctrl-C does: tests
end what they began.
"""

import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from typing import IO


def run(commands: Sequence[str]) -> bool:
    """Return whether all of them succeeded."""
    with ExitStack() as stack:
        logs: list[IO[bytes] | None] = [None]
        logs += [stack.enter_context(tempfile.TemporaryFile()) for _ in commands[1:]]
        running = [
            subprocess.Popen(shlex.split(command), stdout=log, stderr=log)
            for command, log in zip(commands, logs, strict=True)
        ]

        def stop(*_: object) -> None:
            for one in running:
                one.send_signal(signal.SIGINT)

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, lambda *_: None)  # a terminal tells them itself
        ended = [one.wait() for one in running]
        for log in logs:
            if log is not None:
                log.seek(0)
                sys.stdout.buffer.write(log.read())
        sys.stdout.flush()
    return not any(ended)


if __name__ == "__main__":
    sys.exit(0 if run(sys.argv[1:]) else 1)
