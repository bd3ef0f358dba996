"""Instances over REST: what is answered, and what the catalog holds afterwards."""

import json
from datetime import datetime

import pytest
import sqlalchemy

from dbaas.catalog import operation_views, tables
from dbaas.common import sealing
from dbaas.contract import codec
from dbaas.contract.requests import CreateInstance
from tests.unit.api.conftest import NETWORK, Api

FULL = {
    "name": "orders",
    "flavorRef": "d2",
    "volume": {"size": "5", "type": "ssd"},
    "datastore": {"type": "mariadb", "version": "11.8", "version_number": "11.8.3"},
    "databases": [{"name": "shop", "character_set": "utf8", "collate": "utf8_general_ci"}],
    "users": [{"name": "app", "password": "S3'c\"ret", "databases": [{"name": "shop"}]}],
    "nics": [{"net-id": NETWORK}],
    "access": {"is_public": True},
    "availability_zone": "nova",
    "region_name": "RegionOne",
    "slave_of": "ignored",
    "something_else": {"ignored": True},
}


def operations_of(api: Api, instance_id: str) -> list[operation_views.OperationView]:
    found: list[operation_views.OperationView] = api.catalog.read(
        lambda unit: operation_views.page(unit, instance_id=instance_id)
    )
    return found


def test_a_create_is_answered_with_the_instance_in_build(api: Api) -> None:
    answer = api.ask("POST", "/instances", {"instance": FULL})
    assert answer.status_code == 200, answer.text
    shown = answer.json["instance"]
    assert shown["name"] == "orders"
    assert (shown["status"], shown["operating_status"]) == ("BUILD", "")
    assert shown["datastore"] == {
        "type": "mariadb",
        "version": "11.8",
        "version_number": "11.8.3",
    }
    assert shown["volume"] == {"size": 5}
    assert shown["access"] == {"is_public": True}
    assert shown["region"] == "RegionOne"
    assert shown["created"] == shown["updated"] == shown["service_status_updated"]
    assert datetime.strptime(shown["created"], "%Y-%m-%dT%H:%M:%S")  # noqa: DTZ007 # as on the wire
    assert shown["links"] == [
        {
            "rel": "self",
            "href": f"https://db.example.org:8779/v1.0/{api.project}/instances/{shown['id']}",
        },
        {"rel": "bookmark", "href": f"https://db.example.org:8779/instances/{shown['id']}"},
    ]
    assert not {"tenant_id", "server_id", "ip", "addresses", "replicas", "fault"} & set(shown)


def test_a_create_writes_a_complete_operation_and_wakes_it(api: Api) -> None:
    created = api.ask("POST", "/instances", {"instance": FULL}).json["instance"]
    (operation,) = operations_of(api, created["id"])
    assert (operation.kind, operation.state) == ("create_instance", "runnable")
    assert operation.request_id.startswith("req-")
    assert api.wakes.ids == [operation.id]
    (text,) = api.catalog.read(
        lambda unit: unit.execute(
            sqlalchemy.select(tables.operations.c.request).where(
                tables.operations.c.id == operation.id
            )
        ).one()
    )
    assert "S3'c" not in text  # no sealed text has a quote
    request = codec.load(
        CreateInstance, json.loads(text), sealing.Sealer(bytes.fromhex("ab" * 32)).show
    )
    assert (request.engine, request.engine_version) == ("mariadb", "11.8.3")
    assert (request.flavor, request.flavor_ram_mib, request.volume_gib) == ("d2", 1024, 5)
    assert request.network == NETWORK
    assert request.users[0].password.reveal() == "S3'c\"ret"
    assert (request.users[0].host, request.users[0].databases) == ("%", ("shop",))
    assert request.databases[0].character_set == "utf8"


def test_a_create_takes_nine_statements_a_list_and_a_show_one(
    api: Api, statements: list[str]
) -> None:
    id_ = api.create()
    assert len(statements) == 8  # and the COMMIT
    statements.clear()
    api.ask("GET", "/instances")
    assert len(statements) == 1
    statements.clear()
    api.ask("GET", f"/instances/{id_}")
    assert len(statements) == 1


