"""Runs inside a guest's root filesystem: drives the real engine there, line by line over a pipe.

Each line is a JSON array: a method of `Driver`, its arguments, and those with names. The answer is
a JSON object with `ok`, or `error` as an error travels.
"""

import json
import os
import shutil
import signal
import ssl
import sys
import threading
import time
from inspect import signature
from pathlib import Path
from typing import Any

import pymysql

from dbaas.contract import codec, errors
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.messages import Cancelled, Fate, Prepare
from dbaas.engines import manifests
from dbaas.engines.base import Places, Tenancy
from dbaas.guestagent.desk import Task
from dbaas.guestagent.endpoint import Endpoint
from dbaas.guestagent.journal import Journal
from dbaas.guestagent.supervisor import Supervisor
from dbaas.guestagent.volume import Volume
from dbaas.host import commands
from tests.fakes.attempt import Attempt, CutShort

SOCKET = "/run/dbaas/mariadb/mariadbd.sock"
AUTHORITY = "/etc/dbaas/engine/mariadb/ca.crt"


class Driver:
    """The engine's verbs, and what its users and the machine's root can do."""

    def __init__(self, name: str, series: str) -> None:
        self._places = Places()
        self._engine = manifests.load(name, series, self._places)
        self._guests: list[pymysql.Connection[Any]] = []

    def install(self, order: Any) -> None:
        self._engine.install(codec.load(Prepare, order))

    def start(self) -> float:
        began = time.monotonic()
        self._engine.start(30.0)
        return time.monotonic() - began

    def stop(self) -> None:
        self._engine.stop()

    def admit(self, order: Any) -> None:
        self._engine.admit(codec.load(Prepare, order))

    def signs(self) -> list[Any]:
        signs = self._engine.signs()
        return [signs.answers, signs.version]

    def pid(self) -> int | None:
        process = self._engine.process()
        return process.pid if process else None

    def owner(self) -> str:
        process = self._engine.process()
        return Path(f"/proc/{process.pid}").owner() if process else ""

    def kill(self) -> None:
        process = self._engine.process()
        if process:
            os.kill(process.pid, signal.SIGKILL)
            while self._engine.process():
                time.sleep(0.002)

    def start_killed(self, times: int) -> None:
        """Start it, and kill it so often before it answers."""

        def kill() -> None:
            for _ in range(times):
                while not self._engine.process():
                    time.sleep(0.001)
                self.kill()

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            self._engine.start(30.0)
        finally:
            killer.join()

    def output(self) -> str:
        return self._engine.output.read_text()

    def tenant(self, name: str, *order: Any, **attempt: bool) -> list[Any]:
        """Carry out a verb of the tenancy; return its answer and how many seconds it took."""
        verb = GUEST_VERBS[name]
        values = [codec.load(verb.takes, each) for each in order]
        if "attempt" in signature(getattr(Tenancy, name)).parameters:
            values.append(Attempt(**attempt))
        began = time.perf_counter()
        with self._engine.tenancy() as tenancy:
            answer = getattr(tenancy, name)(*values)
        return [codec.dump(answer), time.perf_counter() - began]

    def use_memory(self, memory_mib: int) -> bool:
        return self._engine.use_memory(memory_mib)

    def query(
        self,
        user: str,
        password: str,
        statements: list[str],
        tls: bool,
        database: str | None,
        source: str | None = None,
    ) -> list[Any]:
        """Run statements as a tenant would: over the network; return the last one's rows."""
        trust = ssl.create_default_context(cafile=AUTHORITY) if tls else None
        connection = pymysql.connect(
            host="::1" if source == "::1" else "127.0.0.1",
            user=user,
            password=password.encode(),
            database=database,
            ssl=trust,
            ssl_disabled=not tls,
            charset="utf8mb4",
            autocommit=True,
            bind_address=source,
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return [[str(value) for value in row] for row in cursor.fetchall()]

    def stay(self, user: str, password: str) -> int:
        """Connect as a tenant, and stay; return the connection's number."""
        self._guests.append(
            pymysql.connect(host="127.0.0.1", user=user, password=password, ssl_disabled=True)
        )
        return len(self._guests) - 1

    def speak(self, guest: int, *statements: str) -> str:
        """Run statements on a connection that has stayed; return whose it is."""
        with self._guests[guest].cursor() as cursor:
            for statement in (*statements, "SELECT CURRENT_USER()"):
                cursor.execute(statement)
            return str(cursor.fetchall()[0][0])

    def administer(self, *statements: str) -> list[Any]:
        """Run statements as the machine's root, which is the service's own account."""
        connection = pymysql.connect(
            unix_socket=SOCKET, user="os_admin", charset="utf8mb4", autocommit=True
        )
        with connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
            return [[str(value) for value in row] for row in cursor.fetchall()]

    def run(self, *arguments: str) -> str:
        """Run a program in the guest and return what it prints."""
        return commands.run(arguments, timeout=20.0)

    def files(self, *patterns: str) -> list[list[Any]]:
        """Return path, owner and mode of files of the guest."""
        return [
            [str(path), path.owner(), path.stat().st_mode & 0o777]
            for pattern in patterns
            for path in sorted(Path("/").glob(pattern.removeprefix("/")))
        ]

    def be_agent(self, *attached: str) -> None:
        """Begin a life of the agent, which finds the volume among these disks itself."""
        state = Path("/var/lib/dbaas/agent")
        state.mkdir(parents=True, exist_ok=True)
        disks = [Path(disk) for disk in attached]
        volume = Volume(self._places.volume, state / "volume.json", lambda: disks)
        self._supervisor = Supervisor(self._places, volume, state / "engine.json", lambda _: None)
        self._supervisor.start()
        journal = Journal(state)
        journal.accept("op.1", 1, b"")
        task = Task("op.1", "", b"", journal)
        self._endpoint = Endpoint(task, self._supervisor, lambda _: None, _never_ran)

    def die(self) -> None:
        """End that life; the database server goes on."""
        self._supervisor.stop()

    def order(self, name: str, *order: Any) -> Any:
        """Have the agent carry out a verb."""
        verb = GUEST_VERBS[name]
        values = [codec.load(verb.takes, each) for each in order]
        return codec.dump(getattr(self._endpoint, name)(*values))

    def text(self, *patterns: str) -> str:
        """Return all that these files hold."""
        found = [path for pattern in patterns for path in Path("/").glob(pattern.removeprefix("/"))]
        return "".join(path.read_text("latin-1") for path in found if path.is_file())

    def leave_behind(self, path: str, content: str) -> None:
        """Put a file there, with the directories above it."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content)

    def remove(self, path: str) -> None:
        shutil.rmtree(path)


def _never_ran(command: str) -> Cancelled:
    return Cancelled(Fate.NEVER_RAN)


def main() -> None:
    driver = Driver(*sys.argv[1:])
    for line in sys.stdin:
        method, arguments, named = json.loads(line)
        try:
            answer = {"ok": getattr(driver, method)(*arguments, **named)}
        except errors.Error as error:
            answer = {"error": [type(error).__name__, error.text]}
        except (pymysql.MySQLError, OSError, CutShort) as error:
            answer = {"error": ["Refused", str(error)]}
        print(json.dumps(answer), flush=True)  # noqa: T201  # the pipe


if __name__ == "__main__":
    main()
