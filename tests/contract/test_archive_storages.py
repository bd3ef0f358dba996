"""An archive in every storage there is: stored by grants, carried on when they end, and played."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbaas.contract import archives, codec
from dbaas.contract.messages import ArchiveOrder, ArchiveReplay, Grant
from dbaas.strategies import registry
from dbaas.strategies.grants.base import Place
from tests.contract import engine_guest
from tests.contract.engine_guest import Guest
from tests.contract.storages import Storage
from tests.contract.test_archive import (
    INSTANCE,
    KEY,
    STREAM,
    base,
    preparation,
    run_on_base,
    said_once,
    stored,
)
from tests.contract.test_storage import PROJECT, RUNNING
from tests.functional import place as network

HOUR = 3600.0
AHEAD = 3
"""Objects for which leave is given at once, where each needs its own."""
MANY = 200


@dataclass
class Archive:
    """The control plane's half: it gives a guest leave."""

    guest: Guest
    storage: Storage

    @property
    def place(self) -> Place:
        account = self.storage.vault.account(PROJECT)
        return Place(account, "database_archives", archives.prefix(INSTANCE, STREAM))

    def leave(self, numbers: Sequence[int], seconds: float = HOUR) -> Grant:
        names = [archives.single_name(number) for number in numbers]
        return self.storage.vault.grant(self.place, "PUT", names, seconds)

    def give(self, grant: Grant) -> None:
        self.guest.order("archive", ArchiveOrder("binlog", INSTANCE, STREAM, KEY, grant))

    def commit(self, *numbers: int) -> None:
        """Have each in an object of its own: what is in a file that is closed is stored at once."""
        for number in numbers:
            self.guest.call("administer", f"INSERT INTO shop.t VALUES ({number})")
            self.guest.call("administer", "FLUSH BINARY LOGS")

    def numbers(self) -> list[int]:
        return sorted(int(name) for name in self.storage.vault.listing(self.place))


@pytest.fixture(params=registry.names("grants"))
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    with engine_guest.running("mariadb", "11.8") as guest:
        guest.call("be_hosted_agent")
        guest.order("prepare", preparation())
        with network.inside(guest.network), RUNNING[request.param](tmp_path) as storage:
            made = Archive(guest, storage)
            storage.vault.ensure(made.place)
            yield made


def test_an_archive_outlives_the_leave_that_it_was_given(archive: Archive) -> None:
    guest = archive.guest
    archive.give(archive.leave(range(1, 1 + AHEAD)))
    place = base(guest)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (n INT)")
    archive.commit(*range(10))
    if guest.call("archived")["wants"]:
        run_out_twice(archive)
        archive.give(archive.leave(range(AHEAD + 1, AHEAD + 1 + MANY)))
    archive.commit(*range(10, 20))
    said = stored(guest, time.time())
    assert (said["fault"], said["wants"]) == ("", 0)
    assert archive.numbers() == list(range(1, said["sequence"] + 1))
    assert said["sequence"] > 5 * AHEAD
    replay(archive, place, said["sequence"])
    run_on_base(guest)
    rows = guest.call("administer", "SELECT n FROM shop.t ORDER BY n")
    assert [int(n) for (n,) in rows] == list(range(20))


def run_out_twice(archive: Archive) -> None:
    """Have the leave end by its numbers, and that for the next ones by its time."""
    assert "leave to store more has run out" in said_once(archive.guest, "fault")["fault"]
    assert archive.numbers() == list(range(1, AHEAD + 1))
    late = archive.leave(range(AHEAD + 1, AHEAD + 1 + MANY), seconds=1.0)
    assert archive.guest.call("archived")["wants"] == AHEAD + 1
    time.sleep(3.0)
    archive.give(late)
    time.sleep(3.0)
    said = archive.guest.call("archived")
    assert (said["sequence"], said["wants"]) == (AHEAD, AHEAD + 1)
    assert said["fault"] != ""


def replay(archive: Archive, begin: str, last: int) -> None:
    names = [archives.single_name(number) for number in range(1, last + 1)]
    leave = archive.storage.vault.grant(archive.place, "GET", names, HOUR)
    runs, until = (f"1-{last}",), time.time()
    order = ArchiveReplay("binlog", INSTANCE, STREAM, KEY, leave, runs, begin, until)
    archive.guest.call("play", codec.dump(order), "/var/lib/dbaas/volume/base")