def test_values_that_clients_send_empty_are_as_if_left_out(api: Api) -> None:
    api.create(
        databases=[],
        users=[],
        nics=[],
        modules=[],
        locality=None,
        availability_zone=None,
        configuration=None,
        replica_of=None,
        replica_count=1,
        datastore={},
        restorePoint=None,
        access={"is_public": False},
        region_name=None,
    )


def test_a_single_database_and_user_may_be_objects(api: Api) -> None:
    api.create(databases={"name": "shop"}, users={"name": "app", "password": "S3cret"})


def test_a_flavor_may_be_a_number_or_a_link(api: Api) -> None:
    for reference in (1, "1", "https://db.example.org/v1.0/x/flavors/1"):
        api.create(flavorRef=reference)


@pytest.mark.parametrize("flavor", ["d2", {"id": "d2", "links": []}])
def test_a_flavor_may_be_named_as_openstacksdk_names_it(api: Api, flavor: object) -> None:
    id_ = api.create(flavorRef=None, flavor=flavor)
    shown = api.ask("GET", f"/instances/{id_}").json["instance"]
    assert shown["flavor"]["id"] == "d2"


def test_an_active_instance_is_shown_with_its_health_addresses_and_volume(api: Api) -> None:
    id_ = api.create()
    api.make_active(id_)
    api.set_row(
        id_, addresses=json.dumps([{"address": "10.1.1.20", "type": "private", "network": NETWORK}])
    )
    shown = api.ask("GET", f"/instances/{id_}").json["instance"]
    assert (shown["status"], shown["operating_status"]) == ("ACTIVE", "HEALTHY")
    assert shown["ip"] == ["10.1.1.20"]
    assert shown["addresses"][0]["network"] == NETWORK
    assert shown["access"] == {"is_public": False}
    assert shown["volume"] == {"size": 1, "used": 0.5, "used_percent": 25.0}
    listed = api.ask("GET", "/instances/detail").json["instances"][0]
    assert listed["volume"] == {"size": 1}


def test_a_guest_that_is_silent_too_long_is_in_error(api: Api) -> None:
    id_ = api.create()
    api.make_active(id_)
    ago = sqlalchemy.text("UPDATE guest_health SET heard_at = NOW(6) - INTERVAL 91 SECOND")
    api.run(lambda unit: unit.execute(ago))
    shown = api.ask("GET", f"/instances/{id_}").json["instance"]
    assert (shown["status"], shown["operating_status"]) == ("ACTIVE", "ERROR")


def test_a_fault_shows_its_details_to_administrators_only(api: Api) -> None:
    id_ = api.create()
    api.set_row(
        id_,
        status="ERROR",
        fault_message="no room",
        fault_details="host h1",
        fault_at=datetime(2026, 8, 20, 10, 30, 0, 5),  # noqa: DTZ001 # as the catalog keeps it
    )
    shown = api.ask("GET", f"/instances/{id_}").json["instance"]
    assert shown["fault"] == {
        "message": "no room",
        "created": "2026-08-20T10:30:00",
        "details": None,
    }
    admin = api.ask("GET", f"/instances/{id_}", X_Roles="admin").json["instance"]
    assert admin["fault"]["details"] == "host h1"
    assert admin["tenant_id"] == api.project
    assert {"server_id", "volume_id", "encrypted_rpc_messaging"} <= set(admin)


def test_replicas_and_their_source_show_each_other(api: Api) -> None:
    source, replica = api.create(), api.create()
    api.set_row(replica, replica_of=source)
    shown = api.ask("GET", f"/instances/{source}").json["instance"]
    assert [item["id"] for item in shown["replicas"]] == [replica]
    shown = api.ask("GET", f"/instances/{replica}").json["instance"]
    assert shown["replica_of"]["id"] == source


