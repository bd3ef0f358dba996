from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from dbaas.contract import errors, messages
from dbaas.contract.messages import Cancelled, Fate, Health, ServiceStatus
from dbaas.engines.base import Attempt, Engine, Tenancy
from dbaas.guestagent.archiver import Archiver
from dbaas.guestagent.desk import Stopped, Task
from dbaas.guestagent.endpoint import Endpoint
from dbaas.guestagent.journal import Journal
from dbaas.guestagent.supervisor import Supervisor
from dbaas.guestagent.transfers import Transfers
from dbaas.guestagent.volume import Volume

ORDER = messages.DatabaseName("shop")


class Server:
    """An engine that dies `deaths` times, before or after a command has begun."""

    def __init__(self, deaths: int, *, late: bool = True) -> None:
        self.deaths = deaths
        self.late = late
        self.deleted: list[str] = []
        self.needs_restart = False
        self.restarts = 0
        self.stops = 0
        self.memory = 0

    @contextmanager
    def tenancy(self) -> Iterator[Tenancy]:
        if not self.late:
            self._die()
        yield cast(Tenancy, self)

    def delete_database(self, order: messages.DatabaseName, attempt: Attempt) -> None:
        attempt.begin()
        self._die()
        self.deleted.append(order.name)

    def use_memory(self, memory_mib: int) -> bool:
        self.memory = memory_mib
        return self.needs_restart

    def stop(self) -> None:
        self.stops += 1

    def start(self, timeout: float) -> None:
        self.restarts += 1

    def _die(self) -> None:
        if self.deaths:
            self.deaths -= 1
            raise errors.Unavailable("gone")


class Watch:
    """The part of a supervisor that commands use."""

    def __init__(self, server: Server, directory: Path) -> None:
        self.engine = cast(Engine, server)
        self.volume = Volume(directory, directory / "volume.json")

    @contextmanager
    def changing(self, phase: ServiceStatus) -> Iterator[None]:
        yield

    def measure(self) -> Health:
        return Health(ServiceStatus.HEALTHY)


@pytest.fixture
def task(tmp_path: Path) -> Task:
    journal = Journal(tmp_path)
    journal.accept("op1.s.do.1.1", 1, b"m")
    return Task("op1.s.do.1.1", "delete_database", b"", journal)


def serve(task: Task, server: Server, patience: float = 5.0) -> Endpoint:
    def introduce(order: messages.Introduction) -> None: ...

    def cancel(command: str) -> Cancelled:
        return Cancelled(Fate.NEVER_RAN)

    watch = Watch(server, task.journal._begun_in.parent)
    return Endpoint(
        task,
        cast(Supervisor, watch),
        introduce,
        cancel,
        Transfers(),
        cast(Archiver, None),
        patience,
    )


def test_a_command_goes_on_when_the_server_is_back(task: Task) -> None:
    server = Server(deaths=3)
    serve(task, server).delete_database(ORDER)
    assert server.deleted == ["shop"]


def test_a_command_that_has_not_begun_is_left_to_who_sent_it(task: Task) -> None:
    server = Server(deaths=1, late=False)
    with pytest.raises(errors.Unavailable):
        serve(task, server).delete_database(ORDER)
    assert server.deleted == []
    assert not task.begun


def test_a_server_that_stays_away_is_not_waited_for_without_end(task: Task) -> None:
    with pytest.raises(errors.Unavailable):
        serve(task, Server(deaths=1_000_000), patience=0.01).delete_database(ORDER)
    assert task.begun


def test_a_command_that_waits_for_the_server_can_be_stopped(task: Task) -> None:
    task.unwanted.set()
    with pytest.raises(Stopped):
        serve(task, Server(deaths=1_000_000)).delete_database(ORDER)


@pytest.mark.parametrize("needed", [False, True])
def test_the_server_is_restarted_for_its_memory_only_where_it_must_be(
    task: Task, needed: bool
) -> None:
    server = Server(deaths=0)
    server.needs_restart = needed
    health = serve(task, server).use_memory(messages.Memory(1024))
    assert health.service is ServiceStatus.HEALTHY
    assert (server.memory, server.restarts) == (1024, int(needed))


def test_a_server_is_stopped_while_its_volume_is_away(task: Task) -> None:
    server = Server(deaths=0)
    serve(task, server).release_volume()
    assert (server.stops, server.restarts) == (1, 0)
    assert serve(task, server).take_volume().service is ServiceStatus.HEALTHY
    assert (server.stops, server.restarts) == (1, 1)


def test_a_restart_takes_a_volume_that_nobody_took_again(task: Task, tmp_path: Path) -> None:
    serve(task, Server(deaths=0)).release_volume()
    server = Server(deaths=0)
    serve(task, server).restart()
    assert server.restarts == 1
    assert not Volume(tmp_path, tmp_path / "volume.json").released
