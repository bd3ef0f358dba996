"""The main job on a real OpenStack, from a tenant's order to nothing left.

The tenant comes with Keystone's credentials and the published client; a virtual machine is built
for him, and he connects from his own network. The tests follow the life of one instance in order.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import pymysql
import pytest

from tests.functional.clients import Clients
from tests.openstack.cloud import ADMIN
from tests.openstack.deployment import ALPHA, GIB, Deployment, until
from tests.openstack.osbox.accounts import BOB
from tests.openstack.phases import Spent, of_create
from tests.outcomes import Part, Tell

NAME, DATABASE, USER, PASSWORD = "shop", "orders", "clerk", "p4ss of the clerk"


@dataclass
class Life:
    """The one instance that these tests are about; `before`: what was in the cloud without it.

    `spent`: by task managers until then.
    """

    id: str
    before: dict[str, set[str]]
    spent: Spent
    seconds: dict[str, float] = field(default_factory=dict)
    """By the operation's kind."""


@pytest.fixture(scope="module")
def alice(deployment: Deployment) -> Clients:
    return deployment.client()


@pytest.fixture(scope="module")
def life(deployment: Deployment, alice: Clients, tell: Tell) -> Iterator[Life]:
    before, spent = deployment.listings(), Spent.now(deployment)
    shown = alice.json(
        "database", "instance", "create", NAME, "--flavor", "db.small", "--size", "1",
        "--nic", f"net-id={deployment.network_id(ALPHA.name)}",
        "--datastore", "mariadb", "--datastore-version", "11.8",
        "--databases", DATABASE, "--users", f"{USER}:{PASSWORD}",
    )  # fmt: skip
    made = Life(shown["id"], before, spent)
    yield made
    for kind, seconds in made.seconds.items():
        tell(Part.CLOUD, f"nothing goes wrong in {kind}", "it succeeds", seconds)


def done(deployment: Deployment, life: Life, kind: str) -> dict[str, Any]:
    """Wait for the operation that was accepted last: it is of this kind, and succeeds."""
    began = time.monotonic()
    ended = deployment.wait_until_done(life.id)
    assert (ended["kind"], ended["state"]) == (kind, "succeeded"), f"{ended}"
    life.seconds[kind] = time.monotonic() - began
    return ended


def connected(
    deployment: Deployment, address: str, source: str = ALPHA.gateway
) -> AbstractContextManager["pymysql.cursors.Cursor"]:
    return deployment.connected(address, USER, PASSWORD, DATABASE, source)


def address_of(deployment: Deployment, life: Life) -> str:
    return str(deployment.details(life.id)["ip"][0])


def rows(deployment: Deployment, life: Life) -> int:
    with connected(deployment, address_of(deployment, life)) as cursor:
        cursor.execute("SELECT COUNT(*) FROM written")
        found = cursor.fetchone()
    assert found is not None
    return int(found[0])


def answers(deployment: Deployment, address: str) -> bool:
    try:
        with connected(deployment, address):
            return True
    except pymysql.err.OperationalError as error:
        if "timed out" not in str(error):
            raise
        return False


def run(client: Clients, *arguments: str) -> None:
    ran = client.openstack("database", "instance", *arguments)
    assert ran.status == 0, ran


def test_an_instance_is_built_on_the_tenants_network_and_keeps_rows(
    deployment: Deployment, life: Life
) -> None:
    done(deployment, life, "create_instance")
    shown = deployment.details(life.id)
    assert (shown["status"], shown["volume"]["size"]) == ("ACTIVE", 1)
    assert shown["ip"][0].startswith(f"{ALPHA.prefix}.")
    with connected(deployment, shown["ip"][0]) as cursor:
        cursor.execute("CREATE TABLE written (id INT AUTO_INCREMENT PRIMARY KEY)")
        cursor.execute("INSERT INTO written VALUES (), (), ()")
    assert rows(deployment, life) == 3


