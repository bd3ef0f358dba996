"""What tenants do every day, by the clients that they have: databases, users, root, size, access.

Each change is looked at from inside: by connecting, or failing to.
"""

import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import pymysql
import pytest

from tests.functional import clients
from tests.functional.clients import Clients, at_once
from tests.functional.stack import Stack

NAME = "everyday"


@pytest.fixture(scope="module")
def tenant(stack: Stack) -> Clients:
    return Clients(clients.environment(), stack.openrc("demo"))


@pytest.fixture(scope="module")
def instance(stack: Stack) -> Iterator[dict[str, Any]]:
    id_ = stack.create(NAME)
    yield stack.wait_until(id_, "ACTIVE")
    stack.request("DELETE", f"instances/{id_}")
    stack.wait_until(id_, "GONE")


@pytest.fixture(scope="module")
def trusting(stack: Stack, instance: dict[str, Any]) -> ssl.SSLContext:
    """Trusts what the API says is the authority, and nobody else."""
    answer = stack.request("GET", f"instances/{instance['id']}/ssl?include_certificate=true")
    payload = answer.body["ssl"]["certificate"]["payload"]
    _, end, authority = payload.partition("-----END CERTIFICATE-----\n")
    assert end
    return ssl.create_default_context(cadata=authority)


def done(tenant: Clients, *arguments: str) -> None:
    ran = tenant.openstack("database", *arguments)
    assert (ran.status, ran.out) == (0, ""), ran


@contextmanager
def inside(
    instance: dict[str, Any], trusting: ssl.SSLContext, user: str, password: str, address: int = 0
) -> Iterator["pymysql.cursors.Cursor"]:
    """Give a connection of this user to one of the instance's addresses."""
    link = pymysql.connect(
        host=instance["ip"][address],
        user=user,
        password=password.encode(),
        ssl=trusting,
        autocommit=True,
        connect_timeout=3,
    )
    with link, link.cursor() as cursor:
        yield cursor


def assert_refused(
    instance: dict[str, Any], trusting: ssl.SSLContext, user: str, password: str
) -> None:
    with (
        pytest.raises(pymysql.err.OperationalError, match=r"denied|locked"),
        inside(instance, trusting, user, password),
    ):
        pass


def test_databases_are_made_listed_and_deleted(tenant: Clients, instance: dict[str, Any]) -> None:
    done(tenant, "db", "create", NAME, "stock #2", "--character_set", "utf8mb4")
    # The defaults of Heat.
    utf8 = ("--character_set", "utf8", "--collate", "utf8_general_ci")
    done(tenant, "db", "create", NAME, "old", *utf8)
    before = {one["Name"] for one in tenant.json("database", "db", "list", NAME)}
    assert {"stock #2", "old"} < before
    again, reserved, missing = at_once(
        partial(tenant.openstack, "database", "db", "create", NAME, "old"),
        partial(tenant.openstack, "database", "db", "create", NAME, "mysql"),
        partial(tenant.openstack, "database", "db", "delete", NAME, "nothing"),
    )
    assert "(HTTP 400)" in again.complaint
    assert "is reserved" in reserved.complaint
    assert "(HTTP 404)" in missing.complaint
    done(tenant, "db", "delete", NAME, "old")
    after = {one["Name"] for one in tenant.json("database", "db", "list", NAME)}
    assert after == before - {"old"}


# A user's name, his host as a client writes it, his password
PEOPLE = [
    ("dot.ted", None, 'it\'s \\ "mine" %s; --'),
    ("at@home", "10.0.0.0/8", "пароль 密碼 p%20"),
]


@pytest.mark.parametrize(("name", "host", "password"), PEOPLE)
def test_a_user_comes_in_with_his_rights_alone_and_goes(
    tenant: Clients,
    instance: dict[str, Any],
    trusting: ssl.SSLContext,
    name: str,
    host: str | None,
    password: str,
) -> None:
    at = () if host is None else ("--host", host)
    done(tenant, "user", "create", NAME, name, password, *at, "--databases", "shop")
    shown, listed, access = at_once(
        partial(tenant.json, "database", "user", "show", NAME, name, *at),
        partial(tenant.json, "database", "user", "list", NAME),
        partial(tenant.json, "database", "user", "show", "access", NAME, name, *at),
    )
    assert (shown["name"], shown["host"]) == (name, host or "%")
    assert [one["Databases"] for one in listed if one["Name"] == name] == ["shop"]
    assert [one["Name"] for one in access] == ["shop"]
    with inside(instance, trusting, name, password) as cursor:
        cursor.execute("CREATE TABLE shop.t (n INT)")
        cursor.execute("DROP TABLE shop.t")
        with pytest.raises(pymysql.err.MySQLError, match="denied"):
            cursor.execute("CREATE DATABASE mine")
    done(tenant, "user", "update", "attributes", NAME, name, *at, "--new_password", "other1")
    assert_refused(instance, trusting, name, password)
    with inside(instance, trusting, name, "other1"):
        pass
    done(tenant, "user", "delete", NAME, name, *at)
    assert_refused(instance, trusting, name, "other1")
    missing = tenant.openstack("database", "user", "show", NAME, name, *at)
    assert "(HTTP 404)" in missing.complaint


