"""Flavors, access, networks, zones and certificates: what a request makes of an instance."""

from typing import Any

import pytest

from dbaas.catalog import instances
from dbaas.common import certificates
from dbaas.contract.requests import CreateInstance, Reach, ResizeFlavor, UpdateAccess
from tests.unit.api.conftest import (
    NETWORK,
    OTHER_NETWORK,
    OTHER_SUBNET,
    SUBNET,
    Api,
)
from tests.unit.api.engine import newest, request_of

# Flavors


@pytest.mark.parametrize("reference", ["d2", "https://db.example.org/flavors/d2", "/flavors/d2/"])
def test_a_larger_flavor_is_charged_at_once(api: Api, active: str, reference: str) -> None:
    answer = api.ask("POST", f"/instances/{active}/action", {"resize": {"flavorRef": reference}})
    assert (answer.status_code, answer.text) == (202, "")
    operation = newest(api.catalog, active)
    assert operation.kind == "resize_flavor"
    assert request_of(api.catalog, operation.id, ResizeFlavor) == ResizeFlavor("1", 512, "d2", 1024)
    assert api.usage()["ram"] == 1024
    shown = api.ask("GET", f"/instances/{active}").json["instance"]
    assert (shown["status"], shown["flavor"]["id"]) == ("RESIZE", "1")


def test_a_smaller_flavor_gives_back_when_it_is_done(api: Api) -> None:
    id_ = api.create(flavorRef="d2")
    api.make_active(id_)
    api.ask("POST", f"/instances/{id_}/action", {"resize": {"flavorRef": 1}})
    assert api.usage()["ram"] == 1024
    api.run(lambda unit: instances.settle_flavor(unit, id_, "1", 512))
    assert api.usage()["ram"] == 512


def test_a_flavor_beyond_the_quota_is_refused_whole(api: Api, active: str) -> None:
    body = {"quotas": {"ram": 1000}}
    api.ask("PUT", f"/mgmt/quotas/{api.project}", body, X_Roles="admin")
    answer = api.ask("POST", f"/instances/{active}/action", {"resize": {"flavorRef": "d2"}})
    assert answer.status_code == 413
    assert "Quota exceeded for resources: ['ram']." in answer.text
    assert api.usage()["ram"] == 512
    assert api.ask("GET", f"/instances/{active}").json["instance"]["status"] == "ACTIVE"


# Access

CIDRS = ["203.0.113.0/24", "198.51.100.9", "10.0.0.5/8", "2001:DB8:0::/48", "::1", "0.0.0.0/0"]
CANONICAL = (
    "203.0.113.0/24", "198.51.100.9/32", "10.0.0.0/8", "2001:db8::/48", "::1/128", "0.0.0.0/0",
)  # fmt: skip


def test_access_is_made_one_spelling_and_changed_on_a_running_instance(api: Api) -> None:
    id_ = api.create(access={"is_public": True, "allowed_cidrs": CIDRS})
    shown = {"is_public": True, "allowed_cidrs": list(CANONICAL)}
    assert api.ask("GET", f"/instances/{id_}").json["instance"]["access"] == shown
    asked = request_of(api.catalog, newest(api.catalog, id_).id, CreateInstance)
    assert asked.reach == Reach(True, CANONICAL)
    api.make_active(id_)
    body = {"instance": {"name": "renamed", "access": {"allowed_cidrs": ["fd00::/8"]}}}
    answer = api.ask("PUT", f"/instances/{id_}", body)
    assert (answer.status_code, answer.text) == (202, "")
    operation = newest(api.catalog, id_)
    assert operation.kind == "update_access"
    changed = request_of(api.catalog, operation.id, UpdateAccess)
    assert changed == UpdateAccess(Reach(True, CANONICAL), Reach(False, ("fd00::/8",)))
    now = api.ask("GET", f"/instances/{id_}").json["instance"]
    assert (now["name"], now["status"], now["access"]) == ("renamed", "ACTIVE", shown)
    assert operation.id in api.wakes.ids
    api.run(lambda unit: instances.set_access(unit, id_, changed.new))
    now = api.ask("GET", f"/instances/{id_}").json["instance"]
    assert now["access"] == {"is_public": False, "allowed_cidrs": ["fd00::/8"]}


