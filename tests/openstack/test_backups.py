"""Backups in a real Swift, by the published client: a full one, one that builds on it, a restore.

The tenant's objects are in his own account, where he sees them and no other tenant does; the guest
that writes them has nothing but the URLs that it is given. The tests follow one story in order.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.functional.clients import Clients
from tests.openstack.deployment import ALPHA, Deployment, until
from tests.openstack.osbox import addresses
from tests.openstack.osbox.accounts import BOB
from tests.outcomes import Part, Tell

NAME, RESTORED, DATABASE, USER, PASSWORD = "kept", "kept-again", "orders", "clerk", "p4ss of clerk"
CONTAINER = "shops-backups"
FULL, MORE = "full", "more"
ROWS = 5000
SECONDS = 600.0


@dataclass
class Story:
    """One instance, and what was made of it; ids by name. `before`: what was in the cloud."""

    id: str
    before: dict[str, set[str]]
    backups: dict[str, dict[str, Any]] = field(default_factory=dict)
    restored: str = ""


@pytest.fixture(scope="module")
def alice(deployment: Deployment) -> Clients:
    return deployment.client()


@pytest.fixture(scope="module")
def story(deployment: Deployment, alice: Clients) -> Story:
    before = deployment.listings()
    users = ("--databases", DATABASE, "--users", f"{USER}:{PASSWORD}")
    made = Story(create(deployment, alice, NAME, *users), before)
    succeeded(deployment, made.id, "create_instance")
    write(deployment, made.id, 1)
    return made


def create(deployment: Deployment, client: Clients, name: str, *more: str) -> str:
    shown = client.json(
        "database", "instance", "create", name, "--flavor", "db.small", "--size", "1",
        "--nic", f"net-id={deployment.network_id(ALPHA.name)}",
        "--datastore", "mariadb", "--datastore-version", "11.8", *more,
    )  # fmt: skip
    return str(shown["id"])


def succeeded(deployment: Deployment, instance_id: str, kind: str) -> None:
    ended = deployment.wait_until_done(instance_id)
    assert (ended["kind"], ended["state"]) == (kind, "succeeded"), f"{ended}"


def write(deployment: Deployment, instance_id: str, first: int) -> None:
    """Write rows with these numbers and up."""
    with on(deployment, instance_id) as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS said (n INT PRIMARY KEY, words CHAR(200))")
        rows = f"seq_{first}_to_{first + ROWS - 1}"
        cursor.execute(f"INSERT INTO said SELECT seq, SHA2(seq, 512) FROM {rows}")


def content(deployment: Deployment, instance_id: str) -> tuple[object, ...]:
    """Return the number of rows, and what their checksum is."""
    with on(deployment, instance_id) as cursor:
        cursor.execute("SELECT COUNT(*) FROM said")
        rows = cursor.fetchone()
        cursor.execute("CHECKSUM TABLE said")
        checksum = cursor.fetchone()
    assert rows is not None
    assert checksum is not None
    return rows[0], checksum[1]


def on(deployment: Deployment, instance_id: str) -> Any:
    address = str(deployment.details(instance_id)["ip"][0])
    return deployment.connected(address, USER, PASSWORD, DATABASE)


def back_up(client: Clients, name: str, *how: str) -> dict[str, Any]:
    """Take a backup, and return it as the client shows it when it is complete."""
    client.json("database", "backup", "create", name, "--instance", NAME, *how)
    deadline = time.monotonic() + SECONDS
    while True:
        shown: dict[str, Any] = client.json("database", "backup", "show", name)
        if shown["status"] == "COMPLETED":
            return shown
        assert shown["status"] in ("NEW", "BUILDING"), shown
        assert time.monotonic() < deadline, shown


def objects(client: Clients) -> list[str]:
    """Return the names of the objects in the container of the client's own account."""
    return [entry["Name"] for entry in client.json("object", "list", CONTAINER)]


def test_backups_are_stored_in_the_tenants_own_account(
    deployment: Deployment, story: Story, alice: Clients, tell: Tell
) -> None:
    began = time.monotonic()
    story.backups[FULL] = back_up(alice, FULL, "--swift-container", CONTAINER)
    tell(Part.CLOUD, "a full backup", "it is complete", time.monotonic() - began)
    write(deployment, story.id, 1 + ROWS)
    began = time.monotonic()
    story.backups[MORE] = back_up(alice, MORE, "--incremental", "--swift-container", CONTAINER)
    tell(Part.CLOUD, "an incremental backup", "it is complete", time.monotonic() - began)
    assert story.backups[MORE]["parent_id"] == story.backups[FULL]["id"]
    project = deployment.session().get_project_id()
    for shown in story.backups.values():
        container = f"{addresses.SWIFT.url(addresses.GATEWAY)}/{CONTAINER}"
        where = container.replace("%(project_id)s", str(project))
        assert shown["locationRef"] == f"{where}/{shown['id']}/manifest"
        names = objects(alice)
        assert {f"{shown['id']}/manifest", f"{shown['id']}/00000001"} <= set(names)


def test_no_other_tenant_sees_them(deployment: Deployment, story: Story) -> None:
    bob = deployment.client(BOB)
    assert bob.json("database", "backup", "list") == []
    for shown in story.backups.values():
        assert "No backup" in bob.openstack("database", "backup", "show", shown["id"]).complaint
    assert bob.openstack("object", "list", CONTAINER).status != 0


def test_a_restored_instance_has_all_of_both(
    deployment: Deployment, story: Story, alice: Clients, tell: Tell
) -> None:
    began = time.monotonic()
    story.restored = create(deployment, alice, RESTORED, "--backup", MORE)
    succeeded(deployment, story.restored, "restore_instance")
    tell(Part.CLOUD, "a restore of both", "it is served", time.monotonic() - began)
    found = content(deployment, story.restored)
    assert found == content(deployment, story.id)
    assert found[0] == 2 * ROWS


def test_what_is_deleted_leaves_no_object(
    deployment: Deployment, story: Story, alice: Clients
) -> None:
    for instance in (story.restored, story.id):
        assert alice.openstack("database", "instance", "delete", instance).status == 0
        succeeded(deployment, instance, "delete_instance")
    assert len(alice.json("database", "backup", "list")) == 2
    assert alice.openstack("database", "backup", "delete", story.backups[FULL]["id"]).status == 0
    until(lambda: alice.json("database", "backup", "list") == [])
    assert objects(alice) == []
    assert deployment.listings() == story.before
    deployment.stack.manage("audit")
