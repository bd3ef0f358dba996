"""Users of an instance: names and hosts in every spelling, passwords, rights."""

from typing import Any
from urllib.parse import quote, urlsplit

import pytest

from dbaas.contract.messages import UserKey, UserSpec
from dbaas.contract.secret import Secret
from tests.unit.api.conftest import Api
from tests.unit.api.engine import Guest


def path(instance_id: str, rest: str = "") -> str:
    return f"/instances/{instance_id}/users{rest}"


def has(guest: Guest, name: str, host: str = "%", *databases: str) -> UserKey:
    key = UserKey(name, host)
    guest.users[key] = UserSpec(name, Secret("old"), host, databases)
    return key


@pytest.mark.parametrize(
    "wrap", [lambda one: {"users": [one]}, lambda one: {"users": one}, lambda one: {"user": one}]
)
def test_a_user_is_made_shown_and_deleted(api: Api, active: str, guest: Guest, wrap: Any) -> None:
    user = {
        "name": "app",
        "password": "pass'\"\\%`;--/* ünï",
        "host": "10.1.%.%",
        "databases": [{"name": "shop"}, {"name": "shop"}, {"name": "archive"}],
    }
    answer = api.ask("POST", path(active), wrap(user))
    assert (answer.status_code, answer.text) == (202, "")
    made = guest.users[UserKey("app", "10.1.%.%")]
    assert made.password.reveal() == user["password"]
    shown = {
        "name": "app",
        "host": "10.1.%.%",
        "databases": [{"name": "archive"}, {"name": "shop"}],
    }
    assert api.ask("GET", path(active)).json == {"users": [shown]}
    id_ = quote("app@10.1.%.%", safe="")
    assert api.ask("GET", path(active, f"/{id_}")).json == {"user": shown}
    assert api.ask("GET", path(active, f"/{id_}/databases")).json == {
        "databases": shown["databases"]
    }
    answer = api.ask("DELETE", path(active, f"/{id_}"))
    assert (answer.status_code, answer.text) == (202, "")
    assert guest.users == {}


def test_a_user_may_be_posted_to_where_it_is_going_to_be(
    api: Api, active: str, guest: Guest
) -> None:
    body = {"users": {"name": "a.b", "password": "x1"}}  # as openstacksdk does it
    assert api.ask("POST", path(active, "/a.b"), body).status_code == 202
    assert list(guest.users) == [UserKey("a.b")]
    answer = api.ask("POST", path(active, "/other"), body)
    assert answer.status_code == 400
    assert "the user of the path, 'other', alone" in answer.json["badRequest"]["message"]


# A user; how a client may write it in a path.
SPELLINGS = [
    (UserKey("app"), "app"),
    (UserKey("app"), "app@%25"),
    (UserKey("app"), "app%40%25"),
    (UserKey("app"), "app%2540%2525"),
    (UserKey("app"), "app@"),
    (UserKey("a.b"), "a%2eb"),
    (UserKey("a.b"), "a.b%40%25"),
    (UserKey("a.b", "10.0.0.1"), "a%2eb%4010%2e0%2e0%2e1"),
    (UserKey("app.json"), "app.json"),
    (UserKey("app", "10.1.%.%"), "app@10.1.%25.%25"),
    (UserKey("app", "10.1.%.%"), "app%254010.1.%2525.%2525"),
    (UserKey("app", "10.0.0.0/24"), "app@10.0.0.0%2f24"),
    (UserKey("app", "10.0.0.0/24"), "app%4010.0.0.0%2F24"),
    (UserKey("app", "10.0.0.0/24"), "app%254010.0.0.0%252F24"),
    (UserKey("app", "10.0.0.0/24"), "app@10.0.0.9%2f24"),
    (UserKey("app", "10.0.0.0/24"), "app%4010%2e0%2e0%2e0/24"),
    (UserKey("app", "fd00::1"), "app@FD00:0::1"),
    (UserKey("app", "fd00::1"), "app%40fd00%3a%3a1"),
    (UserKey("me@home"), "me%40home%40%25"),
    (UserKey("me@home"), "me%2540home%2540%2525"),
    (UserKey("me@home", "10.0.0.1"), "me@home@10.0.0.1"),
    (UserKey("50%25"), "50%2525@%25"),
    (UserKey("a b"), "a%20b"),
    (UserKey("a+b"), "a+b"),
    (UserKey("яблоко"), quote("яблоко")),
    (UserKey("яблоко"), quote(quote("яблоко@%", safe=""), safe="")),
    (UserKey("a%FFb"), "a%25FFb"),
]


