"""Who may do what with a real Keystone's tokens, and what happens when Keystone is away."""

import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import requests
import sqlalchemy

from tests import catalog_server as catalog_servers
from tests.functional import clients, keystone, place
from tests.functional.keystone import PASSWORD, Keystone
from tests.functional.test_api_process import ended, free_port, start, wait_until
from tests.unit.api.conftest import write_datastores

CACHED_SECONDS = 2
CREATE = {"instance": {"name": "orders", "flavorRef": "1", "volume": {"size": 1}}}


@dataclass(frozen=True)
class Place:
    """The network, Keystone and catalog of these tests; what the API's configuration says."""

    keystone: Keystone
    configuration: str


@dataclass(frozen=True)
class Api:
    keystone: Keystone
    port: int

    def ask(
        self, method: str, project: str, path: str, token: str | None, body: object = None
    ) -> requests.Response:
        """Send a request on the path of a project, given by its name."""
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["X-Auth-Token"] = token
        return requests.request(
            method,
            f"http://127.0.0.1:{self.port}/v1.0/{self.keystone.projects[project]}{path}",
            data=None if body is None else json.dumps(body),
            headers=headers,
            timeout=60,
        )

    def status(self, project: str, path: str, token: str | None) -> int:
        return self.ask("GET", project, path, token).status_code


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A Keystone with two shops, and a user of each; the administrator has a project apart."""
    home = tmp_path_factory.mktemp("keystone")
    with (
        place.network_namespace() as namespace,
        place.inside(namespace),
        catalog_servers.running() as catalog,
        keystone.running(home, free_port()) as known,
    ):
        url = catalog.fresh()
        engine = sqlalchemy.create_engine(url)
        with engine.begin() as connection:
            write_datastores(connection)
        engine.dispose()
        for project in ("service", "books", "toys"):
            known.add_project(project)
        known.add_user("dbaas", {"service": "service"})
        known.add_user("ann", {"books": "member"})
        known.add_user("bob", {"toys": "member"})
        key = home / "key"
        key.write_text("ab" * 32)
        key.chmod(0o600)
        yield Place(
            known,
            f"""
