"""Whoever makes or deletes a local guest may be killed at any instant, and nothing is stuck."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbaas.cloud.base import PortOrder, ServerState, VolumeOrder, VolumeState
from dbaas.cloud.local.cloud import LocalCloud
from tests.contract import hosts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="local guests need root")

CHECKOUT = Path(__file__).parents[2]
PROGRAMS = ("ip", "mkfs.xfs", "nft", "python")
PYTHON = sys.executable


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with hosts.local_cloud(tmp_path / "state") as local:
        yield local


class Maker:
    """Runs `create_guest` with programs in front of the real ones, which count and may kill it."""

    def __init__(self, cloud: LocalCloud, directory: Path) -> None:
        self._cloud = cloud
        self._directory = directory
        directory.mkdir()
        self._count = directory / "count"

    def run(self, verb: str, kill_at: int = 0, side: str = "") -> int:
        """Return how many programs it had run; kill it at one of them, `before` or `after`."""
        count = f"n=$(($(cat {self._count}) + 1)); echo $n >{self._count}"
        kill = f'[ "$n" = {kill_at} ] && kill -9 $PPID'
        self._count.write_text("0\n")
        for program in PROGRAMS:
            real = sys.executable if program == "python" else _found(program)
            before = f"{count}\n{kill} && exit 1" if side == "before" else count
            after = kill if side == "after" else ""
            hosts.wrapper(self._directory / program, real, before, after)
        process = self._begin(verb)
        assert process.wait(30) == (-signal.SIGKILL if kill_at else 0)
        return int(self._count.read_text())

    def kill_after(self, verb: str, seconds: float) -> None:
        process = self._begin(verb)
        time.sleep(seconds)
        process.kill()
        process.wait(30)

    def _begin(self, verb: str) -> subprocess.Popen[bytes]:
        settings = self._cloud.settings
        arguments = [str(settings.state_dir), settings.deployment, verb]
        launcher = self._directory / "python"
        python = str(launcher) if launcher.exists() else sys.executable
        return subprocess.Popen(
            [sys.executable, "-m", "tests.contract.create_guest", *arguments, python],
            cwd=CHECKOUT,
            env={**os.environ, "PATH": f"{self._directory}:{os.environ['PATH']}"},
        )


@pytest.fixture
def maker(cloud: LocalCloud, tmp_path: Path) -> Maker:
    return Maker(cloud, tmp_path / "programs")


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_maker_killed_at_any_program_leaves_what_can_be_found_and_deleted(
    cloud: LocalCloud, maker: Maker, side: str
) -> None:
    points = maker.run("create")
    assert points >= 5
    hosts.destroy(cloud, "a")
    for point in range(1, points + 1):
        maker.run("create", point, side)
        _explain(cloud)
        hosts.destroy(cloud, "a")
        assert _running(cloud) == [], f"killed {side} program {point}"
    hosts.build(cloud, "a")


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_deleter_killed_at_any_program_can_be_followed_by_another(
    cloud: LocalCloud, maker: Maker, side: str
) -> None:
    hosts.build(cloud, "a")
    points = maker.run("delete")
    assert points >= 2
    for point in range(1, points + 1):
        hosts.build(cloud, "a")
        maker.run("delete", point, side)
        left = cloud.compute.find_server("a")
        # It goes before its port does, whose removal runs programs, too.
        assert left is None or left.interrupted or left.state is ServerState.ACTIVE
        hosts.destroy(cloud, "a")
        assert _running(cloud) == [], f"killed {side} program {point}"


def test_a_maker_killed_at_any_time_leaves_what_can_be_found_and_deleted(
    cloud: LocalCloud, maker: Maker
) -> None:
    started = time.monotonic()
    maker.run("create")
    whole = time.monotonic() - started
    hosts.destroy(cloud, "a")
    for number in range(10):
        maker.kill_after("create", whole * (0.4 + 0.6 * number / 10))
        _explain(cloud)
        hosts.destroy(cloud, "a")
        assert _running(cloud) == []


def test_a_start_that_is_killed_itself_is_an_error_and_leaves_no_process(
    cloud: LocalCloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    launcher = tmp_path / "python"
    monkeypatch.setattr(sys, "executable", str(launcher))
    cloud.networks.create_port(PortOrder("a"))
    cloud.volumes.create_volume(VolumeOrder("a", 1))
    seen = set()
    for number in range(16):
        launcher.write_text(f'#!/bin/sh\nexec timeout -s KILL 0.{number * 5:03} {PYTHON} "$@"\n')
        launcher.chmod(0o755)
        made = cloud.compute.create_server(hosts.order("a"))
        seen.add(made.state)
        if made.state is ServerState.ERROR:
            assert made.fault
            assert _running(cloud) == []
        cloud.compute.delete_server("a")
        assert _running(cloud) == []
    assert ServerState.ERROR in seen


def test_a_server_whose_maker_is_dead_says_so(cloud: LocalCloud, maker: Maker) -> None:
    points = maker.run("create")
    hosts.destroy(cloud, "a")
    maker.run("create", points, "before")
    server = hosts.until(cloud, "a", ServerState.ERROR)
    assert server.fault == "its creation was interrupted"
    assert server.interrupted
    cloud.compute.delete_server("a")
    assert cloud.compute.create_server(hosts.order("a")).state is ServerState.ACTIVE


def _explain(cloud: LocalCloud) -> None:
    """Whatever was begun is in a state that a flow can go on from."""
    server, volume = cloud.compute.find_server("a"), cloud.volumes.find_volume("a")
    assert server is None or server.state in (
        ServerState.ACTIVE, ServerState.BUILD, ServerState.ERROR,
    )  # fmt: skip
    assert volume is None or volume.state in (
        VolumeState.AVAILABLE, VolumeState.IN_USE, VolumeState.CREATING, VolumeState.ERROR,
    )  # fmt: skip


def _running(cloud: LocalCloud) -> list[str]:
    """Return what a guest has on the host while it runs: all but the bridge and its firewall."""
    table, bridge = f"table inet dbaas_{cloud.settings.bridge_name}", cloud.settings.bridge_name
    group = f"/dbaas-{cloud.settings.deployment}"
    return [
        thing
        for thing in hosts.leftovers(cloud)
        if thing not in (table, bridge) and not thing.endswith(group)
    ] + [str(path) for at in hosts.control_groups(cloud) for path in Path(at).glob("*/")]


def _found(program: str) -> str:
    return subprocess.run(
        ["which", program], check=True, capture_output=True, text=True
    ).stdout.strip()