@pytest.mark.parametrize(("key", "spelling"), SPELLINGS, ids=lambda item: str(item)[:60])
def test_a_user_is_found_in_every_spelling(
    api: Api, active: str, guest: Guest, key: UserKey, spelling: str
) -> None:
    has(guest, key.name, key.host)
    has(guest, "other")
    answer = api.ask("GET", path(active, f"/{spelling}"))
    assert answer.status_code == 200, answer.text
    assert (answer.json["user"]["name"], answer.json["user"]["host"]) == (key.name, key.host)
    assert api.ask("GET", path(active, f"/{spelling}/databases")).json == {"databases": []}
    assert api.ask("DELETE", path(active, f"/{spelling}/databases/shop")).status_code == 404
    assert api.ask("DELETE", path(active, f"/{spelling}")).status_code == 202
    assert list(guest.users) == [UserKey("other")]


def test_pages_follow_each_other_by_name_and_host(api: Api, active: str, guest: Guest) -> None:
    keys = [has(guest, f"a%40b@{n}", host) for n in range(10) for host in ("10.1.%.%", "%")]
    found, marker = [], ""
    for _ in range(20):
        page = api.ask("GET", path(active, f"?limit=3{marker}")).json
        found += [UserKey(one["name"], one["host"]) for one in page["users"]]
        if "links" not in page:
            break
        marker = "&" + urlsplit(page["links"][0]["href"]).query.partition("&")[2]
    assert found == sorted(keys, key=lambda key: f"{key.name}@{key.host}")


def test_a_marker_is_encoded_twice_in_the_link(api: Api, active: str, guest: Guest) -> None:
    has(guest, "app", "10.1.%.%")
    has(guest, "zoe")
    (link,) = api.ask("GET", path(active, "?limit=1")).json["links"]
    assert link["href"].endswith("/users?limit=1&marker=app%254010.1.%2525.%2525")
    # Some clients send on what they find there, others decode it once.
    for marker in ("app%254010.1.%2525.%2525", "app%4010.1.%25.%25"):
        page = api.ask("GET", path(active, f"?limit=1&marker={marker}")).json
        assert [one["name"] for one in page["users"]] == ["zoe"]


def test_passwords_of_several_users_are_changed(api: Api, active: str, guest: Guest) -> None:
    one, two = has(guest, "app"), has(guest, "app", "10.0.0.1")
    body = {
        "users": [
            {"name": "app", "password": "new1"},
            {"name": "app", "password": "new2", "host": "10.0.0.1"},
        ]
    }
    answer = api.ask("PUT", path(active), body)
    assert (answer.status_code, answer.text) == (202, "")
    assert [guest.users[key].password.reveal() for key in (one, two)] == ["new1", "new2"]


def test_a_user_is_renamed_and_moved(api: Api, active: str, guest: Guest) -> None:
    has(guest, "app", "%", "shop")
    body: Any = {"user": {"name": "web", "host": "10.0.0.1/24", "password": "new"}}
    assert api.ask("PUT", path(active, "/app"), body).status_code == 202
    moved = guest.users[UserKey("web", "10.0.0.0/24")]
    assert (moved.password.reveal(), moved.databases) == ("new", ("shop",))
    assert len(guest.users) == 1
    body = {"user": {"host": None}}  # every host
    assert api.ask("PUT", path(active, "/web@10.0.0.0%2F24"), body).status_code == 202
    assert list(guest.users) == [UserKey("web")]


def test_rights_are_given_and_taken(api: Api, active: str, guest: Guest) -> None:
    key = has(guest, "app", "%", "shop")
    grants = path(active, "/app/databases")
    for body in (
        {"databases": [{"name": "stock"}]},
        {"databases": {"name": "stock"}},
        {"database": {"name": "a-b"}},
    ):
        assert api.ask("PUT", grants, body).status_code == 202
    assert guest.users[key].databases == ("shop", "stock", "a-b")
    # As one client calls it.
    answer = api.ask("DELETE", f"/{path(active, '/app/databases/a%2Db')}")
    assert (answer.status_code, answer.text) == (202, "")
    assert guest.users[key].databases == ("shop", "stock")
    assert api.ask("DELETE", f"{grants}/a-b").status_code == 404


