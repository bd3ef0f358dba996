"""Guests that do not answer in time, and operations of theirs that are repeated or kept."""

import pytest

from dbaas.api.usecases import ask_guest
from dbaas.catalog import operations, tables
from tests.unit.api.conftest import Api
from tests.unit.api.engine import Guest


@pytest.fixture
def silent(guest: Guest, monkeypatch: pytest.MonkeyPatch) -> Guest:
    monkeypatch.setattr(ask_guest, "PATIENCE", 0.05)
    guest.silent = True
    return guest


def test_a_write_is_accepted_and_goes_on(api: Api, active: str, silent: Guest) -> None:
    body = {"databases": [{"name": "shop"}]}
    assert api.ask("POST", f"/instances/{active}/databases", body).status_code == 202
    assert silent.databases == {}
    silent.silent = False
    silent.serve(api.wakes.ids[-1])
    assert list(silent.databases) == ["shop"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/databases"),
        ("GET", "/users"),
        ("GET", "/users/app"),
        ("GET", "/users/app/databases"),
        ("POST", "/root"),
    ],
)
def test_a_read_and_root_are_given_up(
    api: Api, active: str, silent: Guest, method: str, path: str
) -> None:
    answer = api.ask(method, f"/instances/{active}{path}")
    assert answer.status_code == 503
    message = answer.json["serviceUnavailable"]["message"]
    assert f"Instance {active} does not answer now" in message
    assert api.wakes.ids[-1] in message
    assert api.ask("GET", f"/operations/{api.wakes.ids[-1]}").status_code == 200


def test_the_same_key_asks_once(api: Api, active: str, guest: Guest) -> None:
    body = {"users": [{"name": "app", "password": "S3cret"}]}
    for _ in range(2):
        answer = api.ask("POST", f"/instances/{active}/users", body, Idempotency_Key="k")
        assert answer.status_code == 202
    assert guest.asked == ["create_users"]


def test_no_password_is_kept_readable_and_no_answer_is_kept_at_all(
    api: Api, active: str, guest: Guest
) -> None:
    body = {"users": [{"name": "app", "password": "S3cretWord"}]}
    api.ask("POST", f"/instances/{active}/users", body, Idempotency_Key="u")
    api.ask("POST", f"/instances/{active}/root", {"password": "S3cretWord"}, Idempotency_Key="r")
    api.ask("GET", f"/instances/{active}/users")
    asked = api.run(lambda one: one.execute(tables.operations.select()).all())
    kept = api.run(lambda one: one.execute(tables.idempotency_keys.select()).all())
    assert "create_users" in str(asked)
    assert "operation_id" in str(kept)
    assert "S3cretWord" not in f"{asked}{kept}"
    read = api.wakes.ids[-1]
    assert api.run(lambda one: operations.outcome(one, read)).answer is None
