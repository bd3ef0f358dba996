"""Drives supervisord: writes its table of programs, starts it, and talks to it on its socket.

No program starts by itself with it: `up` knows the order. What died is started again by it.
"""

import http.client
import math
import os
import resource
import shlex
import socket
import sys
import time
import xmlrpc.client
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from dbaas.contract import errors
from dbaas.host import commands, files
from dbaas.manage.stack.programs import Program

START_SECONDS = 15.0
PATIENCE = 5.0
"""Seconds that a program may go on ending before `up` gives up."""

PAUSE = 0.05
"""Seconds between two looks at something that is about to happen."""

_FILES_WANTED = 16384
_LOG_BYTES = "16MB"
_RUNNING = ("RUNNING", "STARTING")
_STOPPED = ("STOPPED", "EXITED", "FATAL")
_DEAD = (*_STOPPED, "BACKOFF")

_ALREADY_STARTED, _NOT_RUNNING = 60, 70
"""Faults of supervisord's interface: somebody, or it itself, was quicker."""


class Home(Protocol):
    """Where a supervisor and its programs keep what they read and write."""

    @property
    def directory(self) -> Path: ...

    @property
    def logs(self) -> Path: ...

    @property
    def supervisor_configuration(self) -> Path: ...

    @property
    def supervisor_socket(self) -> Path: ...


@dataclass(frozen=True)
class State:
    """How a program is, in supervisord's words; `pid` is 0 when it does not run."""

    name: str
    state: str
    pid: int
    started: float
    """Seconds since the epoch."""

    @property
    def runs(self) -> bool:
        return self.state in _RUNNING


def configure(home: Home, programs: Sequence[Program]) -> None:
    files.write(home.supervisor_configuration, _settings(home, programs), mode=0o600)


def start(home: Home, environment: dict[str, str]) -> None:
    """Start the daemon with this environment and return when it listens."""
    command = [sys.executable, "-m", "supervisor.supervisord"]
    commands.run(
        [*command, "-c", str(home.supervisor_configuration)],
        timeout=START_SECONDS,
        env=environment,
    )
    wait_until(lambda: Supervisor(home).answers(), START_SECONDS, "the supervisor")


def wait_until(happened: Callable[[], bool], seconds: float, what: str) -> None:
    """Return as soon as it happened; raise `Unavailable` when it has not after so long."""
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            raise errors.Unavailable(f"{what} did not get ready within {seconds:.0f} s")
        time.sleep(PAUSE)


class Supervisor:
    """The daemon of one stack or of another home, asked through its socket."""

    def __init__(self, home: Home) -> None:
        self._logs = home.logs
        self._transport = _UnixTransport(home.supervisor_socket)
        self._server = xmlrpc.client.ServerProxy("http://localhost", transport=self._transport)

    def answers(self) -> bool:
        try:
            self._ask("getState")
        except errors.Unavailable:
            return False
        return True

    def states(self) -> dict[str, State]:
        return {
            str(told["name"]): State(
                str(told["name"]), str(told["statename"]), int(told["pid"]), float(told["start"])
            )
            for told in self._ask("getAllProcessInfo")
        }

    def start(self, name: str) -> None:
        """Begin to start a program; one that runs already is left alone."""
        if not self.states()[name].runs:
            self._ask("startProcess", name, False, fine=_ALREADY_STARTED)

    def stop(self, names: Sequence[str], seconds: float) -> None:
        """Stop these at the same time and return when they have."""
        states = self.states()
        for name in names:
            if states[name].state not in _STOPPED:
                self._ask("stopProcess", name, False, fine=_NOT_RUNNING)
        wait_until(lambda: self._have_stopped(names), seconds, "the end of " + ", ".join(names))

    def _have_stopped(self, names: Sequence[str]) -> bool:
        states = self.states()
        return all(states[name].state in _STOPPED for name in names)

    def wait(self, name: str, ready: Callable[[], bool], seconds: float) -> None:
        """Return when the program is ready; raise `Failed` with its last words if it cannot be.

        It may end and be started again meanwhile, but not for longer than `PATIENCE`.
        """
        first_death = math.inf

        def is_ready_or_hopeless() -> bool:
            nonlocal first_death
            if ready():
                return True
            if self.states()[name].state in _DEAD:
                first_death = min(first_death, time.monotonic())
            return time.monotonic() > first_death + PATIENCE

        wait_until(is_ready_or_hopeless, seconds, name)
        if not ready():
            raise errors.Failed(f"{name} ends as soon as it starts:\n{self.last_words(name)}")

    def last_words(self, name: str, characters: int = 2000) -> str:
        log = log_file(self._logs, name)
        return log.read_text(errors="replace")[-characters:].strip() if log.exists() else ""

    def shut_down(self) -> None:
        self._ask("shutdown")

    def _ask(self, method: str, *arguments: object, fine: int | None = None) -> Any:
        try:
            return getattr(self._server.supervisor, method)(*arguments)
        except xmlrpc.client.Fault as error:
            if error.faultCode == fine:
                return None
            raise errors.Failed(f"the supervisor refused {method}: {error.faultString}") from error
        except (OSError, http.client.HTTPException) as error:
            raise errors.Unavailable("the supervisor does not answer") from error
        finally:
            self._transport.close()


class _UnixTransport(xmlrpc.client.Transport):
    """XML-RPC over a unix socket, a connection for each call."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._path = path

    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = _UnixConnection(self._path)
        self._connection = (host, connection)  # what `close` closes
        return connection


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=START_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def log_file(logs: Path, name: str) -> Path:
    return logs / f"{name}.log"


def _settings(home: Home, programs: Sequence[Program]) -> str:
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    wanted = _FILES_WANTED if most == resource.RLIM_INFINITY else min(_FILES_WANTED, most)
    head = f"""\
[unix_http_server]
file = {home.supervisor_socket}
chmod = 0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisord]
pidfile = {home.directory / "supervisord.pid"}
logfile = {log_file(home.logs, "supervisord")}
logfile_maxbytes = 1MB
logfile_backups = 1
directory = {home.directory}
minfds = {wanted}
"""
    if os.geteuid() == 0:
        head += "user = root\n"  # to stay root is to be said
    return head + "".join(_section(home, program) for program in programs)


def _section(home: Home, program: Program) -> str:
    environment = ",".join(f'{key}="{value}"' for key, value in program.environment.items())
    return f"""
[program:{program.name}]
command = {_escaped(shlex.join(program.command))}
directory = {program.directory}
environment = {_escaped(environment)}
autostart = false
autorestart = true
startsecs = 1
startretries = 1000
stopsignal = TERM
stopwaitsecs = {program.stop_seconds}
killasgroup = true
redirect_stderr = true
stdout_logfile = {log_file(home.logs, program.name)}
stdout_logfile_maxbytes = {_LOG_BYTES}
stdout_logfile_backups = 2
"""


def _escaped(text: str) -> str:
    return text.replace("%", "%%")