@pytest.mark.parametrize(
    ("access", "words"),
    [
        ({"allowed_cidrs": ["10.0.0.0/8", "10.1.2.3/8"]}, "'10.1.2.3/8' is named twice"),
        ({"allowed_cidrs": ["10.0.0.0/33"]}, "[0] '10.0.0.0/33' is not a network"),
        ({"allowed_cidrs": ["::1", "2001:db8::g"]}, "['allowed_cidrs'][1] must be an IPv4 or"),
        ({"allowed_cidrs": ["fe80::1%eth0"]}, "'fe80::1%eth0'"),
        ({"allowed_cidrs": None}, "an array of different"),
        ({"is_public": "yes"}, "true or false, not 'yes'"),
        ({"public": True}, "'public' was unexpected"),
        ([], "an object with is_public"),
    ],
)
def test_access_that_cannot_be_is_refused(
    api: Api, active: str, access: object, words: str
) -> None:
    answer = api.ask("PUT", f"/instances/{active}", {"instance": {"access": access}})
    assert answer.status_code == 400
    assert words in answer.json["badRequest"]["message"]
    assert "instance['access']" in answer.text
    assert api.wakes.ids == []


def test_access_of_a_busy_instance_is_not_changed(api: Api, active: str) -> None:
    api.ask("POST", f"/instances/{active}/action", {"restart": {}})
    body: Any = {"instance": {"name": "renamed", "access": {"is_public": True}}}
    answer = api.ask("PUT", f"/instances/{active}", body)
    assert answer.status_code == 422
    assert api.ask("GET", f"/instances/{active}").json["instance"]["name"] == "orders"


def test_the_same_key_changes_access_once(api: Api, active: str) -> None:
    body = {"instance": {"access": {"is_public": True}}}
    for _ in range(2):
        answer = api.ask("PUT", f"/instances/{active}", body, Idempotency_Key="k")
        assert answer.status_code == 202
    assert len(api.wakes.ids) == 1


# Networks and zones


@pytest.mark.parametrize(
    ("nic", "place"),
    [
        ({"net-id": OTHER_NETWORK}, (OTHER_NETWORK, "", "")),
        ({"network_id": NETWORK}, (NETWORK, "", "")),
        ({"subnet_id": OTHER_SUBNET}, (OTHER_NETWORK, OTHER_SUBNET, "")),
        ({"net-id": NETWORK, "subnet_id": SUBNET}, (NETWORK, SUBNET, "")),
        (
            {"network_id": NETWORK, "subnet_id": SUBNET, "ip_address": "10.9.0.77"},
            (NETWORK, SUBNET, "10.9.0.77"),
        ),
    ],
)
def test_an_instance_is_where_the_request_says(
    api: Api, nic: dict[str, str], place: tuple[str, str, str]
) -> None:
    id_ = api.create(nics=[nic], availability_zone="west")
    asked = request_of(api.catalog, newest(api.catalog, id_).id, CreateInstance)
    assert (asked.network, asked.subnet, asked.address) == place
    assert asked.availability_zone == "west"


# Certificates


@pytest.fixture(scope="module")
def pem() -> str:
    authority = certificates.create_authority("test")
    made = certificates.issue(authority, "orders", ["10.9.0.7"], ["orders"], 30)
    return made.cert_pem + authority.cert_pem


def test_the_certificate_is_shown_with_its_authority_on_request(
    api: Api, active: str, pem: str
) -> None:
    api.run(lambda unit: instances.set_certificate(unit, active, pem))
    shown = api.ask("GET", f"/instances/{active}/ssl").json["ssl"]
    assert (shown["status"], shown["mode"]) == ("on", "basic")
    certificate = shown["certificate"]
    assert set(certificate) == {"cn", "expire_at", "san"}
    assert certificate["cn"] == "orders"
    assert certificate["san"] == ["DNS:orders", "IP:10.9.0.7"]
    assert len(certificate["expire_at"]) == len("2027-08-01T00:00:00")
    whole = api.ask("GET", f"/instances/{active}/ssl?include_certificate=True").json["ssl"]
    assert whole["certificate"] == certificate | {"payload": pem}
    assert pem.count("BEGIN CERTIFICATE") == 2
    assert "PRIVATE" not in pem


def test_an_instance_in_build_has_no_certificate_yet(api: Api) -> None:
    id_ = api.create()
    answer = api.ask("GET", f"/instances/{id_}/ssl")
    assert answer.status_code == 422
    assert f"Instance {id_} is not ready." in answer.text


def test_a_certificate_cannot_be_changed_yet(api: Api, active: str) -> None:
    answer = api.ask("POST", f"/instances/{active}/ssl", {"ssl": {"disable": True}})
    assert answer.status_code == 501
    answer = api.ask("GET", f"/instances/{active}/ssl?include_certificate=banana")
    assert answer.status_code == 400
    assert "include_certificate must be true or false" in answer.text
