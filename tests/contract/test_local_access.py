"""Who reaches a guest: connections are really made, from the host and from others through it."""

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbaas.cloud.base import Port, PortOrder, VolumeOrder
from dbaas.cloud.local import firewall
from dbaas.cloud.local.cloud import LocalCloud
from dbaas.contract.requests import Reach
from dbaas.host import commands
from tests.contract import hosts
from tests.functional import place

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="local guests need root")

CHECKOUT = Path(__file__).parents[2]
PATIENCE = 0.4
"""Seconds after which a connection is taken for refused: refused packets are not answered."""

ALL = {"host 4", "host 6", "tenant 4", "tenant 6", "stranger 4", "stranger 6"}


@dataclass(frozen=True)
class Client:
    """A machine beyond the host, which routes for it."""

    namespace: Path
    address: str
    address6: str


@dataclass(frozen=True)
class Place:
    cloud: LocalCloud
    tenant: Client
    stranger: Client

    def reached_by(self, name: str, tcp_port: int = hosts.SHELL_PORT) -> set[str]:
        """Return who can connect to the guest, by IPv4 and by IPv6."""
        port = _port(self.cloud, name)
        found = {f"host {version}" for version in _versions(port, tcp_port)}
        for client in ("tenant", "stranger"):
            with place.inside(getattr(self, client).namespace):
                found |= {f"{client} {version}" for version in _versions(port, tcp_port)}
        return found


@pytest.fixture
def here(tmp_path: Path) -> Iterator[Place]:
    with (
        hosts.local_cloud(tmp_path / "state") as cloud,
        _client("tenant", 1) as tenant,
        _client("stranger", 2) as stranger,
    ):
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        Path("/proc/sys/net/ipv6/conf/all/forwarding").write_text("1")
        yield Place(cloud, tenant, stranger)


def test_an_instance_without_networks_is_reached_from_anywhere(here: Place) -> None:
    hosts.build(here.cloud, "a")
    _wait_until_it_listens(here)
    assert here.reached_by("a") == ALL


def test_an_instance_is_reached_from_its_networks_only(here: Place) -> None:
    _build(here.cloud, "a", Reach(allowed_cidrs=(f"{here.tenant.address}/30", "203.0.113.0/24")))
    _wait_until_it_listens(here)
    assert here.reached_by("a") == {"tenant 4"}


def test_a_change_holds_at_once_by_either_protocol_and_for_no_other_guest(here: Place) -> None:
    for name in "ab":
        hosts.build(here.cloud, name)
        _wait_until_it_listens(here, name)
    bridge6 = here.cloud.settings.bridge6
    assert bridge6 is not None
    for allowed, reached in (
        ((f"{here.stranger.address}/32",), {"stranger 4"}),
        ((f"{here.stranger.address6}/126",), {"stranger 6"}),
        (("198.51.100.0/24", "fd51::/32"), ALL - {"host 4", "host 6"}),
        ((f"{here.cloud.settings.bridge.ip}", f"{bridge6.ip}"), {"host 4", "host 6"}),
        (("0.0.0.0/0",), {"host 4", "tenant 4", "stranger 4"}),
        (("203.0.113.7",), set[str]()),
        ((), ALL),
    ):
        here.cloud.networks.set_reach("a", Reach(allowed_cidrs=allowed))
        assert here.reached_by("a") == reached
        assert here.reached_by("b") == ALL


def test_a_connection_that_is_open_outlives_a_change(here: Place) -> None:
    hosts.build(here.cloud, "a")
    _wait_until_it_listens(here)
    port = _port(here.cloud, "a")
    with place.inside(here.stranger.namespace):
        by4, by6 = _connect(port.address), _connect(port.address6)
    here.cloud.networks.set_reach("a", Reach(allowed_cidrs=(f"{here.tenant.address}/32",)))
    assert here.reached_by("a") == {"tenant 4"}
    for client in (by4, by6):
        with client:
            client.sendall(b"echo still here\n")
            assert client.recv(100) == b"still here\n"


