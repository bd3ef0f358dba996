"""Clocks that are wrong: of the control plane's services, and of a guest's agent.

The time of day is shifted by libfaketime, while the programs run; monotonic time is left alone.
"""

import http.client
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from dbaas.contract.operations import LedgerKind, object_name
from dbaas.manage.stack import processes
from dbaas.manage.stack.lifecycle import SERVICES
from tests.chaos.ground import Ground

STOP_SECONDS = 30.0

_SITE = Path(__file__).with_name("clock") / "sitecustomize.py"


@dataclass(frozen=True)
class Clock:
    """The clock of some programs."""

    file: Path

    def step(self, seconds: float) -> None:
        """Let it be that much ahead of the host's; it takes up to a second to be noticed."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{seconds:+.0f}\n")
        fresh.rename(self.file)


@contextmanager
def of_services(ground: Ground, seconds: float) -> Iterator[Clock]:
    """Run all services but not their backends with another clock; give it."""
    home = ground.stack.directory / "clock"
    clock = _install(home, home, seconds)
    states = ground.programs().states()
    programs = [name for name in states if name.startswith(SERVICES)]
    known = {name: _Program.running(states[name].pid) for name in programs}
    ground.programs().stop(programs, STOP_SECONDS)
    try:
        with ExitStack() as running:
            for name, program in known.items():
                log = running.enter_context((home / f"{name}.log").open("ab"))
                started = subprocess.Popen(
                    program.command,
                    env=_with_clock(program.environment, home),
                    cwd=ground.stack.directory,
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                )
                running.callback(_stop, started)
            ground.wait_for(lambda: _serves(ground), "the API with another clock")
            yield clock
    finally:
        ground.stack.command("up")


def of_guest(ground: Ground, instance: str, seconds: float) -> Clock:
    """Start the guest's agent again with another clock; return it."""
    pid = ground.cloud().compute.pid(object_name(instance, LedgerKind.SERVER, 1))
    root, home = Path(f"/proc/{pid}/root"), Path("/usr/local/lib/clock")
    clock = _install(root / home.relative_to("/"), home, seconds)
    python = root / "usr/local/bin/python3"  # found before the one that it calls
    exports = "".join(f"export {name}={value}\n" for name, value in _with_clock({}, home).items())
    python.write_text(
        f"#!/bin/sh\nbefore=$PYTHONPATH\n{exports}"
        'export PYTHONPATH="$before:$PYTHONPATH"\nexec /usr/bin/python3 "$@"\n'
    )
    python.chmod(0o755)
    for member in processes.family(pid):
        with suppress(OSError):
            if b"dbaas.guestagent" in Path(f"/proc/{member}/cmdline").read_bytes():
                os.kill(member, signal.SIGKILL)
    return clock


def _install(there: Path, home: Path, seconds: float) -> Clock:
    """Put what a program needs into a directory that it sees as `home`."""
    there.mkdir(parents=True, exist_ok=True)
    shutil.copy(_library(), there / _library().name)
    shutil.copy(_SITE, there)
    clock = Clock(there / "offset")
    clock.step(seconds)
    assert home.is_absolute()
    return clock


def _with_clock(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    return {
        **environment,
        "PYTHONPATH": str(home),
        "LD_PRELOAD": str(home / _library().name),
        "FAKETIME_TIMESTAMP_FILE": str(home / "offset"),
        "FAKETIME_CACHE_DURATION": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "NO_FAKE_STAT": "1",
    }


def _library() -> Path:
    """Return the library for programs with threads; its directory is called after the machine."""
    return next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@dataclass(frozen=True)
class _Program:
    command: list[str]
    environment: dict[str, str]

    @classmethod
    def running(cls, pid: int) -> "_Program":
        """Return how the program of this process was started."""
        of = Path(f"/proc/{pid}")
        pairs = [pair.partition("=") for pair in _texts(of / "environ")]
        return cls(_texts(of / "cmdline"), {name: value for name, _, value in pairs})


def _texts(file: Path) -> list[str]:
    return file.read_text().rstrip("\0").split("\0")


def _stop(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    finally:
        process.kill()


def _serves(ground: Ground) -> bool:
    try:
        return ground.stack.request("GET", "/healthcheck").status == HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