def test_little_of_the_time_of_its_build_is_ours(
    deployment: Deployment, life: Life, tell: Tell
) -> None:
    phases = of_create(deployment, life.id, life.spent)
    assert phases.steps.keys() >= {"make_ports", "make_volume", "boot_server", "introduce"}
    tell(Part.CLOUD, "the phases of a create", str(phases), sum(phases.steps.values()))


def test_another_tenant_does_not_find_it_and_an_administrator_does(
    deployment: Deployment, life: Life
) -> None:
    bob, admin = deployment.client(BOB), deployment.client(ADMIN)
    assert "No instance" in bob.openstack("database", "instance", "show", life.id).complaint
    assert bob.json("database", "instance", "list") == []
    for method, path, body in FOREIGN:
        answer = deployment.request(method, path.format(life.id), body, user=BOB)
        assert answer.status == 404, (method, path, answer)
    operation = deployment.operations(life.id)[0]["id"]
    assert deployment.request("GET", f"operations/{operation}", user=BOB).status == 404
    managed = deployment.request("GET", "mgmt/instances", user=BOB)
    assert managed.status == 401, managed
    listed = deployment.request("GET", "mgmt/instances?deleted=false", user=ADMIN)
    assert [one["id"] for one in listed.body["instances"]] == [life.id]
    assert admin.json("database", "instance", "show", life.id)["id"] == life.id


FOREIGN: tuple[tuple[str, str, object], ...] = (
    ("GET", "instances/{}", None),
    ("PUT", "instances/{}", {"instance": {"name": "mine"}}),
    ("DELETE", "instances/{}", None),
    ("POST", "instances/{}/action", {"restart": {}}),
    ("POST", "instances/{}/action", {"resize": {"volume": {"size": 2}}}),
    ("GET", "instances/{}/databases", None),
    ("POST", "instances/{}/databases", {"databases": [{"name": "mine"}]}),
    ("GET", "instances/{}/users", None),
    ("GET", "instances/{}/root", None),
    ("POST", "instances/{}/root", None),
    ("GET", "instances/{}/ssl", None),
)
"""What another tenant might try."""


def test_it_restarts_with_its_rows(deployment: Deployment, life: Life, alice: Clients) -> None:
    run(alice, "restart", NAME)
    done(deployment, life, "restart_instance")
    assert rows(deployment, life) == 3


def test_its_volume_grows_with_its_rows(deployment: Deployment, life: Life, alice: Clients) -> None:
    run(alice, "resize", "volume", NAME, "2")
    done(deployment, life, "resize_volume")
    shown = alice.json("database", "instance", "show", NAME)
    assert shown["volume"] == 2
    health = f"SELECT volume_total FROM guest_health WHERE instance_id = '{life.id}'"
    until(lambda: deployment.stack.sql(health)[0]["volume_total"] > 1.5 * GIB)
    assert rows(deployment, life) == 3


def test_its_server_gets_another_flavor(deployment: Deployment, life: Life, alice: Clients) -> None:
    run(alice, "resize", "flavor", NAME, "db.medium")
    done(deployment, life, "resize_flavor")
    assert deployment.details(life.id)["flavor"]["id"] == deployment.flavor("db.medium")
    assert rows(deployment, life) == 3


def test_access_is_what_the_tenant_says(
    deployment: Deployment, life: Life, alice: Clients, second_address: str
) -> None:
    run(alice, "update", NAME, "--is-private", "--allowed-cidr", f"{second_address}/32")
    done(deployment, life, "update_access")
    address = address_of(deployment, life)
    with connected(deployment, address, second_address):
        pass
    until(lambda: not answers(deployment, address))
    run(alice, "update", NAME, "--is-private", "--allowed-cidr", ALPHA.cidr)
    done(deployment, life, "update_access")
    assert rows(deployment, life) == 3


def test_what_is_deleted_leaves_nothing(deployment: Deployment, life: Life, alice: Clients) -> None:
    run(alice, "delete", life.id)
    done(deployment, life, "delete_instance")
    assert "No instance" in alice.openstack("database", "instance", "show", life.id).complaint
    assert deployment.listings() == life.before
    deployment.stack.manage("audit")
