"""The clients that users have already, unmodified, do the whole life of an instance."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pymysql
import pytest

from dbaas.manage.stack import credentials
from tests.functional import clients
from tests.functional.clients import Clients, at_once
from tests.functional.stack import Stack

NAME = "orders"
NOBODY = "11111111-2222-3333-4444-555555555555"


@pytest.fixture(scope="module")
def home() -> Path:
    return clients.environment()


@pytest.fixture(scope="module")
def tenant(home: Path, stack: Stack) -> Clients:
    return Clients(home, stack.openrc("demo"))


@pytest.fixture(scope="module")
def admin(home: Path, stack: Stack) -> Clients:
    return Clients(home, stack.openrc("admin"))


@pytest.fixture(scope="module")
def created(tenant: Clients, stack: Stack) -> Iterator[dict[str, Any]]:
    """An instance as `create` showed it; at the end it is deleted by whatever name it has."""
    shown = tenant.json(
        "database", "instance", "create", NAME, "--flavor", "1", "--size", "1",
        "--datastore", "mariadb", "--datastore-version", "11.8",
        "--databases", "shop", "stock-2 old",
        "--users", "clerk:it's-a-secret", "chief:another",
    )  # fmt: skip
    stack.wait_until(shown["id"], "ACTIVE")
    yield shown
    if stack.request("DELETE", f"instances/{shown['id']}").status == 202:
        stack.wait_until(shown["id"], "GONE")


def connect(stack: Stack, address: str, user: str, password: str) -> "pymysql.Connection[Any]":
    authority = str(credentials.authority_files(stack.plan)[0])
    return pymysql.connect(
        host=address, user=user, password=password, ssl={"ca": authority}, connect_timeout=10
    )


def rows(link: "pymysql.Connection[Any]", statement: str) -> list[str]:
    with link.cursor() as cursor:
        cursor.execute(statement)
        return [str(row[0]) for row in cursor.fetchall()]


def test_what_is_offered_is_listed(tenant: Clients, stack: Stack) -> None:
    project = stack.user().project_id
    flavors, stores, versions, version, limits, quota, missing = at_once(
        partial(tenant.json, "database", "flavor", "list"),
        partial(tenant.json, "datastore", "list"),
        partial(tenant.json, "datastore", "version", "list", "mariadb"),
        partial(tenant.json, "datastore", "version", "show", "11.8", "--datastore", "mariadb"),
        partial(tenant.openstack, "database", "limit", "list"),
        partial(tenant.json, "database", "quota", "show", project),
        partial(tenant.openstack, "database", "flavor", "show", "99"),
    )
    assert ("db.tiny", 512) in [(flavor["Name"], flavor["RAM"]) for flavor in flavors]
    assert [store["Name"] for store in stores] == ["mariadb"]
    assert [one["Name"] for one in versions] == ["11.8"]
    assert (version["name"], version["datastore"]) == ("11.8", stores[0]["ID"])
    assert limits.status == 0
    assert "max_instances" in limits.out
    assert {one["Resource"] for one in quota} == {"instances", "ram", "volumes", "backups"}
    assert missing.complaint == "No flavor with a name or ID of '99' exists."


def test_flavors_datastores_and_versions_are_found_by_id_as_by_name(
    tenant: Clients, stack: Stack
) -> None:
    store = stack.request("GET", "datastores").body["datastores"][0]
    by_name, by_id, version, flavor, named = at_once(
        partial(tenant.json, "datastore", "show", "mariadb"),
        partial(tenant.json, "datastore", "show", store["id"]),
        partial(tenant.json, "datastore", "version", "show", store["versions"][0]["id"]),
        partial(tenant.json, "database", "flavor", "show", "1"),
        partial(tenant.json, "database", "flavor", "show", "db.tiny"),
    )
    assert by_name == by_id
    assert version["name"] == "11.8"
    assert flavor == named


def test_an_administrator_changes_a_quota_and_a_tenant_may_not(
    tenant: Clients, admin: Clients
) -> None:
    project = "0123456789abcdef0123456789abcdef"
    refused, changed, unknown = at_once(
        partial(tenant.openstack, "database", "quota", "update", project, "instances", "3"),
        partial(admin.json, "database", "quota", "update", project, "instances", "3"),
        partial(admin.openstack, "database", "quota", "update", project, "wishes", "3"),
    )
    assert refused.complaint == "User does not have admin privileges. (HTTP 401)"
    assert changed == {"instances": 3}
    assert "Quota resource 'wishes' cannot be found" in unknown.complaint
    shown = admin.json("database", "quota", "show", project)
    assert [one["Limit"] for one in shown if one["Resource"] == "instances"] == [3]


def test_create_shows_what_was_asked_for(created: dict[str, Any]) -> None:
    assert (created["name"], created["status"]) == (NAME, "BUILD")
    assert (created["flavor"], created["volume"]) == ("1", 1)
    assert (created["datastore"], created["datastore_version"]) == ("mariadb", "11.8")


def test_the_users_have_the_rights_that_were_asked_for_and_no_others(
    created: dict[str, Any], tenant: Clients, stack: Stack
) -> None:
    address, *_ = tenant.json("database", "instance", "show", NAME)["ip"].split(", ")
    for user, password in (("clerk", "it's-a-secret"), ("chief", "another")):
        with connect(stack, address, user, password) as link:
            assert rows(link, "SHOW DATABASES") == ["information_schema", "shop", "stock-2 old"]
            for database in ("shop", "stock-2 old"):
                rows(link, f"CREATE TABLE `{database}`.{user} (n INT)")
                rows(link, f"INSERT INTO `{database}`.{user} VALUES (7)")
                assert rows(link, f"SELECT n FROM `{database}`.{user}") == ["7"]
            for forbidden in (
                "CREATE DATABASE another",
                "SELECT user FROM mysql.user",
                "CREATE USER intruder",
                "SHUTDOWN",
                "SELECT 1 INTO OUTFILE '/tmp/out'",
                f"GRANT ALL ON *.* TO {user}",
            ):
                with pytest.raises(pymysql.err.MySQLError, match=r"denied"):
                    rows(link, forbidden)
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        connect(stack, address, "clerk", "another")
    with pytest.raises(pymysql.err.OperationalError, match="Access denied"):
        connect(stack, address, "root", "")


def test_an_instance_is_listed_and_shown_by_id_and_by_name(
    created: dict[str, Any], tenant: Clients
) -> None:
    by_id, by_name, listed, missing = at_once(
        partial(tenant.json, "database", "instance", "show", created["id"]),
        partial(tenant.json, "database", "instance", "show", NAME),
        partial(tenant.json, "database", "instance", "list"),
        partial(tenant.openstack, "database", "instance", "show", "nobody"),
    )
    assert by_id["id"] == by_name["id"] == created["id"]
    assert (by_id["status"], by_id["operating_status"]) == ("ACTIVE", "HEALTHY")
    assert 0 < by_id["volume_used"] < 1
    row = next(one for one in listed if one["ID"] == created["id"])
    assert ", ".join(one["address"] for one in row["Addresses"]) == by_id["ip"]
    assert (row["Name"], row["Status"], row["Size"]) == (NAME, "ACTIVE", 1)
    assert missing.complaint == "No instance with a name or ID of 'nobody' exists."


def test_an_instance_is_restarted_resized_and_renamed(
    created: dict[str, Any], tenant: Clients, stack: Stack
) -> None:
    def done(*arguments: str) -> dict[str, Any]:
        ran = tenant.openstack("database", "instance", *arguments)
        assert (ran.status, ran.out) == (0, ""), ran
        return stack.wait_until(created["id"], "ACTIVE")

    done("restart", NAME)
    assert done("resize", "volume", NAME, "2")["volume"]["size"] == 2
    assert done("update", NAME, "--name", "sales")["name"] == "sales"
    assert done("update", "sales", "--name", NAME)["name"] == NAME


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (("--nic", f"net-id={NOBODY}"), f"has the network {NOBODY}, which is not offered"),
        (("--nic", "net-id=mine"), "['network_id'] must be a UUID, not 'mine' (HTTP 400)"),
        (("--allowed-cidr", "10.0.0.0/99"), "'10.0.0.0/99' is not a network"),
        (("--availability-zone", "moon"), "'moon' cannot be found: there are"),
        (("--replica-of", NAME), "leave out 'replica_of'. (HTTP 501)"),
        (("--configuration", NOBODY), "leave out 'configuration'. (HTTP 501)"),
        (("--backup", NOBODY), f"No backup with a name or ID of '{NOBODY}' exists."),
        (("--locality", "affinity"), "leave out 'locality'. (HTTP 501)"),
        (("--region", "Elsewhere"), "must be 'RegionOne', not 'Elsewhere'. (HTTP 400)"),
        (("--size", "1000"), "at most 10 GiB, not 1000. (HTTP 413)"),
        (("--datastore", "oracle"), "Datastore 'oracle' cannot be found. (HTTP 404)"),
        (("--users", "root:secret"), "'root'"),
    ],
    ids=lambda value: " ".join(value)[:40] if isinstance(value, tuple) else None,
)
def test_a_create_that_cannot_be_is_refused_with_the_reason(
    refusals: dict[tuple[str, ...], clients.Ran], option: tuple[str, ...], words: str
) -> None:
    assert words in refusals[option].complaint


@pytest.fixture(scope="module")
def refusals(
    request: pytest.FixtureRequest, created: dict[str, Any], tenant: Clients
) -> dict[tuple[str, ...], clients.Ran]:
    """What became of a create with each of the options, made side by side to save time."""
    test = test_a_create_that_cannot_be_is_refused_with_the_reason
    options = [case[0] for case in test.pytestmark[0].args[1]]  # type: ignore[attr-defined]
    base = ("database", "instance", "create", "x", "--flavor", "1", "--size", "1")
    ran = at_once(*(partial(tenant.openstack, *base, *option) for option in options))
    return dict(zip(options, ran, strict=True))


def test_what_comes_later_says_so(created: dict[str, Any], tenant: Clients) -> None:
    later = at_once(
        partial(tenant.openstack, "database", "configuration", "list"),
        partial(tenant.openstack, "database", "log", "list", NAME),
        partial(tenant.openstack, "database", "ssl", "disable", NAME),
    )
    for ran in later:
        assert "not available in this version of the service" in ran.complaint
        assert "(HTTP 501)" in ran.complaint


def test_a_status_is_reset_and_a_deletion_forced_by_administrators_alone(
    created: dict[str, Any], tenant: Clients, admin: Clients, stack: Stack
) -> None:
    """`force delete` resets the status first, and so it takes the right to."""
    reset, forced = at_once(
        partial(tenant.openstack, "database", "instance", "reset", "status", NAME),
        partial(tenant.openstack, "database", "instance", "force", "delete", NAME),
    )
    for refused in (reset, forced):
        assert "Policy doesn't allow instance:reset_status to be performed." in refused.complaint
    done = admin.openstack("database", "instance", "reset", "status", created["id"])
    assert (done.status, done.out) == (0, "")
    shown = stack.wait_until(created["id"], "ACTIVE")
    assert shown["ip"]
    other = stack.create("to-be-forced")
    done = admin.openstack("database", "instance", "force", "delete", other)
    assert (done.status, done.out) == (0, ""), done
    stack.wait_until(other, "GONE")


def test_instances_are_deleted_by_id_and_by_name(
    created: dict[str, Any], tenant: Clients, stack: Stack
) -> None:
    other = stack.create("another")
    stack.wait_until(other, "ACTIVE")
    done = tenant.openstack("database", "instance", "delete", NAME, other)
    assert done.status == 0, done
    stack.wait_until(created["id"], "GONE")
    stack.wait_until(other, "GONE")
    missing = tenant.openstack("database", "instance", "delete", NAME)
    assert f"Failed to get database instance {NAME}" in missing.complaint


def test_openstacksdk_does_the_same(home: Path, stack: Stack) -> None:
    saw = Clients(home, stack.openrc()).python(Path(__file__).with_name("sdk_tour.py")).json
    refusals = {
        name: saw.pop(name) for name in ("not there", "deleted", "no flavor", "no database")
    }
    assert saw == {
        "flavors": ["db.tiny", "db.small", "db.medium", "db.large"],
        "flavor": [1, "db.tiny", 512],
        "created": ["by-sdk", "BUILD", {"size": 1}, "11.8"],
        "listed": ["by-sdk"],
        "found": [True, True],
        "not found": None,
        "renamed": "by-sdk-2",
        "restarted": "ACTIVE",
        "resized": 2,
        "of flavor": "2",
        "databases": ["by-sdk"],
        "users": [["sdk.user", [{"name": "by-sdk"}]]],
        "root": [False, "root", 32, True],
        "empty": [[], []],
        "deleted, never mind": None,
    }
    assert refusals["not there"].startswith("NotFoundException")
    assert refusals["deleted"].startswith("NotFoundException")
    assert refusals["no database"].startswith("NotFoundException")
    assert "must be the id of a flavor" in refusals["no flavor"]
