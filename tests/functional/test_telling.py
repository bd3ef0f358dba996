"""What a running stack tells of itself: figures of every service, and notifications on the bus."""

import http.client
import json
import time
from base64 import b64encode
from collections.abc import Iterator
from typing import Any

import pytest

from dbaas.manage.stack import credentials, lifecycle
from tests.functional import place
from tests.functional import stack as stacks
from tests.functional.stack import DATABASE, USER, Stack

API, CONDUCTOR, TASK_MANAGER = lifecycle.SERVICES


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """A stack of its own, whose operator wants notifications; two task managers."""
    with (
        place.network_namespace() as namespace,
        place.inside(namespace),
        stacks.directory() as made,
    ):
        (made.directory / "local.conf").write_text("[notifications]\nenabled = true\n")
        made.command("up", "--count", f"{TASK_MANAGER}=2")
        yield made
        made.command("down")
        stacks.assert_nothing_left(made)


def notifications(stack: Stack, priority: str) -> list[dict[str, Any]]:
    """Take what waits on the bus, by RabbitMQ's management API."""
    login = f"{credentials.BROKER_USER}:{credentials.ensure(stack.plan).broker.reveal()}"
    connection = http.client.HTTPConnection("127.0.0.1", stack.plan.ports.management, timeout=30)
    try:
        connection.request(
            "POST",
            f"/api/queues/ctl/notifications.{priority}/get",
            json.dumps({"count": 1000, "ackmode": "ack_requeue_false", "encoding": "auto"}),
            {
                "Authorization": f"Basic {b64encode(login.encode()).decode()}",
                "Content-Type": "application/json",
            },
        )
        answer = connection.getresponse()
        content = json.loads(answer.read())
    finally:
        connection.close()
    if answer.status == http.client.NOT_FOUND:
        return []  # there is no queue before the first one
    assert answer.status == http.client.OK, content
    return [json.loads(json.loads(item["payload"])["oslo.message"]) for item in content]


def told(stack: Stack, *events: str) -> dict[str, dict[str, Any]]:
    """Wait for these events; return their payloads."""
    found: dict[str, dict[str, Any]] = {}
    deadline = time.monotonic() + 30
    while not found.keys() >= {*events}:
        for priority in ("info", "error"):
            for item in notifications(stack, priority):
                found[item["event_type"]] = item["payload"]
        assert time.monotonic() < deadline, found.keys()
        time.sleep(0.1)
    return found


@pytest.fixture(scope="module")
def instance_id(stack: Stack) -> str:
    id_ = stack.create("orders")
    stack.wait_until(id_, "ACTIVE")
    return id_


def test_a_creation_and_what_follows_is_told_from_beginning_to_end(
    stack: Stack, instance_id: str
) -> None:
    heard = told(stack, "dbaas.instance_create.start", "dbaas.instance_create.end")
    start, end = heard["dbaas.instance_create.start"], heard["dbaas.instance_create.end"]
    assert start["name"] == "orders"
    assert (start["databases"], start["users"]) == (DATABASE, USER)
    assert (start["server_type"], end["server_type"]) == ("api", "taskmanager")
    assert end["instance_id"] == instance_id
    assert end["tenant_id"] == start["tenant_id"] == stack.user().project_id
    assert end["request_id"] == start["request_id"]
    path = f"instances/{instance_id}/databases"
    assert stack.request("POST", path, {"databases": [{"name": "more"}]}).status == 202
    heard = told(stack, "dbaas.database_create.start", "dbaas.database_create.end")
    assert heard["dbaas.database_create.end"]["dbname"] == "more"


def test_a_request_that_an_engine_refuses_is_told_as_an_error(
    stack: Stack, instance_id: str
) -> None:
    answer = stack.request("DELETE", f"instances/{instance_id}/databases/none")
    assert answer.status == 404
    payload = told(stack, "dbaas.database_delete.error")["dbaas.database_delete.error"]
    assert payload["instance_id"] == instance_id
    assert payload["message"] == answer.body["itemNotFound"]["message"]


def test_the_api_counts_the_requests_of_all_its_workers(stack: Stack, instance_id: str) -> None:
    route = "/v1.0/{project}/flavors/{flavor}"
    before = stack.figures(API)["dbaas_api_requests_total"].get(("404", "GET", route), 0)
    for _ in range(40):
        stack.request("GET", "flavors/none")
    after = {stack.figures(API)["dbaas_api_requests_total"]["404", "GET", route] for _ in range(9)}
    assert after == {before + 40}, "each worker answers for itself"


def test_task_managers_count_what_they_did_and_what_there_is(
    stack: Stack, instance_id: str
) -> None:
    shown = [stack.figures(TASK_MANAGER), stack.figures(f"{TASK_MANAGER}-2")]
    done = [one.get("dbaas_operations_total", {}) for one in shown]
    assert sum(one.get(("create_instance", "succeeded"), 0) for one in done) == 1
    steps: dict[tuple[str, ...], float] = {}
    for one in shown:
        steps |= one.get("dbaas_steps_total", {})
    assert {outcome for kind, outcome, _ in steps if kind == "create_instance"} >= {"done"}
    seconds = [one.get("dbaas_operation_seconds_sum", {}) for one in shown]
    assert 0 < sum(one.get(("create_instance", "succeeded"), 0) for one in seconds) < 60
    calls = [one.get("dbaas_cloud_seconds_count", {}) for one in shown]
    assert sum(one.get(("create_server", "done"), 0) for one in calls) == 1
    for one in shown:
        assert one["dbaas_instances"] == {("ACTIVE",): 1}
        assert sum(one["dbaas_guests"].values()) == 1
        assert one["dbaas_silent_guests"] == {(): 0}
        assert one["dbaas_quota_in_use"]["instances",] == 1


def test_the_conductor_counts_what_guests_say_and_what_waits(
    stack: Stack, instance_id: str
) -> None:
    shown = stack.figures(CONDUCTOR)
    heard = shown["dbaas_guest_events_total"]
    assert heard["heartbeat",] >= 1
    assert heard["result",] >= 2
    assert shown["dbaas_guest_batch_seconds_count"][()] >= 1
    assert set(shown["dbaas_guest_bus_messages"]) == {("commands",), ("events",)}


def test_nothing_that_is_shown_names_a_tenant(stack: Stack, instance_id: str) -> None:
    for program in (API, CONDUCTOR, TASK_MANAGER):
        for labels in stack.figures(program).values():
            words = {word for key in labels for word in key}
            assert words.isdisjoint({instance_id, stack.user().project_id, "orders", DATABASE})
