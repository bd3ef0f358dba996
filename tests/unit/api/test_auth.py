"""Names and passwords of the users file."""

import time
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import bcrypt
import falcon.testing
import pytest
from oslo_config import cfg

from dbaas.api import app, auth
from dbaas.catalog.unit import Catalog
from dbaas.contract import errors
from tests.unit.api.conftest import Offers, Wakes

PROJECT = "9f0c1d2e3b4a4c5d8e7f6a5b4c3d2e1f"
Client = falcon.testing.TestClient


def line(name: str, password: str, project: str = PROJECT, roles: str = "member") -> str:
    hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()
    return f"{name}:{hashed}:{project}:{roles}\n"


@pytest.fixture
def users(tmp_path: Path) -> Path:
    file = tmp_path / "users"
    file.write_text("# who\n\n" + line("demo", "s:ecret") + line("boss", "b", roles="member,admin"))
    return file


@pytest.fixture
def client(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, catalog: Catalog, users: Path
) -> Client:
    conf = make_conf(catalog_url, auth_strategy="http_basic", users_file=str(users))
    return Client(app.make(conf, catalog, Offers(), Wakes()))


def ask(client: Client, name: str, password: str, project: str = PROJECT) -> int:
    credentials = b64encode(f"{name}:{password}".encode()).decode()
    return client.simulate_get(
        f"/v1.0/{project}/flavors", headers={"Authorization": f"Basic {credentials}"}
    ).status_code


def test_the_right_password_is_let_in_and_the_wrong_one_is_not(client: Client) -> None:
    assert ask(client, "demo", "s:ecret") == 200
    assert ask(client, "demo", "s:ecret") == 200
    assert ask(client, "demo", "secret") == 401
    assert ask(client, "nobody", "s:ecret") == 401
    assert ask(client, "demo", "") == 401
    assert ask(client, "demo", "x" * 100) == 401
    assert ask(client, "demo", "s:ecret\0") == 401


def test_a_user_of_another_project_is_forbidden(client: Client) -> None:
    assert ask(client, "demo", "s:ecret", "f" * 32) == 403


@pytest.mark.parametrize(
    "header",
    [None, "", "Basic", "Basic !", "Basic ZGVtbw==", "Bearer ZGVtbzp4", "Basic /////w=="],
)
def test_a_request_without_credentials_is_challenged(client: Client, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = client.simulate_get(f"/v1.0/{PROJECT}/flavors", headers=headers)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Basic ")
    assert answer.json["unauthorized"]["code"] == 401
    assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_a_path_that_there_is_not_is_challenged_too(client: Client) -> None:
    assert client.simulate_get("/v1.0/x/y").status_code == 401


def test_a_password_that_was_right_is_not_checked_again_for_a_minute(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ask(client, "demo", "s:ecret") == 200
    monkeypatch.setattr(bcrypt, "checkpw", lambda *_: False)
    assert ask(client, "demo", "s:ecret") == 200
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now + auth.REMEMBERED + 1)
    assert ask(client, "demo", "s:ecret") == 401


def test_a_change_of_the_file_counts_at_once(client: Client, users: Path) -> None:
    assert ask(client, "demo", "s:ecret") == 200
    users.write_text(line("other", "new password"))
    assert ask(client, "demo", "s:ecret") == 401
    assert ask(client, "other", "new password") == 200


def test_roles_come_from_the_file(client: Client) -> None:
    path = f"/v1.0/{PROJECT}/mgmt/quotas/{'a' * 32}"
    for name, password, status in (("demo", "s:ecret", 403), ("boss", "b", 200)):
        credentials = b64encode(f"{name}:{password}".encode()).decode()
        headers = {"Authorization": f"Basic {credentials}", "X-Roles": "admin"}
        assert client.simulate_get(path, headers=headers).status_code == status


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("demo", "line 1"),
        ("\ndemo:x:y:z", "line 2 of the users file: no bcrypt hash"),
        (line("a b", "x"), "no user name"),
        (line("a", "x", project="sp ace"), "'sp ace' is no project"),
    ],
)
def test_a_file_that_is_wrong_is_refused_with_the_line(text: str, words: str) -> None:
    with pytest.raises(errors.Invalid, match=words):
        auth.parse_users(text)


def test_the_service_refuses_to_start_without_what_its_strategy_needs(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, tmp_path: Path
) -> None:
    conf = make_conf(catalog_url, auth_strategy="http_basic")
    with pytest.raises(errors.Invalid, match="users_file"):
        auth.authenticator(conf)
    conf = make_conf(catalog_url, auth_strategy="http_basic", users_file=str(tmp_path / "none"))
    with pytest.raises(errors.Unavailable, match="cannot be read"):
        auth.authenticator(conf)
    conf = make_conf(catalog_url, auth_strategy="keystone")
    with pytest.raises(errors.Invalid, match=r"\[keystone_authtoken\] auth_type is not set"):
        auth.authenticator(conf)