def test_nothing_of_a_guest_is_reached_but_its_engine(here: Place) -> None:
    hosts.build(here.cloud, "a")
    other = hosts.LISTENING.replace(str(hosts.SHELL_PORT), "7778")
    script = f"setsid socat {other} EXEC:cat >/dev/null 2>&1 </dev/null &\nsleep 0.3"
    assert hosts.shell(here.cloud, "a", script) == ""
    assert "7778" in hosts.shell(here.cloud, "a", "ss -ltn")
    assert here.reached_by("a", 7778) == set()
    assert here.reached_by("a") == ALL


def test_an_address_of_the_bridge_is_not_believed_from_elsewhere(here: Place) -> None:
    """Who claims to be the host, from beyond it, gets no packet to a guest."""
    bridge = here.cloud.settings.bridge.ip
    _build(here.cloud, "a", Reach(allowed_cidrs=(f"{bridge}/32",)))
    _wait_until_it_listens(here)
    port = _port(here.cloud, "a")
    with place.inside(here.stranger.namespace):
        commands.run(["ip", "address", "add", f"{bridge}/32", "dev", "lo"], timeout=5)
    Path("/proc/sys/net/ipv4/conf/all/rp_filter").write_text("0")
    counting = f"nft insert rule inet seen arrived ip saddr {bridge} counter accept"
    seen = "nft add table inet seen; nft add chain inet seen arrived"
    hook = "'{ type filter hook input priority -300; }'"
    space = Path("/run/netns") / here.cloud.settings.link_name("a")
    with place.inside(space):
        commands.run(["sh", "-c", f"{seen} {hook} && {counting}"], timeout=5)
    with place.inside(here.stranger.namespace), pytest.raises(TimeoutError):
        _connect(port.address, source=str(bridge))
    with place.inside(space):
        listed = commands.run(["nft", "list", "table", "inet", "seen"], timeout=5)
    assert "counter packets 0" in listed


def test_what_was_set_holds_after_the_host_was_down(here: Place) -> None:
    hosts.build(here.cloud, "a")
    here.cloud.networks.set_reach("a", Reach(allowed_cidrs=(f"{here.tenant.address6}/128",)))
    here.cloud.stop_all()
    here.cloud.teardown_network()
    here.cloud.ensure_network()
    assert here.cloud.start_all() == {}
    with place.inside(here.tenant.namespace):
        hosts.wait(lambda: _versions(_port(here.cloud, "a"), hosts.SHELL_PORT) == {6})
    assert here.reached_by("a") == {"tenant 6"}


def test_an_address_that_was_given_back_is_not_reached_as_before(here: Place) -> None:
    _build(here.cloud, "a", Reach(allowed_cidrs=(f"{here.tenant.address}/32",)))
    address = _port(here.cloud, "a").address
    hosts.destroy(here.cloud, "a")
    assert address not in _rules(here.cloud)
    hosts.build(here.cloud, "b")
    assert _port(here.cloud, "b").address == address
    _wait_until_it_listens(here, "b")
    assert here.reached_by("b") == ALL


@pytest.mark.parametrize("side", ["before", "after"])
def test_one_killed_at_a_change_leaves_what_another_completes(
    here: Place, tmp_path: Path, side: str
) -> None:
    hosts.build(here.cloud, "a")
    _wait_until_it_listens(here)
    wanted = f"{here.tenant.address}/32"
    _die_at_nft(here.cloud, tmp_path, side, f"networks.set_reach('a', Reach(False, ({wanted!r},)))")
    here.cloud.networks.ensure()
    assert here.reached_by("a") == {"tenant 4"}


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_port_that_is_found_can_be_reached_whoever_was_killed(
    here: Place, tmp_path: Path, side: str
) -> None:
    _die_at_nft(here.cloud, tmp_path, side, "networks.create_port(PortOrder('a'))")
    if here.cloud.networks.find_port("a") is None:
        here.cloud.networks.create_port(PortOrder("a"))
    here.cloud.volumes.create_volume(VolumeOrder("a", 1))
    here.cloud.compute.create_server(hosts.order("a"))
    _wait_until_it_listens(here)
    assert here.reached_by("a") == ALL


