"""A task manager dies at every point of every flow that is about backups; another one goes on.

A backup that is called complete can be restored, whatever happened while it was made; nothing of
those that are not stays in the storage, or locks the engine.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.catalog_server import CatalogServer
from tests.chaos import backup_requests, points
from tests.chaos.backup_requests import shown
from tests.chaos.ground import Ground, create_many
from tests.chaos.points import Point

PATIENCE = 240.0
"""Seconds for a verification, in which an instance is made, and a task manager dies."""
TOGETHER = 3
"""Deaths that may happen at the same time."""


@pytest.fixture(scope="module")
def chosen(
    ground: Ground,
    catalog_server: CatalogServer,
    tmp_path_factory: pytest.TempPathFactory,
    thorough: bool,
) -> list[Point]:
    home: Path = tmp_path_factory.mktemp("backups")
    every = points.points_of_backups(catalog_server.fresh(), home)
    return points.sample(every, thorough)


@pytest.fixture
def instances(ground: Ground) -> Iterator[list[str]]:
    made = create_many(ground, TOGETHER)
    ground.wait_until_done(made, "ACTIVE")
    yield made
    ground.delete_all(made)
    ground.assert_nothing_left()


def wait_until_stored(ground: Ground, backups: Sequence[str]) -> None:
    def stored() -> bool:
        states = {str(shown(ground, one)["status"]) for one in backups}
        assert "FAILED" not in states, [shown(ground, one) for one in backups]
        return states == {"COMPLETED"}

    ground.wait_for(stored, "backups to be complete")


def wait_until_gone(ground: Ground, backups: Sequence[str]) -> None:
    ground.wait_for(lambda: not any(shown(ground, one) for one in backups), "backups to be gone")


def verified(ground: Ground, backup: str) -> bool:
    verification = shown(ground, backup).get("verification")
    assert verification is None or verification["restorable"], verification
    return verification is not None


def wait_until_verified(ground: Ground, backup: str) -> None:
    ground.wait_for(lambda: verified(ground, backup), "a verification", PATIENCE)


def back_up(ground: Ground, instances: Sequence[str], parents: Sequence[str] = ()) -> list[str]:
    builds_on = parents or [""] * len(instances)
    made = [
        backup_requests.create_backup(ground, instance, parent)
        for instance, parent in zip(instances, builds_on, strict=True)
    ]
    wait_until_stored(ground, made)
    return made


def delete(ground: Ground, backups: Sequence[str]) -> None:
    for backup in backups:
        backup_requests.delete_backup(ground, backup)
    wait_until_gone(ground, backups)


def test_a_backup_is_made_and_can_be_restored(
    ground: Ground, instances: list[str], chosen: list[Point]
) -> None:
    for batch in points.batches(chosen, "create_backup", TOGETHER):
        ground.arm(batch)
        full = back_up(ground, instances)
        assert ground.armed() == set()
        ground.arm(batch)
        increments = back_up(ground, instances, full)
        assert ground.armed() == set()
        for backup in increments:
            backup_requests.verify_backup(ground, backup)
        for backup in increments:
            wait_until_verified(ground, backup)
        delete(ground, full)
        assert ground.stuck() == 0


def test_an_instance_is_made_of_a_backup(
    ground: Ground, instances: list[str], chosen: list[Point]
) -> None:
    backup, *_ = back_up(ground, instances[:1])
    for batch in points.batches(chosen, "restore_instance", TOGETHER):
        ground.arm(batch)
        restored = [backup_requests.restore_instance(ground, backup) for _ in range(TOGETHER)]
        ground.wait_until_done(restored, "ACTIVE")
        assert ground.armed() == set()
        for instance in restored:
            ground.wait_until_it_serves(instance)
            assert ground.made_twice(instance) == []
        ground.delete_all(restored)
    delete(ground, [backup])


def test_a_backup_is_verified(ground: Ground, instances: list[str], chosen: list[Point]) -> None:
    for batch in points.batches(chosen, "verify_backup", TOGETHER):
        backups = back_up(ground, instances)
        ground.arm(batch)
        for backup in backups:
            backup_requests.verify_backup(ground, backup)
        for backup in backups:
            wait_until_verified(ground, backup)
        assert ground.armed() == set()
        delete(ground, backups)


def test_a_backup_is_deleted_with_what_builds_on_it(
    ground: Ground, instances: list[str], chosen: list[Point]
) -> None:
    for batch in points.batches(chosen, "delete_backups", TOGETHER):
        full = back_up(ground, instances)
        increments = back_up(ground, instances, full)
        ground.arm(batch)
        delete(ground, full)
        assert ground.armed() == set()
        assert not any(shown(ground, one) for one in increments)
    assert ground.usage()["backups"] == 0


def test_an_instance_is_backed_up_and_deleted(ground: Ground, chosen: list[Point]) -> None:
    for batch in points.batches(chosen, "back_up_and_delete_instance", TOGETHER):
        doomed = create_many(ground, TOGETHER)
        ground.wait_until_done(doomed, "ACTIVE")
        ground.arm(batch)
        for instance in doomed:
            backup_requests.back_up_and_delete(ground, instance)
        ground.wait_until_done(doomed, "GONE")
        assert ground.armed() == set()
        backups = [one for each in doomed for one in backup_requests.of_instance(ground, each)]
        assert len(backups) == TOGETHER
        wait_until_stored(ground, backups)
        delete(ground, backups)