def test_pages_follow_each_other_and_hold_everything_once(api: Api) -> None:
    ids = {api.create() for _ in range(5)}
    seen: list[str] = []
    path = "/instances?limit=2&include_clustered=true"
    for expected in (2, 2, 1):
        answer = api.ask("GET", path).json
        assert len(answer["instances"]) == expected
        seen += [item["id"] for item in answer["instances"]]
        if "links" in answer:
            href = answer["links"][0]["href"]
            assert href.startswith(f"https://db.example.org:8779/v1.0/{api.project}/instances?")
            assert "limit=2&marker=" in href
            assert "include_clustered=true" in href
            path = href.partition(api.project)[2]
    assert "links" not in answer
    assert sorted(seen) == sorted(ids)
    assert len(seen) == 5


def test_a_page_that_is_just_full_has_no_next(api: Api) -> None:
    for _ in range(2):
        api.create()
    assert "links" not in api.ask("GET", "/instances?limit=2").json


@pytest.mark.parametrize("query", ["limit=x", "limit=-1", "limit=0", "limit=1.5", "marker=x%00"])
def test_a_page_that_cannot_be_is_refused(api: Api, query: str) -> None:
    answer = api.ask("GET", f"/instances?{query}")
    assert answer.status_code == 400
    assert query.partition("=")[0] in answer.json["badRequest"]["message"]


def test_another_project_sees_nothing_and_an_administrator_everything(api: Api) -> None:
    id_ = api.create()
    api.project = "e" * 32
    assert api.ask("GET", f"/instances/{id_}").status_code == 404
    assert api.ask("DELETE", f"/instances/{id_}").status_code == 404
    assert api.ask("PUT", f"/instances/{id_}", {"instance": {"name": "x"}}).status_code == 404
    assert api.ask("POST", f"/instances/{id_}/action", {"restart": {}}).status_code == 404
    assert api.ask("GET", "/instances").json == {"instances": []}
    assert api.ask("GET", f"/instances/{id_}", X_Roles="admin").status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_an_instance_is_renamed(api: Api, method: str) -> None:
    id_ = api.create()
    answer = api.ask(method, f"/instances/{id_}", {"instance": {"name": "Bücher"}})
    assert (answer.status_code, answer.text) == (202, "")
    assert answer.headers["content-type"] == "application/json"
    assert api.ask("GET", f"/instances/{id_}").json["instance"]["name"] == "Bücher"


@pytest.mark.parametrize("body", [{"instance": {}}, {"instance": {"configuration": None}}])
def test_detaching_a_configuration_that_is_not_attached_succeeds(api: Api, body: object) -> None:
    assert api.ask("PUT", f"/instances/{api.create()}", body).status_code == 202


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"replica_of": None}, 400, "not a replica"),
        ({"replica_of": ""}, 400, "not a replica"),
        ({"configuration": "x"}, 501, "configuration"),
        ({"datastore_version": "12.0"}, 501, "datastore_version"),
        ({"name": ""}, 400, "instance['name']"),
        ({"name": "..."}, 400, "letter or a digit"),
        ({"size": 1}, 400, "'size' was unexpected"),
        ({"configuration": None, "datastore_version": "x"}, 400, "Only one attribute"),
    ],
)
def test_other_updates_are_refused(api: Api, change: object, status: int, words: str) -> None:
    answer = api.ask("PUT", f"/instances/{api.create()}", {"instance": change})
    assert answer.status_code == status
    assert words in answer.text


def test_the_quota_is_charged_once_and_never_exceeded(api: Api) -> None:
    limits = {"quotas": {"instances": 2, "volumes": 3, "ram": 1024}}
    assert api.ask("PUT", f"/mgmt/quotas/{api.project}", limits, X_Roles="admin").status_code == 200
    api.create(volume={"size": 2})
    body = {"instance": {"name": "b", "flavorRef": "d2", "volume": {"size": 2}}}
    answer = api.ask("POST", "/instances", body)
    assert answer.status_code == 413
    assert answer.json["overLimit"]["message"] == (
        "Quota exceeded for resources: ['ram', 'volumes']."
    )
    assert api.usage() == {"instances": 1, "ram": 512, "volumes": 2, "backups": 0}
    assert len(api.ask("GET", "/instances").json["instances"]) == 1
