"""Backups by the clients that users have, unmodified, and by the command of ours."""

import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from tests.functional import clients
from tests.functional.clients import Clients, Ran, at_once
from tests.functional.stack import Stack

NAME = "kept"
NOBODY = "11111111-2222-3333-4444-555555555555"
PATIENCE = 120.0

Json = dict[str, Any]


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Clients:
    return Clients(clients.environment(), stack.openrc("demo"))


@pytest.fixture(scope="module")
def instance(stack: Stack) -> Iterator[Json]:
    id_ = stack.create(NAME)
    made = stack.wait_until(id_, "ACTIVE")
    with stack.database(made) as link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n INT PRIMARY KEY)")
        cursor.execute("INSERT INTO t SELECT seq FROM seq_1_to_1000")
    yield made
    if stack.request("DELETE", f"instances/{id_}").status == 202:
        stack.wait_until(id_, "GONE")


@pytest.fixture(scope="module")
def full(instance: Json, tenant: Clients, stack: Stack) -> Json:
    """The full backup, as `create` showed it; it is complete."""
    made: Json = tenant.json(
        "database", "backup", "create", "full", "--instance", NAME, "--description", "before",
        "--swift-container", "cellar",
    )  # fmt: skip
    settled(stack, made["id"])
    return made


@pytest.fixture(scope="module")
def increment(full: Json, tenant: Clients, stack: Stack) -> Json:
    made: Json = tenant.json(
        "database", "backup", "create", "increment", "--instance", NAME, "--parent", full["id"]
    )
    settled(stack, made["id"])
    return made


