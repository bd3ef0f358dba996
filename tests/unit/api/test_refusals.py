"""Requests that cannot be: refused with what is wrong and what would be right, never 500."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from dbaas.api import described
from tests.unit.api.conftest import (
    FOREIGN_NETWORK,
    FOREIGN_SUBNET,
    MARIADB_10_11,
    NETWORK,
    OTHER_SUBNET,
    SUBNET,
    Api,
)

GOOD: dict[str, Any] = {"name": "orders", "flavorRef": "1", "volume": {"size": 1}}
UUID = "6f1c0000-0000-4000-8000-000000000000"
USER = {"name": "app", "password": "S3cret"}

# What replaces or adds to a good request; status; words of the message.
CREATES: list[tuple[dict[str, Any], int, str]] = [
    ({"name": None}, 400, "instance['name'] must be text of 1 to 255"),
    ({"name": ""}, 400, "instance['name']"),
    ({"name": 5}, 400, "not 5"),
    ({"name": "x" * 256}, 400, "instance['name']"),
    ({"name": "a\x00b"}, 400, "instance['name']"),
    ({"name": "a\n"}, 400, "instance['name']"),
    ({"name": "---"}, 400, "a letter or a digit"),
    ({"flavorRef": None}, 400, "Resource None cannot be found."),
    ({"flavorRef": "nope"}, 400, "Flavor nope cannot be found: there are 1, d2."),
    ({"flavorRef": "1' OR '1'='1"}, 400, "cannot be found"),
    ({"flavorRef": -1}, 400, "the id of a flavor"),
    ({"flavorRef": []}, 400, "Resource None cannot be found."),
    ({"flavorRef": [1]}, 400, "the id of a flavor"),
    ({"volume": None}, 400, "instance['volume'] is missing"),
    ({"volume": {"type": "x"}}, 400, "'size' is a required property"),
    ({"volume": 5}, 400, "an object with size and type"),
    ({"volume": {"size": 0}}, 400, "of at least 1, not 0"),
    ({"volume": {"size": "0"}}, 400, "at least 1 GiB, not 0"),
    ({"volume": {"size": -1}}, 400, "of at least 1, not -1"),
    ({"volume": {"size": "1x"}}, 400, "of at least 1, not '1x'"),
    ({"volume": {"size": 1.5}}, 400, "of at least 1, not 1.5"),
    ({"volume": {"size": True}}, 400, "of at least 1, not True"),
    ({"volume": {"size": 2**70}}, 400, "of at least 1"),
    ({"volume": {"size": 11}}, 413, "at most 10 GiB, not 11"),
    ({"volume": {"size": 1, "type": 5}}, 400, "instance['volume']['type']"),
    ({"volume": {"size": 1, "type": "x" * 300}}, 400, "instance['volume']['type']"),
    ({"datastore": "mariadb"}, 400, "instance['datastore'] must be an object"),
    ({"datastore": {"type": "oracle"}}, 404, "Datastore 'oracle' cannot be found."),
    ({"datastore": {"type": "x'; DROP TABLE instances; --"}}, 404, "cannot be found"),
    ({"datastore": {"version": "9"}}, 400, "Datastore version '9' cannot be found."),
    ({"datastore": {"version": UUID}}, 400, "cannot be found"),
    ({"datastore": {"version": "10.11"}}, 400, "not active"),
    ({"datastore": {"version": MARIADB_10_11}}, 400, "not active"),
    ({"datastore": {"version_number": "1.2.3"}}, 400, "'1.2.3' cannot be found"),
    ({"datastore": {"version": "11.8", "version_number": "1"}}, 400, "of version_number '1'"),
    ({"datastore": {"kind": "x"}}, 400, "'kind' was unexpected"),
    ({"databases": "shop"}, 400, "instance['databases'] must be an array"),
    ({"databases": ["shop"]}, 400, "instance['databases'][0] must be an object"),
    ({"databases": [{}]}, 400, "'name' is a required property"),
    ({"databases": [{"name": "a`b"}]}, 400, "'a`b' is not a database name"),
    ({"databases": [{"name": "a;b"}]}, 400, "is not a database name"),
    ({"databases": [{"name": "a" * 65}]}, 400, "1 to 64 letters"),
    ({"databases": [{"name": " a"}]}, 400, "is not a database name"),
    ({"databases": [{"name": "MySQL"}]}, 400, "is reserved"),
    ({"databases": [{"name": "sys"}]}, 400, "is reserved"),
    ({"databases": [{"name": "a"}, {"name": "a"}]}, 400, "named twice"),
    ({"databases": [{"name": "a", "character_set": "klingon"}]}, 400, "does not exist"),
    ({"databases": [{"name": "a", "collate": "klingon_ci"}]}, 400, "does not exist"),
    (
        {"databases": [{"name": "a", "character_set": "latin1", "collate": "utf8mb4_bin"}]},
        400,
        "is not one of latin1",
    ),
    ({"users": [{"name": "app"}]}, 400, "'password' is a required property"),
    ({"users": [{"password": "S3cret"}]}, 400, "'name' is a required property"),
    ({"users": [{**USER, "name": "a'b"}]}, 400, "is not a user name"),
    ({"users": [{**USER, "name": "a" * 129}]}, 400, "1 to 128 characters"),
    ({"users": [{**USER, "name": " app"}]}, 400, "no blank at either end"),
    ({"users": [{**USER, "name": "root"}]}, 400, "is reserved"),
    ({"users": [{**USER, "name": "OS_Admin"}]}, 400, "is reserved"),
    ({"users": [{**USER, "password": "!!"}]}, 400, "instance['users'][0]['password']"),
    ({"users": [{**USER, "password": "a\x00b"}]}, 400, "['password'] must be text"),
    ({"users": [{**USER, "host": "localhost"}]}, 400, "'localhost' is not a host"),
    ({"users": [{**USER, "host": "10.0.0.300"}]}, 400, "is not a host"),
    ({"users": [{**USER, "host": "10.%"}]}, 400, "is not a host"),
    ({"users": [USER, USER]}, 400, "named twice"),
    ({"users": [{**USER, "databases": [{"name": "shop"}]}]}, 400, "list it there, too"),
    ({"users": [{**USER, "databases": ["shop"]}]}, 400, "an object that has a name"),
    ({"restorePoint": {"backupRef": UUID}}, 404, "cannot be found"),
    ({"restorePoint": {"backupRef": "x"}}, 400, "a UUID, not 'x'"),
    ({"restorePoint": {"instanceRef": UUID, "time": "2026-11-20T10:15:03Z"}}, 404, UUID),
    ({"restorePoint": {}}, 400, "with backupRef"),
    ({"restorePoint": []}, 400, "with backupRef"),
    ({"replica_of": UUID}, 501, "replica"),
    ({"replica_of": UUID, "replica_count": 2}, 501, "replica"),
    ({"replica_of": "x"}, 400, "a UUID, not 'x'"),
    ({"replica_count": 2}, 400, "only for replicas"),
    ({"replica_count": 4}, 400, "from 1 to 3, not 4"),
    ({"configuration": UUID}, 501, "configuration"),
    ({"modules": [{"id": UUID}]}, 501, "modules"),
    ({"modules": [{"id": "x"}]}, 400, "a UUID"),
    ({"locality": "affinity"}, 501, "locality"),
    ({"locality": "near"}, 400, "anti-affinity, not 'near'"),
    ({"access": {"is_public": 1}}, 400, "true or false, not 1"),
    ({"access": {"allowed_cidrs": ["203.0.113.0/33"]}}, 400, "'203.0.113.0/33' is not a network"),
    ({"access": {"allowed_cidrs": ["10.0.0.1/8", "10.0.0.0/8"]}}, 400, "named twice"),
    ({"access": {"allowed_cidrs": ["2001:db8::/129"]}}, 400, "'2001:db8::/129' is not a network"),
    ({"access": {"allowed_cidrs": ["::ffff:10.0.0.1"]}}, 400, "write it as IPv4"),
    ({"access": {"allowed_cidrs": ["everywhere"]}}, 400, "an IPv4 or IPv6 network, as"),
    ({"access": {"allowed_cidrs": "10.0.0.0/8"}}, 400, "an array of different"),
    ({"nics": [{"net-id": UUID}]}, 400, f"the network {UUID}, which is not offered"),
    ({"nics": [{"subnet_id": UUID}]}, 400, f"the subnet {UUID}, which is not offered"),
    ({"nics": [{"net-id": FOREIGN_NETWORK}]}, 400, "which is not offered"),
    ({"nics": [{"subnet_id": FOREIGN_SUBNET}]}, 400, "which is not offered"),
    ({"nics": [{"net-id": NETWORK, "subnet_id": OTHER_SUBNET}]}, 400, "a subnet_id of the network"),
    ({"nics": [{"subnet_id": SUBNET, "ip_address": "10.9.0.0"}]}, 400, "no address of 10.9.0.0/24"),
    ({"nics": [{"subnet_id": SUBNET, "ip_address": "10.8.0.9"}]}, 400, "no address of 10.9.0.0/24"),
    ({"nics": [{"subnet_id": SUBNET, "ip_address": "10.9.0.999"}]}, 400, "'10.9.0.999'"),
    ({"availability_zone": "moon"}, 400, "'moon' cannot be found: there are nova, west."),
    ({"nics": [{"ip_address": "10.0.0.1"}]}, 400, "must name a network"),
    ({"nics": [{"net-id": UUID, "ip_address": "10.0.0.1"}]}, 400, "subnet_id"),
    ({"nics": [{"net-id": "x"}]}, 400, "a UUID"),
    ({"nics": [{"port-id": UUID}]}, 400, "'port-id' was unexpected"),
    ({"nics": [{}, {}]}, 400, "at most one network"),
    ({"region_name": "Mars"}, 400, "must be 'RegionOne', not 'Mars'"),
    ({"availability_zone": "a\x07"}, 400, "instance['availability_zone']"),
]


@pytest.mark.parametrize(("change", "status", "words"), CREATES, ids=lambda item: str(item)[:60])
def test_a_create_that_cannot_be_is_refused(
    api: Api, change: dict[str, Any], status: int, words: str
) -> None:
    answer = api.ask("POST", "/instances", {"instance": GOOD | change})
    assert answer.status_code == status, answer.text
    ((_, fault),) = answer.json.items()
    assert fault["code"] == status
    assert words in fault["message"]
    assert "S3cret" not in answer.text
    assert api.usage()["instances"] == 0


# A body as it is sent; its content type; status; words of the message.
BODIES: list[tuple[str | None, str | None, int, str]] = [
    (None, "application/json", 400, "has no body"),
    ("", "application/json", 400, "has no body"),
    ("{", "application/json", 400, "not valid JSON"),
    ("{}", "application/json", 400, "'instance' is a required property"),
    ("[]", "application/json", 400, "must be a JSON object"),
    ("null", "application/json", 400, "must be a JSON object"),
    ('"text"', "application/json", 400, "must be a JSON object"),
    ('{"instance": null}', "application/json", 400, "instance must be an object"),
    ('{"instance": []}', "application/json", 400, "instance must be an object"),
    ('{"instance": {}}', "application/json", 400, "'name' is a required property"),
    ('{"instance": {"name": "a"}, "more": 1}', "application/json", 400, "'more' was unexpected"),
    ('{"instance": {"name": "\\ud800"}}', "application/json", 400, "not valid JSON"),
    ('{"instance": {"name": NaN}}', "application/json", 400, "NaN is no number"),
    ('{"instance": ' + "[" * 100000, "application/json", 400, "nested too deeply"),
    ('{"n": ' + "9" * 5000 + "}", "application/json", 400, "not valid JSON"),
    ("{}", "application/xml", 415, "'application/xml' is not supported"),
    ("{}", "text/plain", 415, "use application/json"),
    ("{}", None, 415, "use application/json"),
    ("{}", "application/json; charset=utf-8", 400, "'instance' is a required property"),
]


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"), BODIES, ids=lambda item: str(item)[:40]
)
@pytest.mark.parametrize("path", ["/instances"])
def test_a_body_that_cannot_be_is_refused(
    api: Api, path: str, body: str | None, content_type: str | None, status: int, words: str
) -> None:
    headers = {} if content_type is None else {"Content-Type": content_type}
    answer = api.simulate_post(f"/v1.0/{api.project}{path}", body=body, headers=headers)
    assert answer.status_code == status, answer.text
    ((_, fault),) = answer.json.items()
    assert words in fault["message"]
    assert "code" in fault


def test_a_body_that_is_no_utf8_or_too_large_is_refused(api: Api) -> None:
    path = f"/v1.0/{api.project}/instances"
    headers = {"Content-Type": "application/json"}
    answer = api.simulate_post(path, body=b'{"a": "\xff"}', headers=headers)
    assert (answer.status_code, "UTF-8" in answer.text) == (400, True)
    answer = api.simulate_post(path, body=b" " * (1024 * 1024 + 1), headers=headers)
    assert (answer.status_code, "overLimit" in answer.json) == (413, True)


NASTY: tuple[object, ...] = (
    None,
    True,
    0,
    -1,
    2**63,
    1e308,
    "",
    "\x00",
    "'; DROP TABLE instances; --",
    "%s%n{0}",
    "\U0001f600" * 300,
    [],
    [[]],
    [None],
    {},
    {"": None},
    {"name": {"name": {}}},
)


@pytest.mark.parametrize("value", NASTY, ids=lambda item: repr(item)[:30])
def test_nothing_in_any_place_of_a_body_makes_the_server_fail(api: Api, value: object) -> None:
    places = [
        *(("POST", "/instances", {"instance": GOOD | {key: value}}) for key in _every_key()),
        ("POST", "/instances", {"instance": value}),
        ("POST", "/instances", value),
        ("PUT", f"/instances/{UUID}", {"instance": {"name": value}}),
        ("PATCH", f"/instances/{UUID}", {"instance": value}),
        ("POST", f"/instances/{UUID}/action", {"restart": value}),
        ("POST", f"/instances/{UUID}/action", {"resize": value}),
        ("POST", f"/instances/{UUID}/action", {"resize": {"volume": value}}),
        ("POST", f"/instances/{UUID}/action", {"reset_status": value}),
        ("POST", f"/instances/{UUID}/action", {str(value): {}}),
        ("PUT", f"/mgmt/quotas/{api.project}", {"quotas": value}),
        ("PUT", f"/mgmt/quotas/{api.project}", {"quotas": {"ram": value}}),
    ]
    for method, path, body in places:
        answer = api.ask(method, path, json.dumps(body), X_Roles="admin")
        assert answer.status_code < 500 or answer.status_code == 501, (method, path, answer.text)
        assert answer.headers["x-openstack-request-id"].startswith("req-")


def _every_key() -> tuple[str, ...]:
    return (
        "name", "flavorRef", "volume", "datastore", "databases", "users", "restorePoint",
        "replica_of", "replica_count", "slave_of", "availability_zone", "nics", "modules",
        "region_name", "locality", "access", "configuration",
    )  # fmt: skip


@pytest.mark.parametrize(
    "text", ["%00", "%27%20OR%201=1", "..", "%2e%2e", "%F0%9F%98%80", "a" * 2000, "%FF", "a%2Fb"]
)
def test_nothing_in_any_place_of_a_path_makes_the_server_fail(api: Api, text: str) -> None:
    for path in (*_every_place(text), f"/{text}"):
        answer = api.ask("GET", path, X_Roles="admin")
        assert answer.status_code in (200, 400, 404, 501), (path, answer.text)


def _every_place(text: str) -> Iterator[str]:
    """Yield paths with `text` in one place of each; what is right in a filter is not told here."""
    for (method, path), route in described.SERVED.items():
        if method == "GET":
            if "{" in path:
                yield re.sub("{.*?}", text, path)
            for one in route.parameters:
                yield f"{re.sub('{.*?}', UUID, path)}?{one.name}={text}"
