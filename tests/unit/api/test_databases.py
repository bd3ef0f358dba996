"""Databases of an instance: what its engine is asked, and how its answers look."""

from urllib.parse import parse_qs, urlsplit

import pytest

from dbaas.contract.messages import DatabaseSpec
from tests.unit.api.conftest import Api
from tests.unit.api.engine import Guest


def path(instance_id: str, rest: str = "") -> str:
    return f"/instances/{instance_id}/databases{rest}"


@pytest.mark.parametrize(
    "body",
    [
        {"databases": [{"name": "shop", "character_set": "utf8mb4", "collate": "utf8mb4_bin"}]},
        # As openstacksdk sends it.
        {"database": {"name": "shop", "character_set": "utf8mb4", "collate": "utf8mb4_bin"}},
        {"databases": {"name": "shop", "character_set": "utf8mb4", "collate": "utf8mb4_bin"}},
    ],
)
def test_a_database_is_made_shown_and_deleted(
    api: Api, active: str, guest: Guest, body: object
) -> None:
    answer = api.ask("POST", path(active), body)
    assert (answer.status_code, answer.text) == (202, "")
    assert answer.headers["content-type"] == "application/json"
    assert guest.databases == {"shop": DatabaseSpec("shop", "utf8mb4", "utf8mb4_bin")}
    assert api.ask("GET", path(active)).json == {"databases": [{"name": "shop"}]}
    answer = api.ask("DELETE", path(active, "/shop"))
    assert (answer.status_code, answer.text) == (202, "")
    assert guest.databases == {}


def test_an_empty_list_is_accepted(api: Api, active: str, guest: Guest) -> None:
    assert api.ask("POST", path(active), {"databases": []}).status_code == 202
    assert guest.databases == {}


def test_what_was_made_in_sql_shows(api: Api, active: str, guest: Guest) -> None:
    guest.databases["100%; DROP"] = DatabaseSpec("100%; DROP")
    assert api.ask("GET", path(active)).json == {"databases": [{"name": "100%; DROP"}]}


def test_pages_follow_each_other_whatever_the_names(api: Api, active: str, guest: Guest) -> None:
    names = [f"a%{n:02} &/+ü" for n in range(45)]
    guest.databases = {name: DatabaseSpec(name) for name in names}
    found, marker = [], None
    for _ in range(9):
        query = "" if marker is None else f"&marker={marker}"
        page = api.ask("GET", path(active, f"?limit=7{query}")).json
        found += [one["name"] for one in page["databases"]]
        if "links" not in page:
            break
        ((link,),) = (page["links"],)
        assert link["rel"] == "next"
        href = urlsplit(link["href"])
        assert (href.scheme, href.netloc) == ("https", "db.example.org:8779")
        assert parse_qs(href.query)["limit"] == ["7"]
        marker = href.query.partition("marker=")[2]
    assert found == names


def test_a_page_has_twenty_at_most_and_no_link_when_it_is_the_last(
    api: Api, active: str, guest: Guest
) -> None:
    guest.databases = {f"d{n:02}": DatabaseSpec(f"d{n:02}") for n in range(21)}
    page = api.ask("GET", path(active, "?limit=500")).json
    assert len(page["databases"]) == 20
    del guest.databases["d20"]
    assert "links" not in api.ask("GET", path(active)).json


@pytest.mark.parametrize("spelling", ["a%23b@c", "a%23b%40c", "a%2523b%2540c"])
def test_a_name_may_be_encoded_once_or_twice(
    api: Api, active: str, guest: Guest, spelling: str
) -> None:
    guest.databases["a#b@c"] = DatabaseSpec("a#b@c")
    assert api.ask("DELETE", path(active, f"/{spelling}")).status_code == 202
    assert guest.databases == {}


def test_one_that_is_there_is_400_and_one_that_is_not_is_404(
    api: Api, active: str, guest: Guest
) -> None:
    guest.databases["shop"] = DatabaseSpec("shop")
    answer = api.ask("POST", path(active), {"databases": [{"name": "shop"}]})
    assert answer.status_code == 400
    assert answer.json["badRequest"]["message"] == "Database 'shop' exists already."
    answer = api.ask("DELETE", path(active, "/stock"))
    assert answer.status_code == 404
    assert "'stock'" in answer.json["itemNotFound"]["message"]


def test_one_database_cannot_be_shown(api: Api, active: str, guest: Guest) -> None:
    assert api.ask("GET", path(active, "/shop")).status_code == 501
    assert guest.asked == []


@pytest.mark.parametrize("name", ["mysql", "Information_Schema", "sys", "performance_schema"])
def test_the_engines_own_are_refused_before_it_is_asked(
    api: Api, active: str, guest: Guest, name: str
) -> None:
    for answer in (
        api.ask("POST", path(active), {"databases": [{"name": name}]}),
        api.ask("DELETE", path(active, f"/{name}")),
    ):
        assert answer.status_code == 400
        assert "is reserved" in answer.json["badRequest"]["message"]
    assert guest.asked == []


def test_an_instance_that_does_not_serve_is_422(api: Api, guest: Guest) -> None:
    building = api.create()
    crashed = api.create()
    api.make_active(crashed, health="crashed")
    for id_, word in ((building, "BUILD"), (crashed, "crashed")):
        for answer in (
            api.ask("GET", path(id_)),
            api.ask("POST", path(id_), {"databases": [{"name": "shop"}]}),
            api.ask("DELETE", path(id_, "/shop")),
        ):
            assert answer.status_code == 422
            message = answer.json["unprocessableEntity"]["message"]
            assert message == f"Instance {id_} is not ready, status: {word}."


def test_a_database_can_be_made_while_the_volume_grows(api: Api, active: str, guest: Guest) -> None:
    api.ask("POST", f"/instances/{active}/action", {"resize": {"volume": 3}})
    assert api.ask("POST", path(active), {"databases": [{"name": "shop"}]}).status_code == 202
    assert list(guest.databases) == ["shop"]