def test_changes_at_once_all_hold(here: Place) -> None:
    names = [f"p{number}" for number in range(8)]
    for name in names:
        here.cloud.networks.create_port(PortOrder(name))

    def change(number: int) -> None:
        other = LocalCloud(here.cloud.settings)
        for turn in range(4):
            allowed = (f"192.0.2.{number * 8 + turn}/32",)
            other.networks.set_reach(f"p{number}", Reach(allowed_cidrs=allowed))

    threads = [threading.Thread(target=change, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rules = _rules(here.cloud)
    assert [f"192.0.2.{n}" for n in range(64) if f"192.0.2.{n} accept" in rules] == [
        f"192.0.2.{number * 8 + 3}" for number in range(8)
    ]


@contextmanager
def _client(name: str, number: int) -> Iterator[Client]:
    """Make a network namespace that is joined with ours by a cable, and routes everything here."""
    prefix = f"fd51::{number}"
    ours, theirs = f"198.51.100.{number * 4 + 1}", f"198.51.100.{number * 4 + 2}"
    with place.network_namespace() as namespace:
        space = namespace.name
        for line in (
            f"link add {name} type veth peer name eth0 netns {space}",
            f"address add {ours}/30 dev {name}",
            f"link set {name} addrgenmode none",
            f"address add fe80::1/64 dev {name} nodad",
            f"address add {prefix}:1/126 dev {name} nodad",
            f"link set {name} up",
            f"-netns {space} address add {theirs}/30 dev eth0",
            f"-netns {space} address add {prefix}:2/126 dev eth0 nodad",
            f"-netns {space} link set eth0 up",
            f"-netns {space} route add default via {ours}",
            f"-netns {space} route add ::/0 via {prefix}:1",
        ):
            commands.run(["ip", *line.split()], timeout=5)
        try:
            yield Client(namespace, theirs, f"{prefix}:2")
        finally:
            commands.run(["ip", "link", "delete", name], timeout=5)


def _build(cloud: LocalCloud, name: str, reach: Reach) -> None:
    cloud.networks.create_port(PortOrder(name, reach=reach))
    cloud.volumes.create_volume(VolumeOrder(name, 1))
    cloud.compute.create_server(hosts.order(name))


def _wait_until_it_listens(here: Place, name: str = "a") -> None:
    """Look from within: from outside it may well be out of reach."""
    space = Path("/run/netns") / here.cloud.settings.link_name(name)
    with place.inside(space):
        hosts.wait(lambda: _listens("::1"))


def _listens(address: str) -> bool:
    try:
        _connect(address).close()
    except ConnectionRefusedError:
        return False
    return True


def _versions(port: Port, tcp_port: int) -> set[int]:
    """Return the protocols, 4 and 6, by which the guest can be connected to from here."""
    found = set()
    for version, address in ((4, port.address), (6, port.address6)):
        try:
            _connect(address, tcp_port).close()
        except (TimeoutError, ConnectionRefusedError):
            continue
        found.add(version)
    return found


def _connect(address: str, port: int = hosts.SHELL_PORT, source: str = "") -> socket.socket:
    return socket.create_connection((address, port), PATIENCE, (source, 0) if source else None)


def _port(cloud: LocalCloud, name: str) -> Port:
    port = cloud.networks.find_port(name)
    assert port is not None
    return port


def _rules(cloud: LocalCloud) -> str:
    table = firewall.table_name(cloud.settings)
    return commands.run(["nft", "list", "table", "inet", table], timeout=5)


def _die_at_nft(cloud: LocalCloud, directory: Path, side: str, call: str) -> None:
    """Have a process killed before or after it has the firewall changed."""
    programs = directory / "programs"
    programs.mkdir()
    nft = commands.run(["which", "nft"], timeout=5)
    kill = {side: "kill -9 $PPID"}
    hosts.wrapper(programs / "nft", nft, kill.get("before", ""), kill.get("after", ""))
    state, deployment = str(cloud.settings.state_dir), cloud.settings.deployment
    script = (
        "from pathlib import Path\n"
        "from dbaas.cloud.base import PortOrder\n"
        "from dbaas.cloud.local.cloud import LocalCloud\n"
        "from dbaas.contract.requests import Reach\n"
        "from tests.contract import hosts\n"
        f"networks = LocalCloud(hosts.settings(Path({state!r}), {deployment!r})).networks\n"
        f"{call}\n"
    )
    killed = subprocess.run(
        [sys.executable, "-c", script],
        cwd=CHECKOUT,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        check=False,
    )
    assert killed.returncode == -9