def settled(stack: Stack, backup_id: str) -> str:
    """Return what becomes of the backup: its status, or `GONE`."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        answer = stack.request("GET", f"backups/{backup_id}")
        if answer.status == 404:
            return "GONE"
        shown = answer.body["backup"]
        if shown["status"] not in ("NEW", "BUILDING"):
            assert shown["status"] in ("COMPLETED", "RESTORED"), shown
            return str(shown["status"])
        time.sleep(0.1)
    raise AssertionError(answer.body)


def gone(stack: Stack, backup_id: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while stack.request("GET", f"backups/{backup_id}").status != 404:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def ours(stack: Stack, *arguments: str) -> Ran:
    """Run `dbaas` as a tenant does."""
    done = stack.tenant(*arguments, check=False)
    return Ran(done.returncode, done.stdout, done.stderr)


def test_create_shows_what_was_asked_for(full: Json, instance: Json) -> None:
    assert (full["name"], full["status"], full["description"]) == ("full", "NEW", "before")
    assert (full["instance_id"], full["parent_id"]) == (instance["id"], None)
    assert (full["datastore"], full["datastore_version"]) == ("mariadb", "11.8")


def test_a_backup_is_shown_by_id_and_by_name_and_listed(
    full: Json, increment: Json, instance: Json, tenant: Clients
) -> None:
    by_id, by_name, listed, of_instance, last, missing = at_once(
        partial(tenant.json, "database", "backup", "show", increment["id"]),
        partial(tenant.json, "database", "backup", "show", "increment"),
        partial(tenant.json, "database", "backup", "list", "--datastore", "mariadb"),
        partial(tenant.json, "database", "backup", "list", "instance", NAME),
        partial(tenant.json, "database", "backup", "list", "--limit", "1"),
        partial(tenant.openstack, "database", "backup", "show", "nothing"),
    )
    assert by_id == by_name
    assert (by_id["status"], by_id["parent_id"]) == ("COMPLETED", full["id"])
    assert by_id["locationRef"].endswith(f"/{increment['id']}/manifest")
    names = [(one["Name"], one["Status"], one["Instance ID"]) for one in of_instance]
    wanted = [(name, "COMPLETED", instance["id"]) for name in ("increment", "full")]
    assert names == wanted
    assert {one["ID"] for one in listed} >= {full["id"], increment["id"]}
    assert len(last) == 1
    assert missing.complaint == "No backup with a name or ID of 'nothing' exists."


def test_a_container_that_was_asked_for_is_where_it_is(full: Json, tenant: Clients) -> None:
    location = tenant.json("database", "backup", "show", full["id"])["locationRef"]
    assert location.endswith(f"/cellar/{full['id']}/manifest")


def test_where_backups_go_is_set_listed_and_forgotten(instance: Json, tenant: Clients) -> None:
    strategy = ("database", "backup", "strategy")
    made = tenant.json(
        *strategy, "create", "--instance-id", instance["id"], "--swift-container", "attic"
    )
    assert (made["instance_id"], made["swift_container"]) == (instance["id"], "attic")
    listed = tenant.json(*strategy, "list", "--instance-id", instance["id"])
    assert [one["Swift Container"] for one in listed] == ["attic"]
    done = tenant.openstack(*strategy, "delete", "--instance-id", instance["id"])
    assert (done.status, done.out) == (0, ""), done
    assert tenant.json(*strategy, "list", "--instance-id", instance["id"]) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("x", "--instance", NAME, "--parent", NOBODY), f"{NOBODY} cannot be found. (HTTP 404)"),
        (("x", "--instance", NAME, "--storage-driver", "tape"), "not 'tape'. (HTTP 400)"),
        (("x", "--instance", NAME, "--swift-container", "a/b"), "(HTTP 400)"),
    ],
)
def test_a_backup_that_cannot_be_is_refused_with_the_reason(
    instance: Json, tenant: Clients, arguments: tuple[str, ...], words: str
) -> None:
    assert words in tenant.openstack("database", "backup", "create", *arguments).complaint


def test_what_is_registered_stays_where_it_is_when_it_is_deleted(
    full: Json, tenant: Clients, stack: Stack
) -> None:
    shown = tenant.json("database", "backup", "show", full["id"])
    made = tenant.json(
        "database", "backup", "create", "found", "--restore-from", shown["locationRef"],
        "--restore-datastore-version", shown["datastore_version_id"], "--restore-size", "1",
    )  # fmt: skip
    assert (made["status"], made["instance_id"]) == ("RESTORED", None)
    assert tenant.openstack("database", "backup", "delete", "found").status == 0
    gone(stack, made["id"])
    verified = ours(stack, "backup", "verify", full["id"])
    assert '"restorable": true' in verified.out, verified


def test_an_instance_begins_with_what_a_backup_holds(
    increment: Json, tenant: Clients, stack: Stack
) -> None:
    made = tenant.json(
        "database", "instance", "create", "again", "--flavor", "1", "--size", "1",
        "--datastore", "mariadb", "--datastore-version", "11.8", "--backup", increment["id"],
    )  # fmt: skip
    shown = stack.wait_until(made["id"], "ACTIVE", PATIENCE)
    with stack.database(shown) as link, link.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), MAX(n) FROM t")
        assert cursor.fetchone() == (1000, 1000)
    stack.request("DELETE", f"instances/{made['id']}")
    stack.wait_until(made["id"], "GONE")


def test_our_command_makes_verifies_and_deletes_a_backup(instance: Json, stack: Stack) -> None:
    made = ours(stack, "backup", "create", NAME, "by-dbaas", "--incremental")
    assert made.status == 0, made
    backup_id, *steps = made.out.splitlines()
    assert steps
    listed = ours(stack, "backup", "list", "--instance", NAME)
    row = next(line for line in listed.out.splitlines() if backup_id in line)
    assert "COMPLETED" in row
    verified = ours(stack, "backup", "verify", "by-dbaas")
    assert verified.status == 0, verified
    assert '"restorable": true' in verified.out
    assert '"verified_at": "20' in ours(stack, "backup", "show", backup_id).out
    deleted = ours(stack, "backup", "delete", "by-dbaas")
    assert deleted.status == 0, deleted
    missing = ours(stack, "backup", "show", "by-dbaas")
    assert missing.complaint == "dbaas: there is no backup by-dbaas"


def test_backups_outlive_their_instance_and_go_with_those_that_build_on_them(
    full: Json, increment: Json, instance: Json, tenant: Clients, stack: Stack
) -> None:
    stack.request("DELETE", f"instances/{instance['id']}")
    stack.wait_until(instance["id"], "GONE")
    assert tenant.json("database", "backup", "show", "full")["status"] == "COMPLETED"
    done = tenant.openstack("database", "backup", "delete", "full")
    assert (done.status, done.err) == (0, ""), done
    assert f"{full['id']} has been accepted" in done.out
    gone(stack, full["id"])
    gone(stack, increment["id"])
