"""Run a program of the host and return what it says; nothing else here starts processes."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from dbaas.contract import errors

TAIL = 2000
"""Characters of a program's complaint that go into an error's text."""


def run(
    args: Sequence[str],
    *,
    timeout: float,
    input: bytes | None = None,  # noqa: A002  # the name that subprocess has for it
    env: Mapping[str, str] | None = None,
) -> str:
    """Return the program's output, within `timeout` seconds.

    Raise `Failed` with the end of its complaint when it exits with anything but 0 or is not there,
    and `Unavailable` when it took too long; it is killed then.
    """
    name = Path(args[0]).name
    try:
        done = subprocess.run(  # noqa: S603  # an argument list, never a shell string
            args,
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            timeout=timeout,
            env=env,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise errors.Unavailable(f"{name} did not end within {timeout:.0f} s") from error
    except OSError as error:
        raise errors.Failed(f"{name} cannot be run: {error.strerror}") from error
    if done.returncode:
        said = _text(done.stderr) or _text(done.stdout) or "it said nothing"
        raise errors.Failed(f"{name} exited with {done.returncode}: {said[-TAIL:]}")
    return _text(done.stdout)


def _text(output: bytes) -> str:
    return output.decode("utf-8", "replace").strip()
