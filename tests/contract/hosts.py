"""A host of its own for local guests: a network namespace, a state directory, and what is left."""

import ipaddress
import secrets
import shlex
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from dbaas.cloud.base import (
    Cloud,
    PortOrder,
    Server,
    ServerOrder,
    ServerState,
    VolumeOrder,
    VolumeState,
)
from dbaas.cloud.local import cgroups, image
from dbaas.cloud.local.cloud import LocalCloud
from dbaas.cloud.local.settings import Settings, flavor
from dbaas.cloud.loopback import family, templates
from dbaas.cloud.loopback import settings as loopback
from dbaas.cloud.loopback.cloud import LoopbackCloud
from dbaas.cloud.rootfs import recipe
from dbaas.contract.secret import Secret
from tests.functional import place

SHELL_PORT = 7777
LISTENING = f"TCP6-LISTEN:{SHELL_PORT},ipv6only=0,backlog=64,fork,reuseaddr"
SHELL = ("/bin/sh", "-c", f"exec socat -t60 {LISTENING} EXEC:/bin/sh")
"""What guests of these tests run: a shell for whoever connects, with a guest program's rights."""

BROKER_PORT = 5671

PATIENCE = 300.0
"""Seconds: some clouds' servers are emulated."""


def settings(state_dir: Path, deployment: str) -> Settings:
    bridge = ipaddress.IPv4Interface("10.77.0.1/28")
    return Settings(
        deployment=deployment,
        state_dir=state_dir,
        cache_dir=recipe.default_cache(),
        bridge=bridge,
        pool=bridge.network,
        broker_port=BROKER_PORT,
        flavors=(flavor("1:db.tiny:256:1:5"), flavor("2:db.small:512:2:5")),
        stop_timeout=10.0,
        bridge6=ipaddress.IPv6Interface("fd77::1/64"),
        engine_ports=(SHELL_PORT,),
        command=SHELL,
    )


@contextmanager
def local_cloud(state_dir: Path) -> Iterator[LocalCloud]:
    """A cloud in a network namespace that the main thread is in meanwhile; nothing stays of it."""
    image.ensure(recipe.default_cache())
    with place.network_namespace() as namespace, place.inside(namespace):
        cloud = LocalCloud(settings(state_dir, f"t{secrets.token_hex(4)}"))
        cloud.ensure_network()
        try:
            yield cloud
        finally:
            stopped = LocalCloud(replace(cloud.settings, stop_timeout=0.5))
            stopped.stop_all()
            stopped.teardown_network()
        assert leftovers(cloud) == []


@contextmanager
def loopback_cloud(state_dir: Path) -> Iterator[LoopbackCloud]:
    """A cloud of processes; none of them stays. Their guests run no engine."""
    state_dir.mkdir()
    (state_dir / "templates" / f"mariadb-{templates.series()}").mkdir(parents=True)
    cloud = LoopbackCloud(
        loopback.Settings(
            state_dir=state_dir,
            pool=ipaddress.IPv4Network("127.77.200.0/28"),
            flavors=(flavor("1:db.tiny:256:1:5"), flavor("2:db.small:512:2:5")),
            stop_timeout=5.0,
            command=("/bin/sleep", "1000"),
        )
    )
    try:
        yield cloud
    finally:
        cloud.stop_all()
    assert [family.members(cloud.settings.root_dir(name)) for name in "abc"] == [[], [], []]


def leftovers(cloud: LocalCloud) -> list[str]:
    """Return what of the cloud's guests is still on the host: nothing when they are all stopped."""
    spaces = {path.name for path in Path("/run/netns").glob("*")}
    names = [*cloud.compute.servers(), "a", "b", "c", "left"]
    mine = {cloud.settings.link_name(name) for name in names}
    return [
        *place.mounts_of(cloud.settings.state_dir),
        *place.loop_devices_on(cloud.settings.state_dir),
        *sorted(place.interfaces() - {"lo"}),
        *place.firewall().splitlines(),
        *sorted(spaces & mine),
        *control_groups(cloud),
    ]


