"""What a guest on this host is: a machine of its own, as far as anybody in or outside can tell."""

import ipaddress
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from dbaas.cloud.base import ServerState
from dbaas.cloud.local import cgroups, faults, settings
from dbaas.cloud.local.cloud import LocalCloud
from dbaas.contract import errors
from dbaas.host import commands
from tests.contract import hosts

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="local guests need root")

HIERARCHIES = cgroups.detect()
NEEDS_GROUPS = pytest.mark.skipif(
    not (HIERARCHIES.unified or "memory" in HIERARCHIES.split), reason="the host has no cgroups"
)


@pytest.fixture
def cloud(tmp_path: Path) -> Iterator[LocalCloud]:
    with hosts.local_cloud(tmp_path / "state") as local:
        yield local


def test_a_guest_finds_itself_a_whole_machine(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    port = cloud.networks.find_port("a")
    assert port is not None
    assert hosts.shell(cloud, "a", "hostname; cat /etc/hostname") == "a\na"
    assert port.address in hosts.shell(cloud, "a", "ip -4 address show eth0")
    assert port.mac in hosts.shell(cloud, "a", "ip link show eth0")
    assert "xfs" in hosts.shell(cloud, "a", "grep /var/lib/dbaas/volume /proc/mounts")
    kept = hosts.shell(cloud, "a", "stat -c '%a %U' /etc/dbaas/contact.json; cat /etc/dbaas/*.json")
    assert kept == "600 root\nfor root only"
    assert hosts.shell(cloud, "a", "echo x >/dev/null; head -c2 /dev/zero | wc -c") == "2"
    assert hosts.shell(cloud, "a", "echo x >/dev/shm/x; cat /dev/shm/x; ls /dev/pts") == "x\nptmx"
    assert "11.8" in hosts.shell(cloud, "a", "mariadbd --version")
    imported = "import amqp, cryptography, pymysql, dbaas.guestagent.service"
    assert hosts.shell(cloud, "a", f"PYTHONPATH=/opt/dbaas python3 -c '{imported}'") == ""


def test_a_guest_reaches_the_brokers_listener_and_nothing_else(cloud: LocalCloud) -> None:
    bridge = str(cloud.settings.bridge.ip)
    other = "10.88.0.1"
    commands.run(["ip", "address", "add", f"{other}/32", "dev", "lo"], timeout=5)
    hosts.build(cloud, "a")
    hosts.build(cloud, "b")
    neighbour = cloud.networks.find_port("b")
    assert neighbour is not None
    hosts.shell(cloud, "b", "true")  # it listens, for the host
    with (
        hosts.listening(bridge, hosts.BROKER_PORT),
        hosts.listening(bridge, 5672),
        hosts.listening(other, 5671),
    ):
        assert _reaches(cloud, bridge, hosts.BROKER_PORT)
        assert not _reaches(cloud, bridge, 5672)
        assert not _reaches(cloud, other, 5671)
        assert not _reaches(cloud, neighbour.address, hosts.SHELL_PORT)


def test_a_guest_reaches_nothing_by_ipv6(cloud: LocalCloud) -> None:
    assert cloud.settings.bridge6 is not None
    bridge, other = str(cloud.settings.bridge6.ip), "fd88::1"
    commands.run(["ip", "address", "add", f"{other}/128", "dev", "lo", "nodad"], timeout=5)
    hosts.build(cloud, "a")
    hosts.build(cloud, "b")
    port, neighbour = cloud.networks.find_port("a"), cloud.networks.find_port("b")
    assert port is not None
    assert neighbour is not None
    hosts.shell(cloud, "b", "true")
    with hosts.listening(bridge, hosts.BROKER_PORT), hosts.listening(other, hosts.BROKER_PORT):
        assert not _reaches(cloud, bridge, hosts.BROKER_PORT)
        assert not _reaches(cloud, other, hosts.BROKER_PORT)
        assert not _reaches(cloud, neighbour.address6, hosts.SHELL_PORT)
    has = hosts.shell(cloud, "a", "ip -6 -oneline address show dev eth0 scope global")
    assert len(has.splitlines()) == 1
    assert port.address6 in has


def test_a_guest_without_ipv6_has_no_address_of_it(cloud: LocalCloud) -> None:
    plain = LocalCloud(replace(cloud.settings, bridge6=None))
    hosts.build(plain, "a")
    port = plain.networks.find_port("a")
    assert port is not None
    assert port.address6 == ""
    assert hosts.shell(plain, "a", "ip -6 address") == ""


def test_root_in_a_guest_can_harm_neither_host_nor_kernel(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    secret = cloud.settings.state_dir / "secret"
    secret.write_text("the host's")
    refused = [
        "mount -t tmpfs none /mnt",
        "mount -o remount,rw /proc/sys",
        "umount /proc/sys",
        "mknod /tmp/disk b 7 0",
        "mknod /tmp/memory c 1 1",
        "unshare --mount true",
        "unshare --user true",
        "setpriv --reuid 330 unshare --user --map-root-user true",
        "chroot / true",
        "date -s 10:00",
        "hostname other",
        "ip link set eth0 down",
        "ip address add 10.77.0.9/28 dev eth0",
        "echo 1 >/proc/sys/kernel/panic",
        "echo b >/proc/sysrq-trigger",
        "head -c1 /proc/kcore | grep -q .",
        f"cat {secret}",
        f"ls /proc/{os.getpid()}",
        f"kill -0 {os.getpid()}",
        "nsenter -t 1 -m true",
        "python3 -c 'import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)'",
        "ls /dev/loop0 /dev/vda /dev/sda /dev/mem",
    ]
    checks = "\n".join(f"({attempt}) >/dev/null 2>&1 && echo {attempt!r}" for attempt in refused)
    assert hosts.shell(cloud, "a", f"{checks}\ntrue") == ""
    numbers = hosts.shell(cloud, "a", "ls /proc | grep -c '^[0-9]'")
    assert int(numbers) < 12
    assert secret.read_text() == "the host's"


def test_a_guest_can_do_what_an_engine_needs(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    script = """
    set -e
    cd /var/lib/dbaas/volume
    mkdir data && chown mysql:mysql data
    setpriv --reuid mysql --regid mysql --clear-groups sh -c 'echo row >data/table; id -un'
    chmod 600 data/table && cat data/table
    setpriv --reuid mysql --regid mysql --clear-groups sleep 60 & kill $!
    cp --reflink=always data/table copy && echo linked
    """
    assert hosts.shell(cloud, "a", script).splitlines() == ["mysql", "row", "linked"]


@NEEDS_GROUPS
def test_a_guest_has_the_memory_and_the_cpus_of_its_flavor(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a", "1")
    hosts.build(cloud, "b", "2")
    hungry = "python3 -c 'len(b\"x\" * (400 << 20))' && echo fed; true"
    assert "fed" not in hosts.shell(cloud, "a", hungry)
    assert hosts.shell(cloud, "b", hungry) == "fed"
    assert _cpu_share(cloud, "a") == 1.0
    assert _cpu_share(cloud, "b") == 2.0
    assert cloud.compute.find_server("a") is not None
    hosts.until(cloud, "a", ServerState.ACTIVE)


@NEEDS_GROUPS
def test_a_guest_that_grows_has_more_at_once_and_less_after_it_is_reverted(
    cloud: LocalCloud,
) -> None:
    hosts.build(cloud, "a", "1")
    hungry = "python3 -c 'len(b\"x\" * (400 << 20))' && echo fed; true"
    cloud.compute.resize_server("a", "2")
    assert hosts.shell(cloud, "a", hungry) == "fed"
    assert _cpu_share(cloud, "a") == 2.0
    cloud.compute.revert_resize("a")
    assert "fed" not in hosts.shell(cloud, "a", hungry)
    assert _cpu_share(cloud, "a") == 1.0
    cloud.compute.resize_server("a", "2")
    cloud.compute.confirm_resize("a")
    cloud.compute.reboot_server("a")
    assert hosts.shell(cloud, "a", hungry) == "fed"


@NEEDS_GROUPS
def test_a_guest_keeps_its_memory_until_it_can_do_with_less(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a", "2")
    cloud.compute.resize_server("a", "1")
    hold = 'import os; b = b"x" * (350 << 20); print(len(b), flush=True); os.read(0, 1)'
    with hosts.connected(cloud, "a") as client:
        client.sendall(f"python3 -c '{hold}'\n".encode())
        client.settimeout(20)
        assert client.recv(10) == b"367001600\n"
        for _ in range(2):
            with pytest.raises(errors.Unavailable):
                cloud.compute.confirm_resize("a")
            hosts.until(cloud, "a", ServerState.VERIFY_RESIZE)
        client.sendall(b".echo alive\n")
        assert client.recv(10) == b"alive\n"
    cloud.compute.confirm_resize("a")
    hosts.until(cloud, "a", ServerState.ACTIVE)
    hungry = "python3 -c 'len(b\"x\" * (400 << 20))' && echo fed; true"
    assert "fed" not in hosts.shell(cloud, "a", hungry)
    assert _cpu_share(cloud, "a") == 1.0


def test_a_resize_goes_on_where_it_was_after_the_host_was_down(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a", "2")
    cloud.compute.resize_server("a", "1")
    cloud.stop_all()
    hosts.until(cloud, "a", ServerState.SHUTOFF)
    assert cloud.start_all() == {}
    hosts.until(cloud, "a", ServerState.VERIFY_RESIZE)
    cloud.compute.revert_resize("a")
    assert hosts.until(cloud, "a", ServerState.ACTIVE).flavor == "2"


def test_a_volume_grows_while_the_guest_writes_to_it(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    write = "dd if=/dev/zero bs=1M count=1 oflag=append conv=notrunc,fsync of=data status=none"
    script = f"cd /var/lib/dbaas/volume\nfor n in $(seq 60); do {write} || echo failed; done"
    said: list[str] = []
    writer = threading.Thread(target=lambda: said.append(hosts.shell(cloud, "a", script, 60)))
    writer.start()
    sizes = [cloud.volumes.extend_volume("a", size).size_gib for size in (2, 3, 4)]
    writer.join()
    assert (sizes, said) == ([2, 3, 4], [""])
    assert _volume_mib(cloud, "a") > 3900
    assert hosts.shell(cloud, "a", "stat -c %s /var/lib/dbaas/volume/data") == str(60 << 20)


def test_a_volume_that_grew_while_its_guest_was_stopped_is_grown_when_it_starts(
    cloud: LocalCloud,
) -> None:
    hosts.build(cloud, "a")
    faults.kill(cloud, "a")
    cloud.volumes.extend_volume("a", 3)
    cloud.compute.start_server("a")
    assert _volume_mib(cloud, "a") > 2900


def test_a_killed_guest_is_silent_and_comes_back_with_its_disks(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    hosts.shell(cloud, "a", "echo 1 >/var/kept; echo 2 >/var/lib/dbaas/volume/kept; sync")
    client = hosts.connected(cloud, "a")
    faults.kill(cloud, "a")
    hosts.until(cloud, "a", ServerState.SHUTOFF)
    client.settimeout(0.2)
    with pytest.raises(TimeoutError):
        client.recv(1)
    client.close()
    cloud.compute.start_server("a")
    assert hosts.shell(cloud, "a", "cat /var/kept /var/lib/dbaas/volume/kept") == "1\n2"


@NEEDS_GROUPS
def test_a_frozen_guest_accepts_connections_and_answers_when_it_thaws(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    hosts.shell(cloud, "a", "true")
    faults.freeze(cloud, "a")
    with hosts.connected(cloud, "a") as client:
        client.sendall(b"echo thawed\n")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
        faults.thaw(cloud, "a")
        client.settimeout(10)
        assert client.recv(10) == b"thawed\n"


def test_control_groups_of_version_2_hold_a_guest_as_well(cloud: LocalCloud) -> None:
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    unified = [Path(target) for _, target, kind, *_ in mounts if kind == "cgroup2"]
    if not unified:
        pytest.skip("the host has no control groups of version 2")
    groups = cgroups.Groups(cloud.settings.deployment, cgroups.Hierarchies({}, unified[0]))
    cloud.body.groups = groups
    hosts.build(cloud, "a")
    members = unified[0] / f"dbaas-{cloud.settings.deployment}/a/cgroup.procs"
    assert str(cloud.compute.pid("a")) in members.read_text().split()
    hosts.shell(cloud, "a", "true")
    faults.freeze(cloud, "a")
    with hosts.connected(cloud, "a") as client:
        client.sendall(b"echo thawed\n")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
    hosts.destroy(cloud, "a")
    assert not members.exists()
    groups.remove_parent()


@NEEDS_GROUPS
def test_a_frozen_guest_can_be_deleted(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    faults.freeze(cloud, "a")
    hosts.destroy(cloud, "a")


def test_a_guest_without_its_link_is_away_until_it_has_it_again(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    with hosts.connected(cloud, "a") as client:
        faults.link_down(cloud, "a")
        client.sendall(b"echo back\n")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
        faults.link_up(cloud, "a")
        client.settimeout(10)
        assert client.recv(10) == b"back\n"


@pytest.mark.parametrize("way", list(faults.Way))
def test_packets_can_be_lost_one_way(cloud: LocalCloud, way: faults.Way) -> None:
    hosts.build(cloud, "a")
    arrived = Path(f"/proc/{cloud.compute.pid('a')}/root", "run/arrived")
    with hosts.connected(cloud, "a") as client:
        faults.drop(cloud, "a", way)
        client.sendall(b"echo 1 >/run/arrived\necho back\n")
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.recv(10)
        assert arrived.exists() is (way is faults.Way.FROM_GUEST)
        faults.drop_nothing(cloud, "a")
        client.settimeout(10)
        assert client.recv(10) == b"back\n"


def test_stopped_all_leaves_nothing_and_those_that_ran_come_back(cloud: LocalCloud) -> None:
    for name in "abc":
        hosts.build(cloud, name)
    hosts.shell(cloud, "a", "echo 1 >/var/lib/dbaas/volume/kept; sync")
    cloud.compute.stop_server("b")
    hosts.until(cloud, "b", ServerState.SHUTOFF)
    cloud.stop_all()
    cloud.teardown_network()
    assert hosts.leftovers(cloud) == []
    cloud.ensure_network()
    assert cloud.start_all() == {}
    states = {name: server.state for name, server in cloud.compute.servers().items()}
    assert states == {
        "a": ServerState.ACTIVE,
        "b": ServerState.SHUTOFF,
        "c": ServerState.ACTIVE,
    }
    assert hosts.shell(cloud, "a", "cat /var/lib/dbaas/volume/kept") == "1"


def test_one_that_cannot_start_keeps_no_other_from_starting(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    hosts.build(cloud, "b")
    cloud.stop_all()
    image = cloud.volumes.image("a")
    image.rename(image.with_suffix(".away"))
    assert list(cloud.start_all()) == ["a"]
    hosts.until(cloud, "b", ServerState.ACTIVE)


def test_the_network_may_be_made_again_and_again_under_running_guests(cloud: LocalCloud) -> None:
    hosts.build(cloud, "a")
    with hosts.connected(cloud, "a") as client:
        cloud.ensure_network()
        client.sendall(b"echo here\n")
        assert client.recv(10) == b"here\n"


def test_the_guest_agent_is_kept_running_and_stops_with_its_guest(cloud: LocalCloud) -> None:
    agents = LocalCloud(replace(cloud.settings, command=settings.INIT))
    hosts.build(agents, "a")
    hosts.wait(lambda: _agent(agents, "a") > 1)
    first = _agent(agents, "a")
    os.kill(first, signal.SIGKILL)
    hosts.wait(lambda: "starting it again" in agents.compute.console("a"))
    hosts.wait(lambda: _agent(agents, "a") not in (0, first))
    began = time.monotonic()
    agents.compute.stop_server("a")
    hosts.until(agents, "a", ServerState.SHUTOFF)
    assert time.monotonic() - began < cloud.settings.stop_timeout


def test_the_console_is_kept_and_begins_anew_when_it_is_long(cloud: LocalCloud) -> None:
    talking = ("/bin/sh", "-c", "echo hello from the guest; exec sleep 60")
    talkers = LocalCloud(replace(cloud.settings, command=talking))
    hosts.build(talkers, "a")
    hosts.wait(lambda: "hello from the guest" in talkers.compute.console("a"))
    console = cloud.settings.server_dir("a") / "console.log"
    console.write_text("x" * (11 << 20))
    talkers.compute.reboot_server("a")
    hosts.wait(lambda: talkers.compute.console("a") == "hello from the guest\n")


def test_a_guest_that_cannot_begin_says_why(cloud: LocalCloud) -> None:
    broken = LocalCloud(replace(cloud.settings, cache_dir=cloud.settings.state_dir / "nothing"))
    with pytest.raises(AssertionError, match="root filesystem was not made"):
        hosts.build(broken, "a")


def _reaches(cloud: LocalCloud, address: str, port: int) -> bool:
    whole = ipaddress.ip_address(address)
    host = f"TCP6:[{whole}]" if whole.version == 6 else f"TCP4:{whole}"
    target = f"{host}:{port},connect-timeout=0.4"
    return "welcome" in hosts.shell(cloud, "a", f"socat -T1 -u {target} STDOUT")


def _volume_mib(cloud: LocalCloud, name: str) -> int:
    return int(hosts.shell(cloud, name, "df -m --output=size /var/lib/dbaas/volume | tail -1"))


def _cpu_share(cloud: LocalCloud, name: str) -> float:
    within = f"dbaas-{cloud.settings.deployment}/{name}"
    if HIERARCHIES.unified:
        quota, period = (HIERARCHIES.unified / within / "cpu.max").read_text().split()
    else:
        group = HIERARCHIES.split["cpu"] / within
        quota = (group / "cpu.cfs_quota_us").read_text()
        period = (group / "cpu.cfs_period_us").read_text()
    return int(quota) / int(period)


def _agent(cloud: LocalCloud, name: str) -> int:
    """Return the agent's process: a child of the shell that is the first process's child."""
    number = cloud.compute.pid(name)
    for _ in range(2):
        children = Path(f"/proc/{number}/task/{number}/children").read_text().split()
        if not children:
            return 0
        number = int(children[0])
    return 0 if "python3" not in Path(f"/proc/{number}/cmdline").read_text() else number
