"""Two whole stacks on one host, as two checkouts have them, do not know of each other."""

import http.client
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pymysql
import pytest

from tests.functional import place
from tests.functional import stack as stacks
from tests.functional.stack import Stack


@pytest.fixture
def two() -> Iterator[tuple[Stack, Stack]]:
    with (
        place.network_namespace() as made,
        place.inside(made),
        stacks.directory() as one,
        stacks.directory() as other,
    ):
        one.command("up")
        other.command("up")
        yield one, other
        one.command("down")
        other.command("down")
        stacks.assert_nothing_left(one)
        stacks.assert_nothing_left(other)


def test_each_of_two_stacks_does_its_job_and_leaves_the_other_alone(
    two: tuple[Stack, Stack],
) -> None:
    one, other = two
    with ThreadPoolExecutor(2) as pool:
        made = list(pool.map(lambda stack: stack.create("here"), two))
    shown = [stack.wait_until(id_, "ACTIVE") for stack, id_ in zip(two, made, strict=True)]
    assert one.request("GET", f"instances/{made[1]}").status == http.client.NOT_FOUND
    with one.database(shown[0]) as first, other.database(shown[1]) as second:
        one.command("down")  # all of it, its guest too
        with pytest.raises(pymysql.err.OperationalError), first.cursor() as cursor:
            cursor.execute("SELECT 1")
        with second.cursor() as cursor:
            cursor.execute("SELECT 1")
    answer = other.request("POST", f"instances/{made[1]}/action", {"restart": {}})
    assert answer.status == http.client.ACCEPTED
    other.wait_until(made[1], "ACTIVE")
    audit = other.manage("audit", check=False)
    assert audit.returncode == 0, audit.stdout
