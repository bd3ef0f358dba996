import os
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.contract.messages import DataCheck, Health, Prepare, Progress, ServiceStatus
from dbaas.engines.base import Places, Signs, Tenancy
from dbaas.guestagent.supervisor import Pace, Supervisor
from dbaas.guestagent.volume import Volume
from dbaas.host import services
from dbaas.host.services import Process, Service
from tests.unit.guestagent.guest import until

PACE = Pace(progress=0.005, unsettled=0.005, pauses=(0.0, 0.01, 0.01))


class Sleeper:
    """An engine whose server is a process that does nothing; one that is `broken` ends at once."""

    def __init__(self, directory: Path) -> None:
        self.service = Service(["sleep", "60"], directory / "record", directory / "output")
        self.answers = True
        self.broken = False
        self.starts = 0

    def install(self, order: Prepare) -> None: ...

    def admit(self, order: Prepare) -> None: ...

    def start(self, timeout: float) -> None:
        self.starts += 1
        if self.broken:
            raise errors.Failed("broken")
        services.start(self.service)

    def stop(self) -> None:
        services.stop(self.service, grace=1.0)

    def tenancy(self) -> AbstractContextManager[Tenancy]:
        raise errors.Unsupported("nobody lives here")

    def use_memory(self, memory_mib: int) -> bool:
        return False

    def process(self) -> Process | None:
        return services.find(self.service)

    def signs(self) -> Signs:
        return Signs(self.answers, "1.0")

    @property
    def output(self) -> Path:
        return self.service.output

    def check_data(self, check: Callable[[], None]) -> DataCheck:
        return DataCheck(0, 0, 0.0)


class World:
    def __init__(self, directory: Path) -> None:
        self.engine = Sleeper(directory)
        self.said: list[Health] = []
        self.progress: dict[str, Progress] = {}
        self._places = Places(volume=directory)
        self._record = directory / "engine.json"
        self.supervisor = self.new_life()

    def new_life(self) -> Supervisor:
        volume = Volume(self._places.volume, self._record.with_name("volume.json"))
        self.supervisor = Supervisor(
            self._places,
            volume,
            self._record,
            self.said.append,
            lambda *_: self.engine,
            PACE,
            lambda: self.progress,
        )
        return self.supervisor

    def prepare(self) -> None:
        with self.supervisor.changing(ServiceStatus.BUILDING):
            self.engine.start(1.0)
            self.supervisor.keep("sleeper", "1.0", self.engine)

    def pid(self) -> int:
        process = self.engine.process()
        assert process
        return process.pid

    def words(self) -> list[str]:
        return [health.service.name for health in self.said]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    made = World(tmp_path)
    yield made
    made.supervisor.stop()
    made.engine.stop()


def test_before_there_is_a_server_the_guest_is_new(world: World) -> None:
    world.supervisor.start()
    until(lambda: world.words() == ["NEW"])
    assert world.said[0].volume_total > 0
    with pytest.raises(errors.Conflict, match="no database server here yet"):
        _ = world.supervisor.engine


def test_every_change_is_said_at_once(world: World) -> None:
    world.supervisor.start()
    until(lambda: world.said)
    with world.supervisor.changing(ServiceStatus.BUILDING):
        until(lambda: world.words()[-1:] == ["BUILDING"])
        world.engine.start(1.0)
        world.supervisor.keep("sleeper", "1.0", world.engine)
    until(lambda: world.words() == ["NEW", "BUILDING", "HEALTHY"])
    assert world.said[-1].engine_version == "1.0"


def test_a_server_that_died_is_said_to_be_crashed_and_started_again(world: World) -> None:
    world.prepare()
    world.supervisor.start()
    until(lambda: world.words() == ["HEALTHY"])
    pid = world.pid()
    os.kill(pid, signal.SIGKILL)
    until(lambda: world.words() == ["HEALTHY", "CRASHED", "HEALTHY"])
    assert world.pid() != pid


def test_a_server_that_dies_right_after_a_look_is_said_to_be_crashed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.prepare()
    world.supervisor.start()
    until(lambda: world.words() == ["HEALTHY"])
    look, doomed = world.supervisor._look, [world.pid()]

    def look_and_kill() -> Health:
        health = look()
        if doomed:
            os.kill(doomed.pop(), signal.SIGKILL)
            until(lambda: world.engine.process() is None)
        return health

    monkeypatch.setattr(world.supervisor, "_look", look_and_kill)
    world.supervisor._nudge()
    until(lambda: world.words() == ["HEALTHY", "CRASHED", "HEALTHY"])