def control_groups(cloud: LocalCloud) -> list[str]:
    at = cgroups.detect()
    roots = [at.unified] if at.unified else list(at.split.values())
    directories = [root / f"dbaas-{cloud.settings.deployment}" for root in roots]
    return [str(directory) for directory in directories if directory.exists()]


def build(cloud: Cloud, name: str, flavor_id: str = "1") -> Server:
    """Make a server with a port and a volume of its name, and wait until it runs."""
    cloud.networks.create_port(PortOrder(name))
    cloud.volumes.create_volume(VolumeOrder(name, 1))
    wait(lambda: volume_state(cloud, name) is VolumeState.AVAILABLE)
    cloud.compute.create_server(order(name, flavor_id))
    return until(cloud, name, ServerState.ACTIVE)


def volume_state(cloud: Cloud, name: str) -> VolumeState | None:
    volume = cloud.volumes.find_volume(name)
    return volume.state if volume else None


def order(name: str, flavor_id: str = "1") -> ServerOrder:
    contents = {"/etc/dbaas/contact.json": Secret("for root only")}
    return ServerOrder(name, flavor_id, "", (name,), (name,), contents, image_tags=("contract",))


def destroy(cloud: Cloud, name: str) -> None:
    """Delete a server with its port and volume, as far as they are there, and wait until they
    are gone."""
    cloud.compute.delete_server(name)
    wait(lambda: cloud.compute.find_server(name) is None)
    wait(lambda: volume_state(cloud, name) in (None, VolumeState.AVAILABLE, VolumeState.ERROR))
    cloud.volumes.delete_volume(name)
    wait(lambda: cloud.volumes.find_volume(name) is None)
    cloud.networks.delete_port(name)


def until(cloud: Cloud, name: str, state: ServerState) -> Server:
    """Look at a server until it is in this state; one that fails instead is an assertion's."""
    seen: list[Server | None] = []

    def arrived() -> bool:
        seen.append(cloud.compute.find_server(name))
        found = seen[-1]
        assert found is not None
        assert state is ServerState.ERROR or found.state is not ServerState.ERROR, found.fault
        return found.state is state

    wait(arrived)
    assert seen[-1] is not None
    return seen[-1]


def wait(condition: Callable[[], bool], timeout: float = PATIENCE) -> None:
    """Return when it is so; look the less often, the longer it takes."""
    began = time.monotonic()
    while not condition():
        waited = time.monotonic() - began
        assert waited < timeout, "it did not happen"
        time.sleep(min(0.005 + waited / 20, 1.0))


def shell(cloud: Cloud, name: str, script: str, timeout: float = 20.0) -> str:
    """Run a script in a guest, as its root; return its output and complaints."""
    with connected(cloud, name, timeout) as connection:
        connection.sendall(f"exec 2>&1\n{script}\n".encode())
        connection.shutdown(socket.SHUT_WR)
        said = b""
        while part := connection.recv(65536):
            said += part
    return said.decode().strip()


def connected(cloud: Cloud, name: str, timeout: float = 20.0) -> socket.socket:
    """Connect to a guest's shell, once it listens."""
    port = cloud.networks.find_port(name)
    assert port is not None
    deadline = time.monotonic() + timeout
    while True:
        try:
            connection = socket.create_connection((port.address, SHELL_PORT), timeout)
        except ConnectionRefusedError:  # it has only just been started
            assert time.monotonic() < deadline, "the guest does not listen"
            time.sleep(0.01)
        else:
            return connection


@contextmanager
def listening(address: str, port: int) -> Iterator[None]:
    """Greet whoever connects."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as server:

        def greet() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"welcome")

        thread = threading.Thread(target=greet)
        thread.start()
        yield
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def wrapper(path: Path, program: str, before: str = "", after: str = "") -> None:
    """Write a program that does what another does, and something before and after it."""
    real = shlex.quote(program)
    path.write_text(f'#!/bin/sh\n{before}\n{real} "$@"\nresult=$?\n{after}\nexit $result\n')
    path.chmod(0o755)