[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:1/ctl
[catalog]
connection = {url}
[secrets]
master_key_file = {key}
[local]
state_dir = {home}/local
[keystone_authtoken]
www_authenticate_uri = {known.url}
auth_type = password
username = dbaas
password = {PASSWORD}
user_domain_name = Default
project_name = service
project_domain_name = Default
token_cache_time = {CACHED_SECONDS}
http_request_max_retries = 0
""",
        )


def serving(here: Place, home: Path, auth_url: str) -> Iterator[Api]:
    port = free_port()
    configuration = home / "dbaas.conf"
    configuration.write_text(
        f"{here.configuration}auth_url = {auth_url}\n"
        f"[api]\nauth_strategy = keystone\nbind_host = 127.0.0.1\nbind_port = {port}\n"
    )
    made = Api(here.keystone, port)

    def answers() -> bool:
        try:
            return requests.get(f"http://127.0.0.1:{port}/healthcheck", timeout=5).ok
        except requests.RequestException:
            return False

    with ended(start(configuration)) as said:
        wait_until(answers, said)
        yield made


@pytest.fixture(scope="module")
def api(here: Place, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    for made in serving(here, tmp_path_factory.mktemp("api"), here.keystone.url):
        here.keystone.add_service("database", f"http://127.0.0.1:{made.port}/v1.0/%(project_id)s")
        yield made


@pytest.fixture
def ann(here: Place) -> str:
    return here.keystone.token("ann", "books")


@pytest.fixture
def admin(here: Place) -> str:
    return here.keystone.token("admin", "admin")


def create(api: Api, token: str) -> str:
    answer = api.ask("POST", "books", "/instances", token, CREATE)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["instance"]["id"])


def test_a_token_shows_its_own_project(api: Api, ann: str) -> None:
    id_ = create(api, ann)
    listed = api.ask("GET", "books", "/instances", ann).json()["instances"]
    assert id_ in {instance["id"] for instance in listed}
    assert api.status("books", f"/instances/{id_}", ann) == 200


def test_a_token_for_another_project_than_the_paths_is_forbidden(api: Api, ann: str) -> None:
    answer = api.ask("GET", "toys", "/instances", ann)
    assert answer.status_code == 403
    assert "which is not yours" in answer.json()["forbidden"]["message"]


def test_even_an_administrator_uses_his_own_project_in_the_path(api: Api, admin: str) -> None:
    assert api.status("books", "/instances", admin) == 403


def test_a_token_for_no_project_is_forbidden(api: Api, here: Place) -> None:
    answer = api.ask("GET", "books", "/instances", here.keystone.token("ann", None))
    assert answer.status_code == 403
    assert "The token is not for a project" in answer.json()["forbidden"]["message"]


@pytest.mark.parametrize(
    "token", [None, "", "garbage", "gAAAAAB" + "x" * 200, "\u00ff\u00fe", "x" * 6000]
)
def test_who_has_no_valid_token_is_told_where_to_get_one(
    api: Api, here: Place, token: str | None
) -> None:
    answer = api.ask("GET", "books", "/instances", token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == f'Keystone uri="{here.keystone.url}"'
    assert answer.json()["unauthorized"]["code"] == 401
    assert answer.headers["x-openstack-request-id"].startswith("req-")


def test_headers_that_only_keystonemiddleware_may_set_are_not_believed(api: Api, ann: str) -> None:
    url = f"http://127.0.0.1:{api.port}/v1.0/{api.keystone.projects['toys']}/instances"
    claimed = {
        "X-Identity-Status": "Confirmed",
        "X-Project-Id": api.keystone.projects["toys"],
        "X-User-Id": "bob",
        "X-Roles": "admin",
    }
    assert requests.get(url, headers=claimed, timeout=30).status_code == 401
    assert (
        requests.get(url, headers={**claimed, "X-Auth-Token": ann}, timeout=30).status_code == 403
    )
    own = f"http://127.0.0.1:{api.port}/v1.0/{api.keystone.projects['books']}/mgmt/quotas/other"
    answer = requests.put(
        own, headers={**claimed, "X-Auth-Token": ann}, json={"quotas": {}}, timeout=30
    )
    assert answer.status_code == 401, "the role in the header counted"


def test_an_expired_token_is_refused_although_it_is_remembered(api: Api, here: Place) -> None:
    token = here.keystone.token("ann", "books")
    began = time.monotonic()
    assert api.status("books", "/flavors", token) == 200
    until = began + keystone.TOKEN_SECONDS + 1
    while time.monotonic() < until:
        time.sleep(0.2)
    answer = api.ask("GET", "books", "/flavors", token)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Keystone ")


def test_a_revoked_token_is_refused(api: Api, here: Place, ann: str) -> None:
    here.keystone.revoke(ann)
    assert api.status("books", "/flavors", ann) == 401


def test_a_revoked_token_is_forgotten_as_soon_as_the_operator_wants(
    api: Api, here: Place, ann: str
) -> None:
    assert api.status("books", "/flavors", ann) == 200
    here.keystone.revoke(ann)
    time.sleep(CACHED_SECONDS + 0.5)
    assert api.status("books", "/flavors", ann) == 401


def test_another_projects_instance_is_not_found_but_by_an_administrator(
    api: Api, here: Place, ann: str, admin: str
) -> None:
    id_ = create(api, ann)
    bob = here.keystone.token("bob", "toys")
    assert api.status("toys", f"/instances/{id_}", bob) == 404
    assert api.ask("DELETE", "toys", f"/instances/{id_}", bob).status_code == 404
    shown = api.ask("GET", "admin", f"/instances/{id_}", admin)
    assert shown.status_code == 200
    assert shown.json()["instance"]["id"] == id_


def test_management_is_for_the_role_admin(api: Api, here: Place, ann: str, admin: str) -> None:
    path = f"/mgmt/quotas/{here.keystone.projects['books']}"
    change = {"quotas": {"instances": 7}}
    refused = api.ask("PUT", "books", path, ann, change)
    assert refused.status_code == 401
    assert refused.json()["unauthorized"]["message"] == "User does not have admin privileges."
    assert api.ask("PUT", "admin", path, admin, change).status_code == 200
    shown = api.ask("GET", "books", path, ann).json()["quotas"]
    assert {quota["resource"]: quota["limit"] for quota in shown}["instances"] == 7


def test_an_application_credential_may_do_what_its_access_rules_say(
    api: Api, here: Place, ann: str
) -> None:
    known = here.keystone
    rule = {"path": "/v1.0/*/instances", "method": "GET", "service": "database"}
    credential: dict[str, Any] = known.call(
        "POST",
        f"/users/{known.users['ann']}/application_credentials",
        {"application_credential": {"name": "lister", "access_rules": [rule]}},
        token=ann,
    )["application_credential"]
    identity = {"id": credential["id"], "secret": credential["secret"]}
    token = known.token("ann", None, application_credential=identity)
    assert api.status("books", "/instances", token) == 200
    assert api.status("books", "/flavors", token) == 401
    assert api.ask("POST", "books", "/instances", token, CREATE).status_code == 401


def test_the_openstack_client_finds_the_service_in_keystones_catalog(
    api: Api, here: Place, ann: str
) -> None:
    known = here.keystone
    id_ = create(api, ann)
    variables = {
        "OS_AUTH_URL": known.url,
        "OS_USERNAME": "ann",
        "OS_PASSWORD": PASSWORD,
        "OS_PROJECT_NAME": "books",
        "OS_USER_DOMAIN_NAME": "Default",
        "OS_PROJECT_DOMAIN_NAME": "Default",
        "OS_REGION_NAME": "RegionOne",
        "OS_IDENTITY_API_VERSION": "3",
    }
    listed = clients.Clients(clients.environment(), variables).json("database", "instance", "list")
    assert id_ in {instance["ID"] for instance in listed}


def test_a_keystone_that_is_away_is_no_fault_of_the_token(
    here: Place, tmp_path: Path, ann: str
) -> None:
    for api in serving(here, tmp_path, f"http://127.0.0.1:{free_port()}/v3"):
        answer = api.ask("GET", "books", "/instances", ann)
        assert answer.status_code == 503
        assert "Keystone" in answer.json()["serviceUnavailable"]["message"]
        assert api.status("books", "/instances", None) == 401


def test_a_service_user_whom_keystone_refuses_is_no_fault_of_the_token(
    here: Place, tmp_path: Path, ann: str
) -> None:
    wrong = Place(here.keystone, here.configuration.replace(PASSWORD, "another's"))
    for api in serving(wrong, tmp_path, here.keystone.url):
        assert api.status("books", "/instances", ann) == 503
