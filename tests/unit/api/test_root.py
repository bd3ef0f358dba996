"""Root: what the catalog remembers of it, and passwords that are made."""

import re

from tests.unit.api.conftest import Api
from tests.unit.api.engine import Guest


def test_root_is_enabled_with_a_strong_password_and_disabled(
    api: Api, active: str, guest: Guest
) -> None:
    path = f"/instances/{active}/root"
    assert api.ask("GET", path).json == {"rootEnabled": False}
    answer = api.ask("POST", path)
    assert answer.status_code == 200
    assert answer.json["user"]["name"] == "root"
    assert re.fullmatch(r"[0-9A-Za-z]{32}", answer.json["user"]["password"])
    assert guest.root == answer.json["user"]["password"]
    assert api.ask("GET", path).json == {"rootEnabled": True}
    again = api.ask("POST", path, {}).json["user"]["password"]
    assert guest.root == again != answer.json["user"]["password"]
    answer = api.ask("DELETE", path)
    assert (answer.status_code, answer.text) == (204, "")
    assert guest.root is None
    assert api.ask("GET", path).json == {"rootEnabled": False}


def test_a_password_may_be_given(api: Api, active: str, guest: Guest) -> None:
    answer = api.ask("POST", f"/instances/{active}/root", {"password": 'it\'s\\ "mine" %s'})
    assert answer.json == {"user": {"name": "root", "password": 'it\'s\\ "mine" %s'}}
    assert guest.root == 'it\'s\\ "mine" %s'


def test_root_that_was_not_enabled_cannot_be_disabled(api: Api, active: str, guest: Guest) -> None:
    assert api.ask("DELETE", f"/instances/{active}/root").status_code == 404
    assert api.wakes.ids == []


def test_an_instance_that_does_not_serve_is_422(api: Api, guest: Guest) -> None:
    id_ = api.create()
    api.make_active(id_, health="shutdown")
    for method in ("GET", "POST", "DELETE"):
        answer = api.ask(method, f"/instances/{id_}/root")
        assert answer.status_code == 422
        assert f"Instance {id_} is not ready, status: shutdown." in answer.text


def test_administrators_see_who_enabled_it_even_after_it_was_disabled(
    api: Api, active: str, guest: Guest
) -> None:
    path = f"/mgmt/instances/{active}/root"
    shown = api.ask("GET", path, X_Roles="admin").json
    assert shown == {"root_history": {"id": active, "enabled": "Never", "user": "Nobody"}}
    api.ask("POST", f"/instances/{active}/root", X_User_Id="mallory")
    api.ask("DELETE", f"/instances/{active}/root")
    history = api.ask("GET", path, X_Roles="admin").json["root_history"]
    assert history["user"] == "mallory"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", history["enabled"])
    shown = api.ask("GET", f"/mgmt/instances/{active}", X_Roles="admin").json["instance"]
    assert (shown["root_enabled"], shown["root_enabled_by"]) == (history["enabled"], "mallory")


def test_the_same_key_gives_the_same_password(api: Api, active: str, guest: Guest) -> None:
    path = f"/instances/{active}/root"
    first = api.ask("POST", path, {}, Idempotency_Key="k1").json
    guest.root = "unchanged"
    assert api.ask("POST", path, {}, Idempotency_Key="k1").json == first
    assert guest.root == "unchanged"
    assert len(api.wakes.ids) == 1
