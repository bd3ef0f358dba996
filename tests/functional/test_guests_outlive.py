"""Guests go on, whatever happens to the services; after `up` everything goes on with them."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.functional.stack import Stack
from tests.functional.writer import Writer


@pytest.fixture(scope="module")
def instance(stack: Stack) -> Iterator[dict[str, Any]]:
    number = stack.create("outlives")
    made = stack.wait_until(number, "ACTIVE")
    with stack.database(made) as link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE written (id INT AUTO_INCREMENT PRIMARY KEY)")
    yield made
    assert stack.request("DELETE", f"instances/{number}").status == 202
    stack.wait_until(number, "GONE")
    audit = stack.manage("audit", check=False)
    assert audit.returncode == 0, audit.stdout


def rows(stack: Stack, instance: dict[str, Any]) -> int:
    with stack.database(instance) as link, link.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM written")
        return int(cursor.fetchone()[0])


def test_a_client_does_not_notice_that_every_service_is_killed(
    stack: Stack, instance: dict[str, Any]
) -> None:
    before = rows(stack, instance)
    link = stack.database(instance)
    writer = Writer(link)
    with link, writer.writing():
        stack.kill_everything()
        killed_at = writer.written
        stack.command("up")
        stack.wait_until(instance["id"], "ACTIVE")
    assert writer.failure is None
    assert writer.written > killed_at
    assert rows(stack, instance) == before + writer.written


def test_after_a_kill_of_every_service_the_instance_can_be_changed(
    stack: Stack, instance: dict[str, Any]
) -> None:
    before = rows(stack, instance)
    stack.kill_everything()
    stack.command("up")
    answer = stack.request("POST", f"instances/{instance['id']}/action", {"restart": {}})
    assert answer.status == 202, answer
    stack.wait_until(instance["id"], "ACTIVE")
    assert rows(stack, instance) == before


def test_a_guest_comes_back_with_its_data_after_down_and_up(
    stack: Stack, instance: dict[str, Any]
) -> None:
    with stack.database(instance) as link, link.cursor() as cursor:
        cursor.execute("INSERT INTO written VALUES ()")
    before = rows(stack, instance)
    stack.command("down")
    assert stack.processes() == []
    stack.command("up")
    shown = stack.wait_until(instance["id"], "ACTIVE")
    assert shown["ip"] == instance["ip"]
    assert rows(stack, instance) == before