def test_rights_are_given_and_taken(
    tenant: Clients, instance: dict[str, Any], trusting: ssl.SSLContext
) -> None:
    done(tenant, "db", "create", NAME, "a_b")
    done(tenant, "db", "create", NAME, "axb")
    done(tenant, "user", "create", NAME, "guest", "x1")
    done(tenant, "user", "grant", "access", NAME, "guest", "a_b", "shop")
    with inside(instance, trusting, "guest", "x1") as cursor:
        cursor.execute("USE a_b")
        with pytest.raises(pymysql.err.MySQLError, match="denied"):
            cursor.execute("USE axb")  # as a pattern, a_b would match it
    done(tenant, "user", "revoke", "access", NAME, "guest", "a_b")
    access = tenant.json("database", "user", "show", "access", NAME, "guest")
    assert [one["Name"] for one in access] == ["shop"]
    with (
        inside(instance, trusting, "guest", "x1") as cursor,
        pytest.raises(pymysql.err.MySQLError, match="denied"),
    ):
        cursor.execute("USE a_b")


def test_root_comes_in_and_what_it_makes_in_sql_shows(
    tenant: Clients, stack: Stack, instance: dict[str, Any], trusting: ssl.SSLContext
) -> None:
    shown = tenant.json("database", "root", "show", NAME)
    assert shown == {"is_root_enabled": False}
    made = tenant.json("database", "root", "enable", NAME)
    assert made["name"] == "root"
    with inside(instance, trusting, "root", made["password"]) as cursor:
        cursor.execute("CREATE DATABASE `made in sql`")
        cursor.execute("CREATE USER 'quo''ted'@'%' IDENTIFIED BY 'x'")
        cursor.execute("GRANT SELECT ON `made in sql`.* TO 'quo''ted'@'%'")
    assert "made in sql" in [one["Name"] for one in tenant.json("database", "db", "list", NAME)]
    users = tenant.json("database", "user", "list", NAME)
    assert [one["Databases"] for one in users if one["Name"] == "quo'ted"] == ["made in sql"]
    given = tenant.json("database", "root", "enable", NAME, "--root_password", "it's mine")
    assert given["password"] == "it's mine"
    with inside(instance, trusting, "root", "it's mine"):
        pass
    done(tenant, "root", "disable", NAME)
    assert_refused(instance, trusting, "root", "it's mine")
    history = stack.request("GET", f"mgmt/instances/{instance['id']}/root", user="admin")
    assert history.body["root_history"]["user"] == stack.user("demo").name
    assert stack.request("GET", "mgmt/instances").status == 401


def test_a_flavor_changes_there_and_back_and_the_quota_with_it(
    tenant: Clients, stack: Stack, instance: dict[str, Any]
) -> None:
    def ram() -> int:
        answer = stack.request("GET", f"mgmt/quotas/{stack.user().project_id}")
        return int(next(q["in_use"] for q in answer.body["quotas"] if q["resource"] == "ram"))

    before = ram()
    for flavor, more in (("2", 512), ("1", 0)):
        done(tenant, "instance", "resize", "flavor", NAME, flavor)
        shown = stack.wait_until(instance["id"], "ACTIVE")
        assert shown["flavor"]["id"] == flavor
        assert ram() == before + more
    same = tenant.openstack("database", "instance", "resize", "flavor", NAME, "1")
    assert "has the flavor 1 already" in same.complaint


def test_access_is_changed_on_a_running_instance(
    tenant: Clients, stack: Stack, instance: dict[str, Any], trusting: ssl.SSLContext
) -> None:
    def update(*networks: str) -> None:
        options = [word for network in networks for word in ("--allowed-cidr", network)]
        done(tenant, "instance", "update", NAME, "--is-private", *options)
        wait_for_newest(stack, instance["id"])

    done(tenant, "user", "create", NAME, "visitor", "x1")
    update("203.0.113.0/24", "2001:db8::/32")
    shown = stack.request("GET", f"instances/{instance['id']}").body["instance"]
    assert shown["access"] == {
        "is_public": False,
        "allowed_cidrs": ["203.0.113.0/24", "2001:db8::/32"],
    }
    for number in range(len(shown["ip"])):
        with (
            pytest.raises(pymysql.err.OperationalError, match="connect"),
            inside(shown, trusting, "visitor", "x1", number),
        ):
            pass
    update("0.0.0.0/0", "::/0")
    for number in range(len(shown["ip"])):
        with inside(shown, trusting, "visitor", "x1", number):
            pass


def wait_for_newest(stack: Stack, instance_id: str) -> None:
    """Return when the instance's latest operation has succeeded."""
    deadline = time.monotonic() + 30
    while True:
        (newest,) = stack.request("GET", f"operations?instance_id={instance_id}&limit=1").body[
            "operations"
        ]
        if newest["state"] == "succeeded":
            return
        assert newest["state"] == "runnable", newest
        assert time.monotonic() < deadline, newest
        time.sleep(0.1)


# As gophercloud (and Terraform with it) sends them: method, path, body, the only good status.
GOPHERCLOUD: tuple[tuple[str, str, Any, int], ...] = (
    ("POST", "databases", {"databases": [{"name": "go", "character_set": "utf8"}]}, 202),
    ("GET", "databases", None, 200),
    (
        "POST",
        "users",
        {"users": [{"name": "go", "password": "x1", "databases": [{"name": "go"}], "host": "%"}]},
        202,
    ),
    ("GET", "users", None, 200),
    ("POST", "root", None, 200),
    ("GET", "root", None, 200),
    ("DELETE", "users/go", None, 202),
    ("DELETE", "databases/go", None, 202),
    ("DELETE", "root", None, 204),
)


def test_gophercloud_gets_the_only_statuses_that_it_takes(
    stack: Stack, instance: dict[str, Any]
) -> None:
    for method, rest, body, status in GOPHERCLOUD:
        answer = stack.request(method, f"instances/{instance['id']}/{rest}", body)
        assert answer.status == status, (method, rest, answer)


def test_catalog_and_cloud_agree(stack: Stack, instance: dict[str, Any]) -> None:
    assert instance["id"]
    assert stack.manage("audit").returncode == 0
