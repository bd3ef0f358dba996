"""A table is dropped, and a new instance is what the old one was a second before.

Meanwhile the archive's objects are merged, every few seconds instead of every hour.
"""

import datetime
import json
import threading
import time
from typing import Any

import pymysql

from tests.functional.stack import Stack
from tests.functional.test_backups import back_up

PATIENCE = 300.0


def wait_for(stack: Stack, instance: str, moment: float) -> None:
    """Wait until the instance can be restored to that moment."""
    expired = time.monotonic() + PATIENCE
    while True:
        shown = stack.request("GET", f"instances/{instance}/recovery").body["recovery"]
        if shown["latest"] and seconds(shown["latest"]) >= moment:
            return
        assert time.monotonic() < expired, shown
        time.sleep(0.2)


def wait_for_merged_objects(stack: Stack, instance: str) -> None:
    """Wait until the storage has the archive in merged objects, and no small ones but the last."""
    expired = time.monotonic() + PATIENCE
    while True:
        names = objects(stack, instance)
        merged = [name for name in names if "-" in name]
        if merged and len(names) - len(merged) <= 1:
            return
        assert time.monotonic() < expired, names
        time.sleep(0.2)


def objects(stack: Stack, instance: str) -> list[str]:
    """Return the names of what its archive has in the storage, in order."""
    return sorted(path.name for path in stack.plan.backups.rglob(f"log-{instance}/*/*"))


def seconds(text: str) -> float:
    return datetime.datetime.fromisoformat(text).replace(tzinfo=datetime.UTC).timestamp()


def stamp(link: "pymysql.Connection[Any]", over: threading.Event) -> None:
    """Write a row every hundredth of a second, each with its own time."""
    with link.cursor() as cursor:
        while not over.wait(0.01):
            cursor.execute("INSERT INTO stamps (at) VALUES (%s)", (time.time(),))


def write_for(length: float, stack: Stack, instance: Any) -> None:
    over = threading.Event()
    with stack.database(instance) as link:
        writer = threading.Thread(target=stamp, args=(link, over))
        writer.start()
        time.sleep(length)
        over.set()
        writer.join()


def write_until_first_objects_are_gone(stack: Stack, instance: Any) -> None:
    """Write until that is gone of the archive which a backup that begins now does not need."""
    expired = time.monotonic() + PATIENCE
    while not (names := objects(stack, instance["id"])) or int(names[0][:10]) == 1:
        assert time.monotonic() < expired, names
        write_for(3.0, stack, instance)


def test_a_dropped_table_comes_back_as_it_was_a_second_before(stack: Stack) -> None:
    source = stack.wait_until(stack.create("logged", flavorRef="2"), "ACTIVE", PATIENCE)
    stack.tenant("archive", "on", "logged")
    with stack.database(source) as link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE stamps (n INT PRIMARY KEY AUTO_INCREMENT, at DOUBLE)")
        write_until_first_objects_are_gone(stack, source)
        backup = back_up(stack, "base", instance=source["id"])
        write_for(8.0, stack, source)
        dropped = time.time()
        cursor.execute("DROP TABLE stamps")
    target = int(dropped) - 1
    wait_for(stack, source["id"], target)
    wait_for_merged_objects(stack, source["id"])
    told = datetime.datetime.fromtimestamp(target, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert json.loads(stack.tenant("archive", "show", "logged").stdout)["archiving"]
    point = ("--instance", "logged", "--time", told)
    made = stack.tenant("instance", "create", "back", "--flavor", "2", "--size", "2", *point)
    restored = stack.wait_until(made.stdout.split()[0], "ACTIVE", PATIENCE)
    with stack.database(restored) as link, link.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), MAX(n), MAX(at) FROM stamps")
        count, last, at = cursor.fetchone() or (0, 0, 0.0)
    assert count == last > 100
    assert target - 1.0 <= at <= target
    stack.tenant("archive", "off", "logged")
    for id_ in (source["id"], restored["id"]):
        stack.request("DELETE", f"instances/{id_}")
        stack.wait_until(id_, "GONE")
    stack.request("DELETE", f"backups/{backup['id']}")
