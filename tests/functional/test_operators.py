"""What operators and tenants do at a command line, above all when something went wrong."""

import http.client
import json
import os
import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import pymysql
import pytest

from dbaas.cloud.base import VolumeOrder
from dbaas.contract.operations import LedgerKind
from dbaas.contract.secret import Secret
from tests.frozen import frozen
from tests.functional.guest import SERVER, Guest, management, services
from tests.functional.stack import Stack


@pytest.fixture(scope="module")
def instance(stack: Stack) -> Iterator[dict[str, Any]]:
    made = stack.wait_until(stack.create("operated"), "ACTIVE")
    yield made
    assert stack.request("DELETE", f"instances/{made['id']}").status == http.client.ACCEPTED
    stack.wait_until(made["id"], "GONE")
    assert audit(stack) == (0, [])


def audit(stack: Stack) -> tuple[int, list[tuple[str, ...]]]:
    """Return the exit status, and the lines of the table of differences."""
    done = stack.manage("audit", check=False)
    lines = [line for line in done.stdout.splitlines() if line.startswith("│")]
    return done.returncode, [
        tuple(cell.strip() for cell in line.strip("│").split("│")) for line in lines
    ]


def newest(stack: Stack, instance_id: str) -> dict[str, Any]:
    found: dict[str, Any] = stack.request("GET", f"operations?instance_id={instance_id}").body
    first: dict[str, Any] = found["operations"][0]
    return first


def until(stack: Stack, operation_id: str, state: str, seconds: float = 60.0) -> dict[str, Any]:
    deadline = time.monotonic() + seconds
    while True:
        shown: dict[str, Any] = stack.request("GET", f"operations/{operation_id}").body["operation"]
        if shown["state"] == state:
            return shown
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)


@contextmanager
def a_server_that_cannot_start(guest: Guest) -> Iterator[None]:
    """Have the guest's database server lose what it reads at its start."""
    options = "/etc/dbaas/engine/mariadb/my.cnf"
    guest.run(
        "sh", "-c", f"cp -p {options} {options}.kept; echo '[mariadbd]\nnonsense' >> {options}"
    )
    try:
        yield
    finally:
        guest.run("mv", f"{options}.kept", options)


def parked_restart(stack: Stack, guest: Guest) -> dict[str, Any]:
    """Restart an instance whose server does not come up again; return the operation."""
    with a_server_that_cannot_start(guest):
        path = f"instances/{guest.instance_id}/action"
        answer = stack.request("POST", path, {"restart": {}})
        assert answer.status == http.client.ACCEPTED, answer
        return until(stack, newest(stack, guest.instance_id)["id"], "parked")


def test_a_parked_operation_is_explained_and_retried(
    stack: Stack, instance: dict[str, Any]
) -> None:
    guest = Guest(stack, instance["id"])
    parked = parked_restart(stack, guest)
    shown = stack.request("GET", f"instances/{instance['id']}").body["instance"]
    assert shown["status"] == "ERROR"
    message = shown["fault"]["message"]
    assert message.startswith("Could not restart instance: ")
    assert "nonsense" in message
    assert parked["id"] in message
    assert "delete the instance, or ask the operator" in message

    listed = stack.manage("operation", "list", "--state", "parked").stdout
    assert parked["id"] in listed
    detailed = stack.manage("operation", "show", parked["id"]).stdout
    assert "restart_database" in detailed
    assert "nonsense" in detailed

    stack.manage("operation", "retry", parked["id"])
    ended = until(stack, parked["id"], "succeeded")
    assert ended["fault"] is None
    assert stack.wait_until(instance["id"], "ACTIVE")["operating_status"] == "HEALTHY"
    again = stack.manage("operation", "retry", parked["id"], check=False)
    assert again.returncode != 0
    assert "only a parked one can be" in again.stderr


def test_a_parked_operation_is_abandoned_and_the_instance_reset(
    stack: Stack, instance: dict[str, Any]
) -> None:
    parked = parked_restart(stack, Guest(stack, instance["id"]))
    stack.manage("operation", "abandon", parked["id"])
    assert until(stack, parked["id"], "abandoned")["finished"]
    reset = stack.request(
        "POST", f"instances/{instance['id']}/action", {"reset_status": {}}, user="admin"
    )
    assert reset.status == http.client.ACCEPTED, reset
    until(stack, newest(stack, instance["id"])["id"], "succeeded")
    restart = stack.request("POST", f"instances/{instance['id']}/action", {"restart": {}})
    deadline = time.monotonic() + 30
    while restart.status == http.client.UNPROCESSABLE_ENTITY:  # until the agent started it again
        assert time.monotonic() < deadline, restart
        time.sleep(0.2)
        restart = stack.request("POST", f"instances/{instance['id']}/action", {"restart": {}})
    stack.wait_until(instance["id"], "ACTIVE")


