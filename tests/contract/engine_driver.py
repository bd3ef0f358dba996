"""Runs inside a guest's root filesystem: drives the real engine there, line by line over a pipe.

Each line is a JSON array: a method of `Driver`, its arguments, and those with names. The answer is
a JSON object with `ok`, or `error` as an error travels.
"""

import json
import os
import resource
import shutil
import signal
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from inspect import signature
from pathlib import Path
from typing import Any

import pymysql

from dbaas.contract import codec, errors
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.messages import ArchiveReplay, Cancelled, Fate, Health, Prepare
from dbaas.engines import manifests
from dbaas.engines.base import Places, Tenancy
from dbaas.guestagent import replaying
from dbaas.guestagent.archiver import archiver_of
from dbaas.guestagent.desk import Stopped, Task
from dbaas.guestagent.endpoint import Endpoint
from dbaas.guestagent.journal import Journal
from dbaas.guestagent.supervisor import Supervisor
from dbaas.guestagent.transfers import Transfer, Transfers
from dbaas.guestagent.volume import Volume
from dbaas.host import commands
from tests.fakes import objects
from tests.fakes.attempt import Attempt, CutShort

SOCKET = "/run/dbaas/mariadb/mariadbd.sock"
TIMEOUT = 120.0
AUTHORITY = "/etc/dbaas/engine/mariadb/ca.crt"


