"""Makes and removes instances for the benchmarks, as a tenant does."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import pymysql

from dbaas.manage.stack import credentials
from tests.chaos import requests
from tests.functional.stack import Stack

PATIENCE = 120.0
PAUSE = 0.03
"""Seconds between two looks of a client that waits for an instance."""


@contextmanager
def enough_quota(stack: Stack) -> Iterator[None]:
    """Let the tenant have any number of instances meanwhile."""
    path = f"mgmt/quotas/{stack.user().project_id}"
    found = stack.request("GET", path, user="admin").body["quotas"]
    before = {each["resource"]: each["limit"] for each in found}
    stack.request("PUT", path, {"quotas": dict.fromkeys(before, -1)}, user="admin")
    try:
        yield
    finally:
        stack.request("PUT", path, {"quotas": before}, user="admin")


def seconds_to_first_query(stack: Stack, pause: float = PAUSE) -> tuple[str, float]:
    """Create an instance and query it as its user; return its id, and the seconds from the POST."""
    began = time.monotonic()
    instance = requests.create_instance(_Api(stack), "bench")
    shown: dict[str, Any] = {}
    while shown.get("status") != "ACTIVE":
        shown = stack.request("GET", f"instances/{instance}").body["instance"]
        assert shown["status"] != "ERROR", shown
        assert time.monotonic() - began < PATIENCE
        time.sleep(pause)
    _query(stack, shown["ip"][0])
    return instance, time.monotonic() - began


def _query(stack: Stack, host: str) -> None:
    link = pymysql.connect(
        host=host,
        user=requests.USER,
        password=requests.PASSWORD,
        database=requests.DATABASE,
        ssl={"ca": str(credentials.authority_files(stack.plan)[0])},
        connect_timeout=10,
    )
    with link, link.cursor() as cursor:
        cursor.execute("SELECT 1")


def delete(stack: Stack, instances: Sequence[str]) -> None:
    """Delete these and return when they are gone."""
    for instance in instances:
        requests.delete_instance(_Api(stack), instance)
    deadline = time.monotonic() + PATIENCE
    for instance in instances:
        while stack.request("GET", f"instances/{instance}").status != 404:
            assert time.monotonic() < deadline
            time.sleep(0.05)


class _Api:
    def __init__(self, stack: Stack) -> None:
        self._stack = stack

    def request(self, method: str, path: str, body: object = None, /) -> Any:
        return self._stack.request(method, path, body)


def steps(stack: Stack, instance: str) -> dict[str, float]:
    """Return how many seconds each step of the instance's creation took, in their order."""
    rows = stack.sql(
        "SELECT s.name, TIMESTAMPDIFF(MICROSECOND, s.started_at, s.finished_at) / 1e6 AS seconds"
        " FROM operation_steps s JOIN operations o ON o.id = s.operation_id"
        f" WHERE o.instance_id = '{instance}' AND o.kind = 'create_instance' ORDER BY s.n"
    )
    waited = stack.sql(
        "SELECT TIMESTAMPDIFF(MICROSECOND, o.created_at, MIN(s.started_at)) / 1e6 AS seconds"
        " FROM operation_steps s JOIN operations o ON o.id = s.operation_id"
        f" WHERE o.instance_id = '{instance}' AND o.kind = 'create_instance'"
    )
    found = {"(until it is begun)": float(waited[0]["seconds"])}
    with suppress(TypeError):
        found |= {str(row["name"]): float(row["seconds"]) for row in rows}
    return found