def test_a_server_that_dies_again_and_again_is_left_alone(world: World) -> None:
    world.prepare()
    world.supervisor.start()
    until(lambda: world.words() == ["HEALTHY"])
    world.engine.broken = True
    started = world.engine.starts
    world.engine.stop()
    until(lambda: world.engine.starts == started + len(PACE.pauses))
    until(lambda: world.words()[-1:] == ["CRASHED"])
    until(lambda: world.supervisor._next_start is None)
    world.engine.broken = False
    with world.supervisor.changing(ServiceStatus.RESTARTING):
        world.engine.start(1.0)
    until(lambda: world.words()[-1:] == ["HEALTHY"])


def test_a_server_that_is_stopped_to_be_restarted_has_not_crashed(world: World) -> None:
    world.prepare()
    world.supervisor.start()
    until(lambda: world.words() == ["HEALTHY"])
    with world.supervisor.changing(ServiceStatus.RESTARTING):
        world.engine.stop()
        until(lambda: world.words()[-1:] == ["RESTARTING"])
        world.engine.start(1.0)
    until(lambda: world.words() == ["HEALTHY", "RESTARTING", "HEALTHY"])


def test_the_next_life_of_the_agent_finds_the_server_running(world: World) -> None:
    world.prepare()
    pid = world.pid()
    world.new_life().start()
    until(lambda: world.words() == ["HEALTHY"])
    assert world.pid() == pid


def test_who_asks_is_told_how_the_server_is_and_not_how_it_was(world: World) -> None:
    world.prepare()
    life = world.new_life()
    life.say_again()  # as on a connection that was there before anybody looked
    life.start()
    until(lambda: world.words() == ["HEALTHY"])
    life.say_again()
    until(lambda: world.words() == ["HEALTHY", "HEALTHY"])


def test_after_a_reboot_of_the_guest_the_server_is_started(world: World) -> None:
    world.prepare()
    world.engine.stop()
    world.new_life().start()
    until(lambda: world.words()[-1:] == ["HEALTHY"])
    assert "CRASHED" not in world.words()


def test_a_server_that_ends_with_its_guest_is_not_started_again(world: World) -> None:
    world.prepare()
    world.supervisor.start()
    until(lambda: world.words() == ["HEALTHY"])
    started = world.engine.starts
    world.supervisor.leave()
    world.engine.stop()
    until(lambda: not world.supervisor._thread.is_alive())
    assert world.engine.starts == started


def test_a_server_whose_volume_was_let_go_of_stays_stopped(world: World) -> None:
    world.prepare()
    world.supervisor.start()
    until(lambda: world.words() == ["HEALTHY"])
    with world.supervisor.changing(ServiceStatus.SHUTDOWN):
        world.engine.stop()
        world.supervisor.volume.release()
    starts = world.engine.starts
    world.supervisor.stop()
    world.new_life().start()
    until(lambda: world.words() == ["HEALTHY", "SHUTDOWN", "SHUTDOWN"])
    assert world.engine.starts == starts
    with world.supervisor.changing(ServiceStatus.RESTARTING):
        world.supervisor.volume.take()
        world.engine.start(1.0)
    until(lambda: world.words()[-1] == "HEALTHY")


def test_a_server_that_runs_and_does_not_answer_is_in_an_unknown_state(world: World) -> None:
    world.prepare()
    world.supervisor.start()
    until(lambda: world.words() == ["HEALTHY"])
    world.engine.answers = False
    assert world.supervisor.measure().service is ServiceStatus.UNKNOWN


def test_pauses_grow_and_end() -> None:
    pace = Pace()
    pauses = [pace.pause_after([0.0] * count, 1.0) for count in range(1, 7)]
    assert pauses == [0.0, 1.0, 2.0, 4.0, 8.0, None]
    assert pace.pause_after([0.0, 1.0, 2.0, 900.0], 901.0) == 0.0


def test_progress_is_told_often_as_long_as_there_is_any(world: World) -> None:
    world.prepare()
    world.supervisor.start()
    until(lambda: world.words() == ["HEALTHY"])
    world.progress = {"op.1": Progress(1, 2)}
    world.supervisor.say_again()
    until(lambda: len(world.said) >= 4)
    assert world.said[-1].progress == {"op.1": Progress(1, 2)}
    world.progress = {}
    until(lambda: not world.said[-1].progress)