class Driver:
    """The engine's verbs, and what its users and the machine's root can do."""

    def __init__(self, name: str, series: str) -> None:
        self._places = Places()
        self._engine = manifests.load(name, series, self._places)
        self._guests: list[pymysql.Connection[Any]] = []
        self.healths: list[Health] = []
        self._jobs: dict[str, tuple[Future[Any], Task]] = {}

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
        return commands.run(arguments, timeout=TIMEOUT)

    def files(self, *patterns: str) -> list[list[Any]]:
        """Return path, owner and mode of files of the guest."""
        return [
            [str(path), path.owner(), path.stat().st_mode & 0o777]
            for pattern in patterns
            for path in sorted(Path("/").glob(pattern.removeprefix("/")))
        ]

    def be_agent(self, *attached: str) -> None:
        """Begin a life of the agent, which finds the volume among these disks itself."""
        disks = [Path(disk) for disk in attached]
        self._live(lambda: disks)

    def be_hosted_agent(self) -> None:
        """Begin a life of the agent where whoever made the guest has mounted the volume."""
        self._live(None)

    def _live(self, attached: Callable[[], list[Path]] | None) -> None:
        state = Path("/var/lib/dbaas/agent")
        state.mkdir(parents=True, exist_ok=True)
        volume = Volume(self._places.volume, state / "volume.json", attached)
        self._transfers = Transfers()
        self._supervisor = Supervisor(
            self._places,
            volume,
            state / "engine.json",
            self.healths.append,
            progress=self._transfers.progress,
            archive=lambda: self._archiver.report(),
        )
        self._archiver = archiver_of(state, self._supervisor)
        self._transfers.tell = self._supervisor.say_again
        self._supervisor.start()
        self._archiver.start()
        self._journal = Journal(state)
        self._endpoint = self._serve("op.1")

    def _serve(self, command: str) -> Endpoint:
        self._journal.accept(command, 1, b"")
        self._task = Task(command, "", b"", self._journal)
        return Endpoint(
            self._task,
            self._supervisor,
            lambda _: None,
            _never_ran,
            self._transfers,
            self._archiver,
        )

    def die(self) -> None:
        """End that life; the database server goes on."""
        self._archiver.stop()
        self._supervisor.stop()

    def order(self, name: str, *order: Any) -> Any:
        """Have the agent carry out a verb."""
        verb = GUEST_VERBS[name]
        values = [codec.load(verb.takes, each) for each in order]
        return codec.dump(getattr(self._endpoint, name)(*values))

    def begin(self, command: str, name: str, *order: Any) -> None:
        """Have the agent begin to carry out a verb, as the command of this id."""
        endpoint, verb = self._serve(command), GUEST_VERBS[name]
        values = [codec.load(verb.takes, each) for each in order]
        job: Future[Any] = Future()

        def run() -> None:
            try:
                job.set_result(codec.dump(getattr(endpoint, name)(*values)))
            except BaseException as error:  # noqa: BLE001  # whatever it is, is the answer
                job.set_exception(error)

        self._jobs[command] = (job, self._task)
        threading.Thread(target=run, daemon=True).start()

    def end(self, command: str, cancelled: bool = False) -> Any:
        """Return the answer of a command that was begun; it may be cancelled first."""
        job, task = self._jobs.pop(command)
        if cancelled:
            task.unwanted.set()
        return job.result(timeout=60.0)

    def progress(self, command: str) -> Any:
        """Return what heartbeats would say of a command; None: it does not run."""
        return codec.dump(self._transfers.progress().get(command))

    def archived(self) -> Any:
        """Return what heartbeats would say of the archive."""
        return codec.dump(self._archiver.report())

    def play(self, order: Any, data: str) -> float:
        """Play a part of the stored archive on a data directory, by the server's own account."""
        replay = codec.load(ArchiveReplay, order)
        return replaying.play(replay, self._engine, Path(data), Transfer(), lambda: None, 512)

    def copy_data(self, target: str) -> None:
        """Have a copy of the data directory of a server that does not run, less its logs."""
        names = shutil.ignore_patterns("binlog.*")
        shutil.copytree(self._places.volume / "data", target, ignore=names)
        commands.run(["chown", "-R", "mysql:mysql", target], timeout=20.0)

    def store(self) -> str:
        """Serve a storage, in memory; return where."""
        self._storage = objects.serving()
        self._objects = self._storage.__enter__()
        return self._objects.at

    def store_apart(self, directory: str) -> str:
        """Serve a storage from a process of its own, which costs the agent nothing."""
        sink = [sys.executable, "-m", "tests.bench.sink", directory]
        self._sink = subprocess.Popen(sink, stdout=subprocess.PIPE, text=True)
        assert self._sink.stdout
        return self._sink.stdout.readline().strip()

    def used(self) -> dict[str, float]:
        """Return seconds of CPU and the most MiB of memory: of the agent, and of its programs."""
        own, theirs = (
            resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
        )
        return {
            "agent_cpu": own.ru_utime + own.ru_stime,
            "programs_cpu": theirs.ru_utime + theirs.ru_stime,
            "agent_mib": own.ru_maxrss / 1024,
            "largest_program_mib": theirs.ru_maxrss / 1024,
        }

    def stored(self) -> list[Any]:
        """Return name and size of each object."""
        return [[name, len(content)] for name, content in sorted(self._objects.kept.items())]

    def object(self, name: str) -> str:
        return self._objects.kept[name].hex()

    def keep(self, name: str, content: str | None) -> None:
        """Have another object, in hex, or none, under this name."""
        if content is None:
            del self._objects.kept[name]
        else:
            self._objects.kept[name] = bytes.fromhex(content)

    def fail(self, name: str, *faults: str) -> None:
        self._objects.faults[name] = list(faults)

    def times_asked(self) -> int:
        """Return how many requests there were."""
        return len(self._objects.asked)

    def slow_down(self, speed: float) -> None:
        self._objects.speed = speed

    def text(self, *patterns: str) -> str:
        """Return all that these files hold."""
        found = [path for pattern in patterns for path in Path("/").glob(pattern.removeprefix("/"))]
        return "".join(path.read_text("latin-1") for path in found if path.is_file())

    def leave_behind(self, path: str, content: str) -> None:
        """Put a file there, with the directories above it."""
        Path(path).parent.mkdir(parents=True, exist_ok=True)
        Path(path).write_text(content)

    def leave_bytes(self, path: str, content: str) -> None:
        """Put a file there that holds what this says in hex."""
        Path(path).write_bytes(bytes.fromhex(content))

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
        except (pymysql.MySQLError, OSError, CutShort, Stopped) as error:
            answer = {"error": ["Refused", str(error) or type(error).__name__]}
        print(json.dumps(answer), flush=True)  # noqa: T201  # the pipe


if __name__ == "__main__":
    main()
