"""Datastores, versions, flavors, limits and quotas over REST."""

import pytest

from tests.unit.api.conftest import MARIADB, MARIADB_10_11, MARIADB_11_8, RATE, Api


def test_datastores_are_listed_with_their_active_versions(api: Api) -> None:
    (store,) = api.ask("GET", "/datastores").json["datastores"]
    assert (store["id"], store["name"]) == (MARIADB, "mariadb")
    assert store["default_version"] == MARIADB_11_8
    (version,) = store["versions"]
    assert set(version) == {"id", "name", "version", "links"}
    assert (version["name"], version["version"]) == ("11.8", "11.8.3")


def test_administrators_see_every_version_with_its_packages(api: Api) -> None:
    (store,) = api.ask("GET", "/datastores", X_Roles="admin").json["datastores"]
    assert [version["active"] for version in store["versions"]] == [False, True]
    assert store["versions"][0]["packages"] == "mariadb-server,mariadb-backup"
    assert store["versions"][0]["image_tags"] == ["dbaas"]


@pytest.mark.parametrize("name", ["mariadb", MARIADB])
def test_a_datastore_is_found_by_name_and_by_id(api: Api, name: str) -> None:
    assert api.ask("GET", f"/datastores/{name}").json["datastore"]["id"] == MARIADB
    (version,) = api.ask("GET", f"/datastores/{name}/versions").json["versions"]
    assert version["datastore"] == MARIADB


@pytest.mark.parametrize("name", ["11.8", MARIADB_11_8])
def test_a_version_is_found_by_name_and_by_id(api: Api, name: str) -> None:
    found = api.ask("GET", f"/datastores/mariadb/versions/{name}").json["version"]
    assert (found["id"], found["datastore"]) == (MARIADB_11_8, MARIADB)


def test_an_inactive_version_stays_readable_by_its_id(api: Api) -> None:
    found = api.ask("GET", f"/datastores/versions/{MARIADB_10_11}").json["version"]
    assert found["name"] == "10.11"


@pytest.mark.parametrize(
    ("path", "status", "words"),
    [
        ("/datastores/oracle", 404, "Datastore 'oracle' cannot be found."),
        ("/datastores/oracle/versions", 404, "Datastore 'oracle' cannot be found."),
        ("/datastores/mariadb/versions/9", 400, "Datastore version '9' cannot be found."),
        (f"/datastores/mariadb/versions/{MARIADB}", 404, "cannot be found"),
        (f"/datastores/versions/{MARIADB}", 400, "cannot be found"),
        ("/datastores/versions/11.8", 400, "must be named by its id here"),
        ("/datastores/mariadb/versions/9/flavors", 400, "cannot be found"),
        ("/flavors/9", 404, "Flavor 9 cannot be found: there are 1, d2."),
    ],
)
def test_what_is_not_offered_cannot_be_found(api: Api, path: str, status: int, words: str) -> None:
    answer = api.ask("GET", path)
    assert answer.status_code == status
    assert words in answer.text


def test_a_flavor_has_a_number_only_where_its_id_is_one(api: Api) -> None:
    tiny, small = api.ask("GET", "/flavors").json["flavors"]
    assert (tiny["id"], tiny["str_id"], tiny["ram"]) == (1, "1", 512)
    assert (small["id"], small["str_id"], small["disk"]) == (None, "d2", 10)
    assert api.ask("GET", "/flavors/d2").json["flavor"] == small
    associated = api.ask("GET", "/datastores/mariadb/versions/11.8/flavors").json["flavors"]
    assert associated == [tiny, small]


def test_the_first_limit_is_the_absolute_one(api: Api) -> None:
    body = {"quotas": {"volumes": 7}}
    api.ask("PUT", f"/mgmt/quotas/{api.project}", body, X_Roles="admin")
    absolute, *rates = api.ask("GET", "/limits").json["limits"]
    assert absolute == {
        "verb": "ABSOLUTE",
        "max_instances": 10,
        "max_ram": -1,
        "max_backups": 50,
        "max_volumes": 7,
    }
    assert [rate["verb"] for rate in rates] == ["POST", "PUT", "DELETE", "GET", "POST"]
    assert {rate["value"] for rate in rates} == {RATE}


def test_quotas_show_use_and_limit_of_every_resource(api: Api) -> None:
    api.create(volume={"size": 3})
    answer = api.ask("GET", f"/mgmt/quotas/{api.project}")
    assert answer.json == {
        "quotas": [
            {"resource": "instances", "in_use": 1, "reserved": 0, "limit": 10},
            {"resource": "ram", "in_use": 512, "reserved": 0, "limit": -1},
            {"resource": "volumes", "in_use": 3, "reserved": 0, "limit": 40},
            {"resource": "backups", "in_use": 0, "reserved": 0, "limit": 50},
        ]
    }


def test_only_administrators_change_quotas_and_see_those_of_others(api: Api) -> None:
    other = f"/mgmt/quotas/{'b' * 32}"
    body = {"quotas": {"instances": 20, "volumes": None, "ram": "-1"}}
    assert api.ask("GET", other).status_code == 403
    answer = api.ask("PUT", other, body)
    assert answer.status_code == 401
    assert answer.json["unauthorized"]["message"] == "User does not have admin privileges."
    answer = api.ask("PUT", other, body, X_Roles="admin")
    assert (answer.status_code, answer.json) == (200, {"quotas": {"instances": 20, "ram": -1}})
    shown = api.ask("GET", other, X_Roles="admin").json["quotas"]
    assert shown[0]["limit"] == 20


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"quotas": {"cpus": 1}}, 404),
        ({"quotas": {"ram": -2}}, 400),
        ({"quotas": {"ram": "x"}}, 400),
        ({"quotas": []}, 400),
        ({}, 400),
    ],
)
def test_quotas_that_cannot_be_are_refused(api: Api, body: object, status: int) -> None:
    answer = api.ask("PUT", f"/mgmt/quotas/{api.project}", body, X_Roles="admin")
    assert answer.status_code == status
