"""The main job of the service, from a request to a database server that answers."""

import http.client
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from dbaas.cloud.base import PortOrder
from dbaas.contract import errors
from dbaas.manage.stack import credentials
from dbaas.manage.stack.guests import provider
from tests.frozen import frozen
from tests.functional.guest import AGENT, Guest
from tests.functional.stack import DATABASE, PASSWORD, USER, Answer, Stack
from tests.functional.writer import Writer

STEPS = (
    "write_credentials", "make_bus_objects", "make_ports", "make_volume", "issue_certificate",
    "boot_server", "introduce", "note_introduction", "retire_first_contact", "prepare_database",
    "show_instance_active",
)  # fmt: skip


@pytest.fixture(scope="module")
def instance(stack: Stack) -> Iterator[dict[str, Any]]:
    made = stack.wait_until(stack.create("main"), "ACTIVE")
    with stack.database(made) as link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE written (id INT AUTO_INCREMENT PRIMARY KEY)")
    yield made
    assert delete(stack, made["id"]).status == http.client.ACCEPTED
    stack.wait_until(made["id"], "GONE")
    audit = stack.manage("audit", check=False)
    assert audit.returncode == 0, audit.stdout


def delete(stack: Stack, instance_id: str) -> Answer:
    return stack.request("DELETE", f"instances/{instance_id}")


def act(stack: Stack, instance_id: str, action: object) -> Answer:
    return stack.request("POST", f"instances/{instance_id}/action", action)


def operations(stack: Stack, instance_id: str) -> list[dict[str, Any]]:
    """Return the instance's operations, the newest first."""
    answer = stack.request("GET", f"operations?instance_id={instance_id}")
    listed: list[dict[str, Any]] = answer.body["operations"]
    return listed


def in_use(stack: Stack, user: str) -> dict[str, int]:
    project = stack.user(user).project_id
    quotas = stack.request("GET", f"mgmt/quotas/{project}", user="admin").body["quotas"]
    return {quota["resource"]: quota["in_use"] for quota in quotas}


def set_limit(stack: Stack, user: str, instances: int) -> None:
    body = {"quotas": {"instances": instances}}
    project = stack.user(user).project_id
    assert stack.request("PUT", f"mgmt/quotas/{project}", body, user="admin").status == 200


def until_failed(stack: Stack, instance_id: str, seconds: float = 60.0) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        instance: dict[str, Any] = stack.request("GET", f"instances/{instance_id}").body["instance"]
        if instance["status"] == "ERROR":
            return instance
        assert instance["status"] == "BUILD", instance
        assert time.monotonic() < deadline, instance
        time.sleep(0.05)


def test_an_active_instance_answers_the_mariadb_client(
    stack: Stack, instance: dict[str, Any]
) -> None:
    authority = credentials.authority_files(stack.plan)[0]
    query = "SELECT CURRENT_USER(), @@version, @@have_ssl"
    done = subprocess.run(
        [
            "mariadb", "--no-defaults", "--batch", "--skip-column-names",
            f"--host={instance['ip'][0]}", f"--user={USER}", f"--password={PASSWORD}",
            f"--ssl-ca={authority}", "--ssl-verify-server-cert", DATABASE, f"--execute={query}",
        ],
        check=True,
        capture_output=True,
        text=True,
    )  # fmt: skip
    user, version, tls = done.stdout.strip().split("\t")
    assert user == f"{USER}@%"
    assert version.startswith("11.8")
    assert tls == "YES"


def test_an_operation_shows_its_steps_and_its_progress(
    stack: Stack, instance: dict[str, Any]
) -> None:
    created = operations(stack, instance["id"])[-1]
    assert (created["kind"], created["state"], created["fault"]) == (
        "create_instance",
        "succeeded",
        None,
    )
    assert created["progress"] == 1.0
    assert [step["name"] for step in created["steps"]] == list(STEPS)
    assert {step["state"] for step in created["steps"]} == {"done"}
    assert stack.request("GET", f"operations/{created['id']}").body["operation"] == created
    others = stack.request("GET", f"operations/{created['id']}", user="admin")
    assert others.body["operation"]["tenant_id"] == stack.user().project_id


