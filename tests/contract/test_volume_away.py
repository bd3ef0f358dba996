"""A volume is detached and attached again under a guest's agent, with its real database server."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbaas.common import certificates
from dbaas.contract import errors
from dbaas.contract.messages import (
    ArchiveOrder,
    DatabaseSpec,
    Grant,
    Prepare,
    ServerCertificate,
    ServiceStatus,
    UserSpec,
    VolumeGrowth,
)
from dbaas.contract.secret import Secret
from tests.contract import engine_guest, hosts, loops
from tests.contract.engine_guest import Guest, Refused

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="disks need root")

MIB = 1 << 20
SMALL, LARGE = 400 * MIB, 600 * MIB
VOLUME = "/var/lib/dbaas/volume"


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[loops.Disk]:
    with loops.disk(tmp_path / "image", SMALL) as made:
        yield made


@pytest.fixture(scope="module")
def order() -> Prepare:
    authority = certificates.create_authority("tests")
    issued = certificates.issue(authority, "instance", ["127.0.0.1"], [], 1)
    certificate = ServerCertificate(issued.cert_pem, issued.key_pem, authority.cert_pem)
    users = (UserSpec("ann", Secret("xyzzy"), "%", ("shop",)),)
    return Prepare("mariadb", "11.8", 512, 1, certificate, (DatabaseSpec("shop"),), users)


@pytest.fixture
def guest(disk: loops.Disk, order: Prepare) -> Iterator[Guest]:
    """A guest whose server runs on the disk, with a row in it."""
    with engine_guest.running("mariadb", "11.8") as guest:
        guest.call("be_agent", str(disk.path))
        assert guest.order("prepare", order).health.service is ServiceStatus.HEALTHY
        ask(guest, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)")
        yield guest


def ask(guest: Guest, *statements: str) -> object:
    return guest.query("ann", "xyzzy", *statements, database="shop")


def test_a_volume_grows_while_its_server_is_stopped(guest: Guest, disk: loops.Disk) -> None:
    guest.order("release_volume")
    guest.order("release_volume")
    health = guest.order("ping")
    assert (health.service, health.volume_total) == (ServiceStatus.SHUTDOWN, 0)
    with disk.detached():
        with pytest.raises(errors.Unavailable):
            guest.order("take_volume")
        disk.resize(LARGE)
    guest.call("die")
    guest.call("be_agent", str(disk.path))
    assert guest.call("pid") is None
    assert guest.order("take_volume").service is ServiceStatus.HEALTHY
    assert guest.order("take_volume").service is ServiceStatus.HEALTHY
    assert guest.order("grow_volume", VolumeGrowth(LARGE)).total > SMALL
    assert ask(guest, "SELECT id FROM t") == [["7"]]


def test_the_next_life_of_the_agent_goes_on_with_the_volume(guest: Guest, disk: loops.Disk) -> None:
    pid = guest.call("pid")
    guest.call("die")
    guest.call("be_agent", str(disk.path))
    assert guest.order("ping").service is ServiceStatus.HEALTHY
    assert guest.call("pid") == pid


def test_a_guest_that_is_booted_anew_starts_its_server_on_the_volume(
    guest: Guest, disk: loops.Disk
) -> None:
    guest.call("die")
    guest.call("stop")
    guest.call("run", "umount", VOLUME)
    guest.call("be_agent", str(disk.path))
    hosts.wait(lambda: guest.order("ping").service is ServiceStatus.HEALTHY)
    assert ask(guest, "SELECT id FROM t") == [["7"]]


def test_a_server_whose_volume_broke_off_comes_back_with_it(guest: Guest, disk: loops.Disk) -> None:
    guest.call("run", "xfs_io", "-x", "-c", "shutdown", VOLUME)
    with pytest.raises(Refused):
        ask(guest, "INSERT INTO t VALUES (8)")
    guest.call("die")
    with disk.detached():
        guest.call("be_agent")
        with pytest.raises(errors.Unavailable, match="not attached"):
            guest.order("restart")
        guest.call("die")
    guest.call("be_agent", str(disk.path))
    assert guest.order("restart").service is ServiceStatus.HEALTHY
    assert ask(guest, "SELECT id FROM t WHERE id = 7") == [["7"]]


def test_an_archive_goes_on_when_a_guest_is_booted_anew_or_its_volume_was_away(
    guest: Guest, disk: loops.Disk
) -> None:
    at = str(guest.call("store"))
    leave = Grant("local", "PUT", Secret(f"{at}/log-i/s/{{name}}?method=PUT&signature=good"))
    guest.order("archive", ArchiveOrder("binlog", "i", "s", Secret("5e" * 32), leave))
    first = archived(guest)
    guest.call("die")
    guest.call("stop")
    guest.call("run", "umount", VOLUME)
    guest.call("be_agent")  # the disk comes later
    time.sleep(1.5)
    guest.call("die")
    guest.call("be_agent", str(disk.path))
    hosts.wait(lambda: guest.order("ping").service is ServiceStatus.HEALTHY)
    second = archived(guest)
    guest.order("release_volume")
    time.sleep(1.5)
    with pytest.raises(errors.Unavailable):
        guest.order("archive", ArchiveOrder("binlog", "i", "t", Secret("5e" * 32), leave))
    guest.order("take_volume")
    assert first < second < archived(guest)


def archived(guest: Guest) -> int:
    """Have something committed and archived; return how many objects there are then."""
    ask(guest, "INSERT INTO t VALUES (1)")
    now = time.time() + 0.2
    expired = time.monotonic() + 20
    while not (said := guest.call("archived")) or said["until"] < now or said["ended"]:
        assert time.monotonic() < expired, said
        time.sleep(0.1)
    return int(said["sequence"])