def test_one_that_is_there_is_400_and_one_that_is_not_is_404(
    api: Api, active: str, guest: Guest
) -> None:
    has(guest, "app")
    has(guest, "web")
    one = {"name": "app", "password": "x1"}
    assert api.ask("POST", path(active), {"users": [one]}).status_code == 400
    taken = {"user": {"name": "web"}}
    assert api.ask("PUT", path(active, "/app"), taken).status_code == 400
    asked: tuple[tuple[str, str, Any], ...] = (
        ("GET", "/nobody", None),
        ("PUT", "/nobody", {"user": {"password": "x1"}}),
        ("DELETE", "/nobody", None),
        ("GET", "/app@10.0.0.1", None),
        ("GET", "/nobody/databases", None),
        ("PUT", "/nobody/databases", {"databases": [{"name": "shop"}]}),
        ("DELETE", "/nobody/databases/shop", None),
        ("DELETE", "/app/databases/shop", None),
    )
    for method, rest, sent in asked:
        answer = api.ask(method, path(active, rest), sent)
        assert answer.status_code == 404, (method, rest, answer.text)
    body = {"users": [{"name": "nobody", "password": "x1"}]}
    assert api.ask("PUT", path(active), body).status_code == 404


@pytest.mark.parametrize("name", ["root", "OS_ADMIN", "mariadb.sys"])
def test_the_services_own_are_refused_before_the_engine_is_asked(
    api: Api, active: str, guest: Guest, name: str
) -> None:
    user = {"name": name, "password": "S3cret"}
    for answer in (
        api.ask("POST", path(active), {"users": [user]}),
        api.ask("PUT", path(active), {"users": [user]}),
        api.ask("PUT", path(active, "/app"), {"user": {"name": name}}),
        api.ask("PUT", path(active, f"/{name}"), {"user": {"password": "S3cret"}}),
        api.ask("GET", path(active, f"/{name}")),
        api.ask("DELETE", path(active, f"/{name}")),
        api.ask("PUT", path(active, f"/{name}/databases"), {"databases": []}),
        api.ask("DELETE", path(active, f"/{name}/databases/shop")),
    ):
        assert answer.status_code == 400, answer.text
        assert "is reserved" in answer.json["badRequest"]["message"]
        assert "S3cret" not in answer.text
    assert guest.asked == []


HOSTILE = [
    "'", '"', "\\", ";", "`", ",", "/", "a'; DROP USER x; --", " a", "a ", "a\tb", "a\0b", "a\nb",
    "\U0001f600", "x" * 129, "", "\u200b", "a\u00a0b",
]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE, ids=repr)
def test_names_that_cannot_be_never_reach_the_engine(
    api: Api, active: str, guest: Guest, name: str
) -> None:
    user = {"name": name, "password": "x1"}
    for answer in (
        api.ask("POST", path(active), {"users": [user]}),
        api.ask("PUT", path(active), {"users": [user]}),
        api.ask("PUT", path(active, "/app"), {"user": {"name": name}}),
        api.ask("POST", path(active), {"users": [{**user, "name": "a", "host": name or "x"}]}),
        api.ask("PUT", path(active, "/app/databases"), {"databases": [{"name": name}]}),
    ):
        assert answer.status_code == 400, answer.text
        message = answer.json["badRequest"]["message"]
        assert message.startswith(("users[0]", "user['name']", "databases[0]", "Validation error"))
    if name:
        answer = api.ask("DELETE", path(active, f"/{quote(name, safe='')}"))
        assert answer.status_code == 400, answer.text
    assert guest.asked == []


LEGAL = [
    "a", "A", "0", "x" * 128, "app@home", "50%", "a_b", "a%b", "-- x", "a#b", "a*b", "(x)", "a b",
    "{0}", "$x", "&amp", "<b>", "ä", "яблоко", "名前", "a!b", "a?b", "a=b", "a|b", "a~b", "^", "%s",
]  # fmt: skip


@pytest.mark.parametrize("name", LEGAL, ids=repr)
def test_names_that_can_be_come_back_as_they_were(
    api: Api, active: str, guest: Guest, name: str
) -> None:
    body = {"users": [{"name": name, "password": name + "1"}]}
    assert api.ask("POST", path(active), body).status_code == 202
    key = UserKey(name)
    assert guest.users[key].password.reveal() == name + "1"
    once = quote(f"{name}@%", safe="")
    for spelling in (once, quote(once, safe="")):
        answer = api.ask("GET", path(active, f"/{spelling}"))
        assert answer.status_code == 200, answer.text
        assert answer.json["user"]["name"] == name
