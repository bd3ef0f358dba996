"""A task manager dies while an archive's objects are merged, or removed; another one goes on.

Whatever happened, every moment that is told to be one can be gone back to.
"""

import itertools
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

from tests.catalog_server import CatalogServer
from tests.chaos import backup_requests, points, requests
from tests.chaos.backup_requests import shown
from tests.chaos.ground import Ground
from tests.chaos.points import Point

TOGETHER = 3
"""Deaths that may happen to the same operation."""
PATIENCE = 120.0
PAUSE = 0.5
HASTENED = {
    "prune_archive": ("pruned_at", "prune-archives"),
    "compact_archive": ("compacted_at", "compact-archives"),
}
"""What says when it was done last, and whose turn it is: one is not done beside the other."""


@pytest.fixture(scope="module")
def chosen(
    ground: Ground,
    catalog_server: CatalogServer,
    tmp_path_factory: pytest.TempPathFactory,
    thorough: bool,
) -> list[Point]:
    home: Path = tmp_path_factory.mktemp("archives")
    every = points.points_of_archives(catalog_server.fresh(), home)
    return points.sample(every, thorough)


@pytest.fixture
def instance(ground: Ground) -> Iterator[str]:
    made = requests.create_instance(ground, "archived")
    ground.wait_until_done([made], "ACTIVE")
    requests.set_archiving(ground, made)
    ground.wait_until_done([made], "ACTIVE")
    yield made
    ground.delete_all([made])
    ground.assert_nothing_left()


@contextmanager
def writing(ground: Ground, instance: str) -> Iterator[list[int]]:
    """Have numbers written, so that there is something to archive; give those that are kept."""
    kept: list[int] = []
    over = threading.Event()
    with ground.stack.database(ground.details(instance)) as link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE written (n INT PRIMARY KEY)")

        def write() -> None:
            for number in itertools.count(1):
                cursor.execute("INSERT INTO written VALUES (%s)", (number,))
                kept.append(number)
                if over.wait(0.05):
                    return

        writer = threading.Thread(target=write)
        writer.start()
        try:
            yield kept
        finally:
            over.set()
            writer.join()


def die(ground: Ground, chosen: Sequence[Point], kind: str) -> None:
    """Let an hour pass again and again, until a task manager has died at each of these points."""
    column, duty = HASTENED[kind]
    for batch in points.batches(chosen, kind, TOGETHER):
        ground.arm(batch)
        deadline = time.monotonic() + PATIENCE
        while ground.armed():
            assert time.monotonic() < deadline, ground.armed()
            ground.sql(f"UPDATE archives SET created_at = '2026-01-01', {column} = NULL")
            ground.sql(f"DELETE FROM leases WHERE name = '{duty}'")
            time.sleep(PAUSE)


def recovery(ground: Ground, instance: str) -> Any:
    return ground.request("GET", f"instances/{instance}/recovery").body["recovery"]


def test_an_archive_is_kept_small_and_can_be_played(
    ground: Ground, instance: str, chosen: list[Point]
) -> None:
    with writing(ground, instance) as kept:
        die(ground, chosen, "prune_archive")
        backup = backup_requests.create_backup(ground, instance)
        ground.wait_for(lambda: shown(ground, backup)["status"] == "COMPLETED", "a backup")
        die(ground, chosen, "compact_archive")
    last, moment = kept[-1], int(time.time()) + 1
    told = datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    with ground.stack.database(ground.details(instance)) as link, link.cursor() as cursor:
        ground.sleep(1.5)
        cursor.execute("CREATE TABLE later (n INT)")  # what is after the moment makes it known
    ground.wait_for(lambda: (recovery(ground, instance)["latest"] or "") >= told, "the archive")
    ground.wait_until_idle([instance])
    point = {"instanceRef": instance, "time": f"{told}Z"}
    body = requests.order("played") | {"restorePoint": point, "databases": [], "users": []}
    answer = ground.request("POST", "instances", {"instance": body})
    assert answer.status == HTTPStatus.OK, answer.body
    played = str(answer.body["instance"]["id"])
    ground.wait_until_done([played], "ACTIVE")
    ground.wait_until_it_serves(played)
    with ground.stack.database(ground.details(played)) as link, link.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), MAX(n) FROM written")
        assert cursor.fetchone() == (last, last)
    assert ground.stuck() == 0
    ground.delete_all([played])
    backup_requests.delete_backup(ground, backup)
    ground.wait_for(lambda: not shown(ground, backup), "the backup to be gone")
