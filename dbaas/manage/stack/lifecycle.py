"""Brings a stack up, in the shortest order that its parts allow, and takes it down without a trace.

Both may be repeated, and may follow a `kill -9` of anything at any time: what runs without a
supervisor is ended first, by the mark that it carries, and everything comes up again from its
files. Guests carry no mark: they go on, whatever happens to the services.
"""

import http.client
import os
import shutil
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands, files
from dbaas.manage.stack import (
    accounts,
    broker,
    catalog,
    credentials,
    guests,
    plan,
    processes,
    proxy,
    settings,
    supervisor,
)
from dbaas.manage.stack.guests import Provider
from dbaas.manage.stack.plan import Plan
from dbaas.manage.stack.programs import Program
from dbaas.manage.stack.supervisor import Supervisor

API = "dbaas-api"
SERVICES = (API, "dbaas-conductor", "dbaas-taskmanager")
"""Of these any number may run beside each other; several APIs are behind a proxy."""

DEPOT = "dbaas-depot"
"""Serves the directory of backups; there is one."""

BACKENDS = (broker.NAMES, broker.BROKER, catalog.CATALOG)
PROGRAMS = (*BACKENDS, proxy.PROXY, DEPOT, *SERVICES)
RESTARTED = (DEPOT, *SERVICES)
"""What is of this code, so that `restart` is for."""

START_SECONDS = 120.0
STOP_SECONDS = 60.0
ORPHAN_SECONDS = 10.0
LOCK_SECONDS = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True)
class Line:
    """One line of `status`: a program of the stack, or a guest."""

    name: str
    state: str
    pid: int = 0
    uptime: float = 0.0
    """Seconds."""
    usage: processes.Usage = processes.NOTHING


def up(
    directory: Path, names: Collection[str], say: Say, counts: Mapping[str, int] | None = None
) -> Plan:
    """Start what does not run of these programs and return when they serve.

    `counts` says how many of a service there are from now on; the stack must be down when that
    changes. Raise `Failed` with the last words of a program that does not start.
    """
    _check(names, counts or {})
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory):
        ours = plan.load(directory) or plan.choose(directory, isolates=guests.may_isolate())
        guests.expect_rights(ours)
        running = Supervisor(ours).answers()
        if running and any(ours.counts.get(name, 1) != n for name, n in (counts or {}).items()):
            raise errors.Conflict("take the stack down before you change how many services it has")
        ours = plan.with_counts(ours, counts or {})
        if not running:
            _end_orphans(ours)
            ours = with_all_ports(plan.avoid_taken_ports(ours))
        known = credentials.ensure(ours)
        ours.logs.mkdir(exist_ok=True)
        broker.configure(ours, known)
        catalog.configure(ours, known)
        settings.write(ours, known)
        proxy.configure(ours)
        accounts.for_depot(ours.directory).make_directory(ours.backups)
        cloud = guests.provider(ours)
        cloud.ensure_network()  # before the broker, which listens on its address
        if not running:
            supervisor.configure(ours, all_programs(ours))
            supervisor.start(ours, environment(ours))
        _start(ours, known, cloud, names, say)
    return ours


def _check(names: Collection[str], counts: Mapping[str, int]) -> None:
    if unknown := set(names) - set(PROGRAMS):
        raise errors.Invalid(
            f"no such program: {', '.join(sorted(unknown))}; there are {', '.join(PROGRAMS)}"
        )
    if unknown := set(counts) - set(SERVICES):
        raise errors.Invalid(
            f"there is one of {', '.join(sorted(unknown))}; several can be of {', '.join(SERVICES)}"
        )
    if min(counts.values(), default=1) < 1:
        raise errors.Invalid("of every service there is at least one")


def _copies(ours: Plan, names: Collection[str]) -> list[str]:
    """Return the programs behind these names: of a service that runs twice, `S` and `S-2`."""
    several = ours.counts.get(API, 1) > 1
    return [
        name if n == 1 else f"{name}-{n}"
        for name in PROGRAMS
        if name in names and (name != proxy.PROXY or several)
        for n in range(1, ours.counts.get(name, 1) + 1)
    ]


def _start(
    ours: Plan, known: credentials.Credentials, cloud: Provider, names: Collection[str], say: Say
) -> None:
    """The broker takes longest to start, so everything else happens meanwhile."""
    began = time.monotonic()

    def ready(what: str) -> None:
        say(f"{what} ready after {time.monotonic() - began:.1f} s")

    programs = Supervisor(ours)
    for name in (broker.NAMES, broker.BROKER):
        if name in names:
            programs.start(name)
    if catalog.CATALOG in names:
        catalog.install(ours)
        programs.start(catalog.CATALOG)
    for guest, fault in cloud.start_all().items():
        say(f"guest {guest} does not start: {fault}")
    if catalog.CATALOG in names:
        programs.wait(catalog.CATALOG, lambda: catalog.is_ready(ours), START_SECONDS)
        ready(catalog.CATALOG)
    states = programs.states()
    services = _copies(ours, {*RESTARTED, proxy.PROXY} & set(names))
    if not all(states[name].runs for name in services):
        _prepare_catalog(ours)
    if broker.BROKER in names:
        programs.wait(broker.BROKER, lambda: broker.is_ready(ours, known), START_SECONDS)
        ready(broker.BROKER)
    for name in services:
        programs.start(name)
    for name in services:
        programs.wait(name, partial(_serves, ours, programs, name), START_SECONDS)
        ready(name)


def _prepare_catalog(ours: Plan) -> None:
    """Bring the tables up to date and register what the guests' image has."""
    for arguments in (("db", "upgrade"), ("datastore", "register", "mariadb", guests.series(ours))):
        command = [_script("dbaas-manage"), "--config-file", str(ours.configuration), *arguments]
        commands.run(command, timeout=START_SECONDS)


