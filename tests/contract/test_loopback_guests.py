"""What guests are where nobody is root: processes that are found, kept running and ended."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dbaas.cloud.base import PortOrder, ServerState, VolumeOrder
from dbaas.cloud.loopback import family
from dbaas.cloud.loopback.cloud import LoopbackCloud
from dbaas.contract import errors
from dbaas.contract.requests import Reach
from tests.contract import hosts

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LoopbackCloud]:
    with hosts.loopback_cloud(tmp_path / "state") as loopback:
        yield loopback


def test_a_guest_finds_its_files_and_its_volume_below_its_directory(cloud: LoopbackCloud) -> None:
    hosts.build(cloud, "a")
    root = cloud.settings.root_dir("a")
    contact = root / "etc/dbaas/contact.json"
    assert contact.read_text() == "for root only"
    assert contact.stat().st_mode & 0o777 == 0o600
    (root / "var/lib/dbaas/volume/row").write_text("kept")
    cloud.compute.delete_server("a")
    assert not root.exists()
    assert (cloud.volumes.path("a") / "row").read_text() == "kept"
    cloud.volumes.delete_volume("a")
    assert not cloud.volumes.path("a").exists()


def test_what_nobody_can_do_without_root_is_refused_in_words(cloud: LoopbackCloud) -> None:
    hosts.build(cloud, "a")
    with pytest.raises(errors.Unsupported, match="without root"):
        cloud.compute.resize_server("a", "2")
    with pytest.raises(errors.Unsupported, match="without root"):
        cloud.volumes.extend_volume("a", 2)
    closed = Reach(allowed_cidrs=("192.0.2.0/24",))
    with pytest.raises(errors.Unsupported, match="without root"):
        cloud.networks.set_reach("a", closed)
    with pytest.raises(errors.Unsupported, match="without root"):
        cloud.networks.create_port(PortOrder("b", reach=closed))
    assert cloud.networks.find_port("b") is None
    assert cloud.compute.resize_server("a", "1").state is ServerState.ACTIVE
    assert cloud.volumes.extend_volume("a", 1).size_gib == 1
    with pytest.raises(errors.Invalid):
        cloud.volumes.extend_volume("a", 0)


def test_the_agent_is_kept_running(cloud: LoopbackCloud) -> None:
    hosts.build(cloud, "a")
    hosts.wait(lambda: len(_agents(cloud)) == 1)
    first = _agents(cloud)
    os.kill(first[0], signal.SIGKILL)
    hosts.wait(lambda: len(_agents(cloud)) == 1 and _agents(cloud) != first)
    hosts.until(cloud, "a", ServerState.ACTIVE)


def test_what_left_its_session_is_ended_with_its_guest(cloud: LoopbackCloud) -> None:
    wanders = "setsid -f sleep 999; setsid -f sh -c 'trap \"\" TERM; sleep 998'; exec sleep 1000"
    restless = LoopbackCloud(
        replace(cloud.settings, command=("/bin/sh", "-c", wanders), stop_timeout=0.5)
    )
    hosts.build(restless, "a")
    root = cloud.settings.root_dir("a")
    hosts.wait(lambda: len(family.members(root)) >= 5)
    restless.compute.stop_server("a")
    hosts.until(restless, "a", ServerState.SHUTOFF)
    hosts.wait(lambda: family.members(root) == [])


def test_a_guest_whose_first_process_was_killed_starts_anew_without_the_old_one(
    cloud: LoopbackCloud,
) -> None:
    hosts.build(cloud, "a")
    old = family.members(cloud.settings.root_dir("a"))
    os.kill(cloud.compute.pid("a"), signal.SIGKILL)
    hosts.until(cloud, "a", ServerState.SHUTOFF)
    cloud.compute.start_server("a")
    hosts.until(cloud, "a", ServerState.ACTIVE)
    hosts.wait(lambda: len(_agents(cloud)) == 1)
    assert not set(old) & set(family.members(cloud.settings.root_dir("a")))


def test_a_start_that_comes_late_does_nothing(cloud: LoopbackCloud) -> None:
    hosts.build(cloud, "a")
    hosts.wait(lambda: len(_agents(cloud)) == 1)
    record = cloud.settings.state_dir / "servers" / "a.json"
    root = str(cloud.settings.root_dir("a"))
    late = [sys.executable, "-m", "dbaas.cloud.loopback.init", str(record), "another", root, "1"]
    before = family.members(Path(root))
    assert subprocess.run([*late, "/bin/sleep", "9"], cwd=CHECKOUT, check=False).returncode == 1
    assert family.members(Path(root)) == before
    hosts.destroy(cloud, "a")
    Path(root).mkdir()
    assert subprocess.run([*late, "/bin/sleep", "9"], cwd=CHECKOUT, check=False).returncode == 1


def test_stopped_all_leaves_nothing_and_those_that_ran_come_back(cloud: LoopbackCloud) -> None:
    for name in "abc":
        hosts.build(cloud, name)
    cloud.compute.stop_server("b")
    hosts.until(cloud, "b", ServerState.SHUTOFF)
    cloud.stop_all()
    assert [family.members(cloud.settings.root_dir(name)) for name in "abc"] == [[], [], []]
    assert cloud.start_all() == {}
    states = {name: server.state for name, server in cloud.compute.servers().items()}
    assert states == {
        "a": ServerState.ACTIVE,
        "b": ServerState.SHUTOFF,
        "c": ServerState.ACTIVE,
    }


def test_an_address_that_another_program_listens_at_is_left_to_it(cloud: LoopbackCloud) -> None:
    first, second = (str(cloud.settings.pool[number]) for number in (2, 3))
    quiet = LoopbackCloud(replace(cloud.settings, engine_ports=(27306,)))
    with hosts.listening(first, 27306):
        assert quiet.networks.create_port(PortOrder("a")).address == second
        with pytest.raises(errors.Conflict):
            quiet.networks.create_port(PortOrder("b", address=first))
    assert quiet.networks.create_port(PortOrder("b")).address == first


def test_a_guest_that_cannot_begin_says_why(cloud: LoopbackCloud) -> None:
    (cloud.settings.state_dir / "g").write_text("in the way")
    cloud.networks.create_port(PortOrder("a"))
    cloud.volumes.create_volume(VolumeOrder("a", 1))
    made = cloud.compute.create_server(hosts.order("a"))
    assert made.state is ServerState.ERROR
    assert "g" in made.fault
    (cloud.settings.state_dir / "g").unlink()
    cloud.compute.delete_server("a")
    assert cloud.compute.create_server(hosts.order("a")).state is ServerState.ACTIVE


def _agents(cloud: LoopbackCloud) -> list[int]:
    """Return what runs in guest a beside its first process."""
    first = cloud.compute.pid("a")
    return [number for number in family.members(cloud.settings.root_dir("a")) if number != first]
