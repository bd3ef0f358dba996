"""Paths, versions, faults of routing, and what comes later."""

from collections.abc import Callable
from pathlib import Path

import falcon.testing
import pytest
from oslo_config import cfg

from dbaas.api import app
from dbaas.api.resources import later
from dbaas.catalog.unit import Catalog
from tests.unit.api.conftest import Api, Offers, Wakes


def test_the_version_is_shown_to_anybody(api: Api) -> None:
    answer = api.simulate_get("/")
    assert answer.status_code == 200
    assert answer.json == {
        "versions": [
            {
                "id": "v1.0",
                "status": "CURRENT",
                "updated": "2012-08-01T00:00:00Z",
                "links": [{"rel": "self", "href": "http://db.example.org:8779/v1.0/"}],
            }
        ]
    }
    for path in ("/v1.0", "/v1.0/"):
        assert api.simulate_get(path).json == {"version": answer.json["versions"][0]}


def test_a_public_endpoint_replaces_the_host_in_the_version(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, catalog: Catalog, tmp_path: Path
) -> None:
    file = tmp_path / "out-of-rotation"
    conf = make_conf(
        catalog_url,
        public_endpoint="https://cloud.example.org/database/",
        healthcheck_disabling_file=str(file),
    )
    client = falcon.testing.TestClient(app.make(conf, catalog, Offers(), Wakes()))
    (version,) = client.simulate_get("/").json["versions"]
    assert version["links"][0]["href"] == "https://cloud.example.org/database/v1.0/"
    assert client.simulate_get("/healthcheck").status_code == 200
    file.touch()
    assert client.simulate_get("/healthcheck").status_code == 503


def test_every_answer_has_a_request_id_of_its_own(api: Api) -> None:
    ids = {
        api.simulate_get(path).headers["x-openstack-request-id"]
        for path in ("/", "/healthcheck", "/nope", f"/v1.0/{api.project}/instances", "/v1.0/x/y")
    }
    assert len(ids) == 5
    assert all(id_.startswith("req-") and len(id_) == 40 for id_ in ids)


def test_the_project_of_the_path_must_be_the_callers_also_for_administrators(api: Api) -> None:
    for roles in ("member", "admin"):
        answer = api.ask("GET", "/instances", X_Project_Id="f" * 32, X_Roles=roles)
        assert answer.status_code == 403
        assert answer.json["forbidden"]["code"] == 403
        assert f"use /v1.0/{'f' * 32}" in answer.json["forbidden"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/instances/"),
        ("GET", "/instances/detail/"),
        ("GET", ""),
        ("GET", "/"),
        ("GET", "/nope"),
        ("PUT", "/instances"),
        ("DELETE", "/instances"),
        ("PATCH", "/flavors"),
        ("POST", "/limits"),
        ("GET", "/instances/6f1c0000-0000-4000-8000-000000000000/action"),
        ("GET", "/instances/6f1c0000-0000-4000-8000-000000000000/metadata"),
        ("GET", "/security-groups"),
        ("GET", "/security-group-rules"),
        ("GET", "/volume-types"),
        ("GET", "/mgmt/hosts"),
        ("GET", "/mgmt/storage"),
        ("GET", "/mgmt/accounts"),
        ("GET", "/mgmt/flavors"),
        ("PUT", "/mgmt/datastore-versions/x"),
        ("PATCH", "/backups"),
        ("GET", "/extensions"),
    ],
)
def test_a_route_or_method_that_there_is_not_is_404(api: Api, method: str, path: str) -> None:
    answer = api.ask(method, path)
    assert answer.status_code == 404
    assert answer.json == {
        "itemNotFound": {"code": 404, "message": "The resource could not be found."}
    }


@pytest.mark.parametrize("slashes", ["//", "///"])
def test_more_slashes_between_project_and_resource_are_accepted(api: Api, slashes: str) -> None:
    id_ = api.create()
    assert api.ask("GET", f"{slashes}instances/{id_}").status_code == 200
    body = {"instance": {"name": "renamed"}}
    assert api.ask("PUT", f"{slashes}instances/{id_}", body).status_code == 202


def test_an_unversioned_path_takes_its_version_from_the_accept_header(api: Api) -> None:
    path = f"/{api.project}/instances"
    vendor = "application/vnd.openstack.trove+json;version="
    assert api.simulate_get(path, headers={"Accept": f"{vendor}1.0"}).status_code == 200
    answer = api.simulate_get(path, headers={"Accept": f"{vendor}2.0"})
    assert (answer.status_code, "'2.0'" in answer.text) == (406, True)
    versioned = f"/v1.0/{api.project}/instances"
    assert api.simulate_get(versioned, headers={"Accept": f"{vendor}2.0"}).status_code == 200


def test_an_answer_is_json_whatever_is_asked_for(api: Api) -> None:
    answer = api.ask("GET", "/instances", Accept="text/html")
    assert answer.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    ("method", "path"),
    [(method, path) for methods, path, _ in later.ROUTES for method in methods.split()],
)
def test_what_comes_later_says_so(api: Api, method: str, path: str) -> None:
    answer = api.ask(method, path.replace("{", "").replace("}", ""), {}, X_Roles="admin")
    assert answer.status_code == 501
    assert "not available in this version" in answer.json["notImplemented"]["message"]


def test_an_unexpected_error_is_answered_with_an_id_and_without_its_cause(
    application: tuple[app.App, Wakes], api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret cause")

    monkeypatch.setattr(api.catalog, "read", fail)
    answer = api.ask("GET", "/instances")
    assert answer.status_code == 500
    message = answer.json["instanceFault"]["message"]
    assert message.startswith("Internal Server Error. Please keep this ID to help us figure out")
    assert "secret" not in answer.text