def test_steps_and_progress_are_seen_while_an_instance_is_built(stack: Stack) -> None:
    number = stack.create("watched")
    progress: list[float] = []
    while not progress or progress[-1] < 1.0:
        progress.append(operations(stack, number)[0]["progress"])
        time.sleep(0.01)
    assert progress == sorted(progress)
    assert len(set(progress)) > 2
    assert delete(stack, number).status == http.client.ACCEPTED
    stack.wait_until(number, "GONE")


def test_a_renamed_instance_keeps_its_data_and_its_id(
    stack: Stack, instance: dict[str, Any]
) -> None:
    answer = stack.request("PUT", f"instances/{instance['id']}", {"instance": {"name": "new name"}})
    assert answer.status == http.client.ACCEPTED
    listed = stack.request("GET", "instances").body["instances"]
    assert [one["id"] for one in listed if one["name"] == "new name"] == [instance["id"]]


def test_a_second_change_is_refused_while_the_first_runs(
    stack: Stack, instance: dict[str, Any]
) -> None:
    with frozen(*Guest(stack, instance["id"]).processes(AGENT)):
        first = act(stack, instance["id"], {"restart": {}})
        second = act(stack, instance["id"], {"resize": {"volume": {"size": 2}}})
    assert first.status == http.client.ACCEPTED
    assert second.status == http.client.UNPROCESSABLE_ENTITY
    assert second.body["unprocessableEntity"]["message"] == (
        f"Instance {instance['id']} is not currently available for an action to be performed "
        "(task status was REBOOTING)."
    )
    assert stack.wait_until(instance["id"], "ACTIVE")["operating_status"] == "HEALTHY"


def test_the_volume_grows_and_every_service_restarts_while_a_client_writes(
    stack: Stack, instance: dict[str, Any]
) -> None:
    link = stack.database(instance)
    writer = Writer(link)
    size = int(instance["volume"]["size"]) + 1
    with link, writer.writing():
        grown = act(stack, instance["id"], {"resize": {"volume": {"size": size}}})
        assert grown.status == http.client.ACCEPTED, grown
        stack.wait_until(instance["id"], "ACTIVE")
        at_growth = writer.written
        stack.command("restart")
        shown = stack.wait_until(instance["id"], "ACTIVE")
    assert writer.failure is None
    assert 0 < at_growth < writer.written
    assert shown["volume"]["size"] == size
    with stack.database(instance) as again, again.cursor() as cursor:
        cursor.execute("SELECT COUNT(*) FROM written")
        assert cursor.fetchone() == (writer.written,)


def test_a_second_delete_finds_the_first(stack: Stack) -> None:
    number = stack.create("twice")
    stack.wait_until(number, "ACTIVE")
    answers = [delete(stack, number).status for _ in range(2)]
    assert answers == [http.client.ACCEPTED] * 2
    stack.wait_until(number, "GONE")
    assert delete(stack, number).status == http.client.NOT_FOUND
    kinds = [operation["kind"] for operation in operations(stack, number)]
    assert kinds == ["delete_instance", "create_instance"]


def test_an_instance_is_deleted_by_force_at_any_moment_of_its_build(stack: Stack) -> None:
    moments = (0.0, 0.15, 0.3, 0.45, 0.6)

    def build_and_force(moment: float) -> str:
        number = stack.create(f"forced at {moment}")
        plain = delete(stack, number)
        assert plain.status == http.client.UNPROCESSABLE_ENTITY
        assert plain.body["unprocessableEntity"]["message"] == (
            f"Instance {number} is not ready. (Status is BUILD)"
        )
        time.sleep(moment)
        forced = act(stack, number, {"reset_status": {"force_delete": True}})
        assert forced.status == http.client.ACCEPTED, forced
        assert delete(stack, number).status == http.client.ACCEPTED
        stack.wait_until(number, "GONE")
        return number

    before = in_use(stack, "demo")
    with ThreadPoolExecutor(len(moments)) as pool:
        for number in pool.map(build_and_force, moments):
            assert {one["state"] for one in operations(stack, number)} <= {"succeeded", "cancelled"}
    assert in_use(stack, "demo") == before