def _serves(ours: Plan, programs: Supervisor, name: str) -> bool:
    if name in _copies(ours, [API]):
        return is_healthy(ours.apis.get(name, ours.ports.api))
    if name == DEPOT:
        return is_healthy(ours.ports.depot, str(ours.bridge_address))
    return programs.states()[name].state == "RUNNING"


def is_healthy(port: int, host: str = "127.0.0.1") -> bool:
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET", "/healthcheck")
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def restart(directory: Path, names: Sequence[str], say: Say) -> None:
    """Stop these programs and start them again; guests do not notice.

    Of a service of which there are several, one after the other: the rest serves meanwhile.
    """
    _check(names, {})
    with _alone(directory):
        ours = existing(directory)
        programs = Supervisor(ours)
        if programs.answers():
            for name in SERVICES:
                copies = _copies(ours, {name} & set(names))
                for copy in copies if len(copies) > 1 else ():
                    programs.stop([copy], STOP_SECONDS)
                    programs.start(copy)
                    programs.wait(copy, partial(_serves, ours, programs, copy), START_SECONDS)
            single = [name for name in names if ours.counts.get(name, 1) == 1]
            programs.stop(_copies(ours, single), STOP_SECONDS)
    up(directory, names, say)


def down(directory: Path, say: Say) -> None:
    """Stop everything: no process, mount, namespace or interface stays; all files do."""
    ours = plan.load(directory)
    if ours is None:
        say("there is no stack here")
        return
    guests.expect_rights(ours)
    with _alone(directory):
        cloud, programs = guests.provider(ours), Supervisor(ours)
        if programs.answers():
            # First: one of them might start a guest.
            programs.stop(_copies(ours, (*RESTARTED, proxy.PROXY)), STOP_SECONDS)
            with ThreadPoolExecutor() as pool:
                stopping = pool.submit(cloud.stop_all)
                broker.shorten_stop(ours)
                programs.stop((broker.BROKER, catalog.CATALOG), STOP_SECONDS)
                programs.stop((broker.NAMES,), STOP_SECONDS)
                stopping.result()
            programs.shut_down()
            supervisor.wait_until(lambda: not processes.of(ours), STOP_SECONDS, "the end")
        _end_orphans(ours)
        cloud.stop_all()
        cloud.teardown_network()
    say("everything is stopped")


def _end_orphans(ours: Plan) -> None:
    """End what a killed supervisor left behind."""
    if orphans := processes.of(ours):
        broker.shorten_stop(ours)
        processes.end(orphans, ORPHAN_SECONDS)


def clean(directory: Path, say: Say) -> None:
    """Stop everything and remove all that the stack ever wrote, its guests' data included."""
    down(directory, say)
    if directory.exists():
        shutil.rmtree(directory)


def status(directory: Path) -> list[Line]:
    """Return a line for every program and guest of the stack."""
    ours = existing(directory)
    programs = Supervisor(ours)
    if programs.answers():
        lines = [_line(state) for state in programs.states().values()]
    else:
        lines = [Line(name, "STOPPED") for name in _copies(ours, PROGRAMS)]
    return lines + _guest_lines(guests.provider(ours))


def _line(state: supervisor.State) -> Line:
    if not state.pid:
        return Line(state.name, state.state)
    uptime = time.time() - state.started
    return Line(state.name, state.state, state.pid, uptime, processes.usage(state.pid))


def _guest_lines(cloud: Provider) -> list[Line]:
    lines = []
    for name, server in sorted(cloud.compute.servers().items()):
        try:
            pid = cloud.compute.pid(name)
        except errors.NotFound:  # it does not run
            lines.append(Line(name, server.state))
        else:
            usage = processes.usage(pid)
            lines.append(Line(name, server.state, pid, processes.uptime(pid), usage))
    return lines


def log_files(directory: Path) -> list[Path]:
    return sorted(existing(directory).logs.glob("*.log"))


def existing(directory: Path) -> Plan:
    ours = plan.load(directory)
    if ours is None:
        raise errors.NotFound(f"there is no stack in {directory}: `up` makes one")
    return ours


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Keep others from starting or stopping the same stack meanwhile."""
    with files.lock(directory / "lock", timeout=LOCK_SECONDS):
        yield


def with_all_ports(ours: Plan) -> Plan:
    """Return the plan with a port for each program that needs one of its own."""
    measured = _copies(ours, [name for name in SERVICES if name != API])
    return plan.with_ports(ours, measured, _copies(ours, [API]))


def all_programs(ours: Plan) -> list[Program]:
    """Return all that the supervisor is to know; none of it starts by itself."""
    return [
        *broker.programs(ours),
        catalog.program(ours),
        *(proxy.program(ours) for _ in _copies(ours, [proxy.PROXY])),
        *(
            Program(copy, _service(ours, name, copy), ours.directory)
            for name in RESTARTED
            for copy in _copies(ours, (name,))
        ),
    ]


def _service(ours: Plan, name: str, copy: str) -> tuple[str, ...]:
    others = (ours.own_configuration(copy), ours.local_configuration)
    files = (ours.configuration, *(file for file in others if file.exists()))
    return (_script(name), *(word for file in files for word in ("--config-file", str(file))))


def _script(name: str) -> str:
    """Return the path of a command of this installation, whichever environment it is in."""
    return str(Path(sys.executable).parent / name)


def environment(ours: Plan) -> dict[str, str]:
    """Return what every program sees; `DBAAS_...` is passed on: tests ask for kill points by it."""
    kept = {name: value for name, value in os.environ.items() if name.startswith("DBAAS_")}
    return {
        **kept,
        **processes.mark(ours),
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(ours.directory),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