def test_a_database_server_that_was_killed_is_started_again(
    stack: Stack, instance: dict[str, Any]
) -> None:
    guest = Guest(stack, instance["id"])
    before = guest.processes(SERVER)
    assert before
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 60
    while True:
        assert time.monotonic() < deadline, "it does not answer again"
        with suppress(pymysql.err.OperationalError), stack.database(instance) as link:
            link.ping()
            break
        time.sleep(0.1)
    assert not set(guest.processes(SERVER)) & set(before)


def test_the_audit_finds_what_was_made_and_removed_by_hand(
    stack: Stack, instance: dict[str, Any]
) -> None:
    assert audit(stack) == (0, [])
    lost = stack.wait_until(stack.create("lost"), "ACTIVE")
    guest = Guest(stack, lost["id"])
    server, bus = guest.name(LedgerKind.SERVER), guest.name(LedgerKind.BUS)
    stranger = str(uuid.uuid4())
    volume = f"dbaas-{stranger}-vol1"
    credentials = guest.identity()
    # They may make the user again before the audit looks.
    conductors = services(stack, b"dbaas-conductor")
    with management(stack) as broker:
        with frozen(*conductors):
            guest.cloud.compute.delete_server(server)
            guest.cloud.volumes.create_volume(VolumeOrder(volume, 1))
            broker.remove_user(credentials.user)
            broker.add_guest(stranger, f"g-{stranger}", Secret("of-nobody"))
            status, found = audit(stack)
        guest.cloud.volumes.delete_volume(volume)
        broker.remove_guest(stranger, (f"g-{stranger}",))
    assert status == 1
    assert set(found) == {
        ("server", server, "is in the ledger, but not there"),
        ("bus", bus, "is in the ledger, but not there"),
        ("volume", volume, "is there, but not in the ledger"),
        ("bus", f"dbaas-{stranger}-bus?", "is there, but not in the ledger"),
    }
    assert stack.request("DELETE", f"instances/{lost['id']}").status == http.client.ACCEPTED
    stack.wait_until(lost["id"], "GONE")
    assert audit(stack) == (0, [])


def test_only_versions_that_something_drives_are_offered(stack: Stack) -> None:
    offered = stack.manage("datastore", "register", "mariadb", "11.8").stdout
    assert offered == "mariadb 11.8 is offered already\n"
    refused = stack.manage("datastore", "register", "mariadb", "9.9", check=False)
    assert refused.returncode == 2
    assert "drives mariadb 11.8, 10.11, and no 9.9" in refused.stderr
    assert "11.8" in stack.manage("datastore", "list").stdout


def test_the_image_of_a_version_is_named_in_one_way(stack: Stack) -> None:
    register = ("datastore", "register", "mariadb", "10.11")
    both = stack.manage(*register, "--image", "some", "--image-tag", "dbaas", check=False)
    assert (both.returncode, "not by both" in both.stderr) == (2, True), both
    long = stack.manage(*register, "--image-tag", "x" * 21, check=False)
    assert (long.returncode, "at most 5 tags" in long.stderr) == (2, True), long
    stack.manage(*register, "--image-tag", "dbaas", "--image-tag", "mariadb")
    row = stack.sql("SELECT image_id, image_tags FROM datastore_versions WHERE name = '10.11'")[0]
    assert (row["image_id"], json.loads(row["image_tags"])) == ("", ["dbaas", "mariadb"])


def test_tenants_follow_the_life_of_an_instance_at_a_command_line(stack: Stack) -> None:
    made = stack.tenant(
        "instance", "create", "by-hand", "--flavor", "1", "--size", "1",
        "--database", "shop", "--user", "clerk:p4ss-of-the-clerk",
    ).stdout.splitlines()  # fmt: skip
    number, steps = made[0], [line.rsplit(maxsplit=2)[0].strip() for line in made[1:]]
    assert steps[0] == "write credentials"
    assert steps[-1] == "show instance active"
    assert number in stack.tenant("instance", "list").stdout
    assert '"ACTIVE"' in stack.tenant("instance", "show", "by-hand").stdout
    assert "restart database" in stack.tenant("instance", "restart", "by-hand").stdout
    assert "extend volume" in stack.tenant("instance", "resize-volume", "by-hand", "2").stdout
    listed = stack.tenant("operation", "list", "--instance", "by-hand").stdout
    newest_id = newest(stack, number)["id"]
    assert newest_id in listed
    assert '"resize_volume"' in stack.tenant("operation", "show", newest_id).stdout
    followed = stack.tenant("operation", "follow", newest_id).stdout
    assert followed.splitlines()[-1] == "succeeded"
    stack.tenant("instance", "delete", "by-hand")
    stack.wait_until(number, "GONE")
    missing = stack.tenant("instance", "show", "by-hand", check=False)
    assert (missing.returncode, missing.stderr) == (1, "dbaas: there is no instance by-hand\n")
    refused = stack.tenant("instance", "create", "x", "--flavor", "99", check=False)
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("dbaas: instance['flavorRef']: Flavor 99 cannot be found")