def test_a_create_that_the_database_server_refuses_ends_in_an_explained_error(
    stack: Stack,
) -> None:
    before = stack.sql("SELECT name FROM ledger WHERE gone_at IS NULL")
    number = stack.create(
        "refused",
        databases=[{"name": "a", "character_set": "utf8mb4", "collate": "utf8mb4_martian_ci"}],
        users=[],
    )
    shown = until_failed(stack, number)
    assert shown["fault"]["message"].startswith("Could not create instance: ")
    assert "utf8mb4_martian_ci" in shown["fault"]["message"]
    assert "What it had done was undone" in shown["fault"]["message"]
    failed = operations(stack, number)[0]
    assert failed["state"] == "failed"
    assert "utf8mb4_martian_ci" in failed["fault"]["message"]
    assert "undone" in {step["state"] for step in failed["steps"]}
    assert stack.sql("SELECT name FROM ledger WHERE gone_at IS NULL") == before
    actions: tuple[object, ...] = ({"restart": {}}, {"resize": {"volume": {"size": 2}}})
    for action in actions:
        refused = act(stack, number, action)
        assert refused.status == http.client.UNPROCESSABLE_ENTITY
        assert "instance status was ERROR" in refused.body["unprocessableEntity"]["message"]
    assert delete(stack, number).status == http.client.ACCEPTED
    stack.wait_until(number, "GONE")


def test_a_create_without_a_free_address_ends_in_an_explained_error(stack: Stack) -> None:
    networks = provider(stack.plan).networks
    taken: list[str] = []
    try:
        with suppress(errors.OverQuota):
            while True:
                networks.create_port(PortOrder(f"taken-{len(taken)}"))
                taken.append(f"taken-{len(taken)}")
        number = stack.create("nowhere")
        fault = until_failed(stack, number)["fault"]["message"]
    finally:
        for name in taken:
            networks.delete_port(name)
    assert f"every address of {stack.plan.subnet} is taken" in fault
    assert delete(stack, number).status == http.client.ACCEPTED
    stack.wait_until(number, "GONE")


def test_of_many_creates_at_once_exactly_as_many_as_the_quota_allows_are_accepted(
    stack: Stack,
) -> None:
    before = in_use(stack, "demo")
    set_limit(stack, "demo", before["instances"] + 3)
    order = {"instance": {"name": "crowd", "flavorRef": "1", "volume": {"size": 2}}}
    start = threading.Barrier(20)

    def create(_: int) -> Answer:
        start.wait()
        return stack.request("POST", "instances", order)

    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(create, range(20)))
    accepted = [one.body["instance"]["id"] for one in answers if one.status == http.client.OK]
    refused = [one for one in answers if one.status != http.client.OK]
    assert len(accepted) == 3
    assert {one.status for one in refused} == {http.client.REQUEST_ENTITY_TOO_LARGE}
    assert {one.body["overLimit"]["message"] for one in refused} == {
        "Quota exceeded for resources: ['instances']."
    }
    charged = {"instances": 3, "ram": 1536, "volumes": 6, "backups": 0}
    assert in_use(stack, "demo") == {name: before[name] + n for name, n in charged.items()}
    for number in accepted:
        stack.wait_until(number, "ACTIVE")
    with ThreadPoolExecutor(6) as pool:  # each twice, and given back once
        assert set(pool.map(lambda id_: delete(stack, id_).status, accepted * 2)) <= {202, 404}
    for number in accepted:
        stack.wait_until(number, "GONE")
    assert in_use(stack, "demo") == before
    set_limit(stack, "demo", 10)


def test_a_repeated_request_with_its_key_makes_one_instance(stack: Stack) -> None:
    order = {"instance": {"name": "once", "flavorRef": "1", "volume": {"size": 1}}}
    key = {"Idempotency-Key": "3f0e0d5c-once"}
    before = in_use(stack, "demo")

    def create(_: int) -> Answer:
        return stack.request("POST", "instances", order, headers=key)

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(create, range(8)))
    assert {answer.status for answer in answers} == {http.client.OK}
    (number,) = {answer.body["instance"]["id"] for answer in answers}
    stack.wait_until(number, "ACTIVE")
    assert create(0).body == answers[0].body
    assert in_use(stack, "demo")["instances"] == before["instances"] + 1
    other = {"instance": order["instance"] | {"name": "another"}}
    refused = stack.request("POST", "instances", other, headers=key)
    assert refused.status == http.client.UNPROCESSABLE_ENTITY
    assert delete(stack, number).status == http.client.ACCEPTED
    stack.wait_until(number, "GONE")
