"""Every project's instances, for administrators and nobody else."""

from typing import Any

import pytest

from tests.unit.api.conftest import NETWORK, Api
from tests.unit.api.engine import Guest, newest


def test_an_administrator_asks_a_guest_agent_for_a_sign_of_life(
    api: Api, active: str, guest: Guest
) -> None:
    answer = api.ask("GET", f"/mgmt/instances/{active}/rpc_ping", X_Roles="admin")
    assert (answer.status_code, answer.text) == (204, "")
    assert guest.asked == ["ping"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_administrators_change_instances_by_the_tenants_routes(
    api: Api, active: str, method: str
) -> None:
    answer = api.ask(method, f"/mgmt/instances/{active}", {}, X_Roles="admin")
    assert answer.status_code == 501


def test_administrators_see_every_projects_instances_the_changed_ones_first(
    api: Api, active: str
) -> None:
    other = api.create(name="stock")
    gone = api.create(name="gone")
    api.set_row(gone, status="DELETED", deleted_at="2026-08-20 10:00:00")
    api.set_row(active, updated_at="2101-01-01 00:00:03")
    api.set_row(gone, updated_at="2101-01-01 00:00:02")
    api.set_row(other, updated_at="2101-01-01 00:00:01")

    def ids(query: str) -> list[str]:
        path = f"/mgmt/instances?project_id={api.project}{query}"
        answer = api.ask("GET", path, X_Roles="admin", X_Project_Id=api.project)
        return [one["id"] for one in answer.json["instances"]]

    assert ids("") == [active, gone, other]
    assert ids("&deleted=true") == [gone]
    assert ids("&deleted=False") == [active, other]
    assert ids("&limit=2") == [active, gone]
    assert ids("&limit=2&marker=2") == [other]
    everything = api.ask("GET", "/mgmt/instances?limit=3", X_Roles="admin").json
    assert [one["id"] for one in everything["instances"]] == [active, gone, other]
    assert everything["links"][0]["href"].endswith("/mgmt/instances?limit=3&marker=3")


def test_administrators_see_more_of_an_instance(api: Api, active: str) -> None:
    api.set_row(active, server_id="s-1", volume_id="v-1")
    shown = api.ask("GET", f"/mgmt/instances/{active}", X_Roles="admin").json["instance"]
    assert shown["tenant_id"] == api.project
    assert shown["server"] == {"id": "s-1"}
    assert shown["volume"] == {"id": "v-1", "size": 2, "used": 0.5, "total": 2.0}
    assert shown["service_status"] == "HEALTHY"
    assert shown["guest_status"] == {"state_description": "healthy"}
    assert (shown["deleted"], shown["deleted_at"]) == (False, None)
    assert shown["task_description"] == "No tasks for the instance."
    assert "root_enabled" not in shown


def test_a_deleted_instance_is_shown_to_administrators_who_ask_for_it(api: Api) -> None:
    id_ = api.create()
    api.set_row(id_, status="DELETED", deleted_at="2026-08-20 10:00:00")
    path = f"/mgmt/instances/{id_}"
    assert api.ask("GET", path, X_Roles="admin").status_code == 404
    shown = api.ask("GET", f"{path}?deleted=true", X_Roles="admin").json["instance"]
    assert (shown["deleted"], shown["deleted_at"]) == (True, "2026-08-20T10:00:00")
    assert shown["status"] == "SHUTDOWN"


def test_an_administrator_resets_a_task(api: Api, active: str) -> None:
    api.ask("POST", f"/instances/{active}/action", {"restart": {}})
    body: Any = {"reset-task-status": {}}
    answer = api.ask("POST", f"/mgmt/instances/{active}/action", body, X_Roles="admin")
    assert (answer.status_code, answer.text) == (202, "")
    assert newest(api.catalog, active).kind == "reset_status"
    assert api.ask("GET", f"/instances/{active}").json["instance"]["status"] == "ACTIVE"


def test_an_administrator_gives_a_guest_other_keys(api: Api, active: str) -> None:
    body: Any = {"rotate-keys": {}}
    path = f"/mgmt/instances/{active}/action"
    answer = api.ask("POST", path, body, X_Roles="admin")
    assert (answer.status_code, answer.text) == (202, "")
    assert newest(api.catalog, active).kind == "rotate_keys"
    assert api.ask("GET", f"/instances/{active}").json["instance"]["status"] == "ACTIVE"
    assert api.ask("POST", path, body, X_Roles="admin").status_code == 422  # it is being done
    built = api.create()
    answer = api.ask("POST", f"/mgmt/instances/{built}/action", body, X_Roles="admin")
    assert answer.status_code == 422
    assert "BUILD" in answer.text


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"stop": {}}, 501),
        ({"reboot": {}}, 501),
        ({"migrate": {"host": "compute-1"}}, 501),
        ({"rebuild": {"image_id": NETWORK}}, 501),
        ({"rebuild": {"image_id": "x"}}, 400),
        ({"migrate": {"to": "x"}}, 400),
        ({"stop": {}, "reboot": {}}, 400),
        ({"explode": {}}, 400),
        ({}, 400),
    ],
)
def test_other_actions_of_administrators_are_refused(
    api: Api, active: str, body: Any, code: int
) -> None:
    answer = api.ask("POST", f"/mgmt/instances/{active}/action", body, X_Roles="admin")
    assert answer.status_code == code, answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/mgmt/instances"),
        ("POST", "/mgmt/instances"),
        ("GET", "/mgmt/instances/{id}"),
        ("PUT", "/mgmt/instances/{id}"),
        ("PATCH", "/mgmt/instances/{id}"),
        ("DELETE", "/mgmt/instances/{id}"),
        ("POST", "/mgmt/instances/{id}/action"),
        ("GET", "/mgmt/instances/{id}/root"),
        ("GET", "/mgmt/instances/{id}/rpc_ping"),
        ("GET", "/mgmt/instances/{id}/diagnostics"),
        ("GET", "/mgmt/instances/{id}/hwinfo"),
        ("POST", "/mgmt/instances/{id}/upgrade"),
        ("GET", "/mgmt/clusters"),
        ("GET", "/mgmt/datastore-versions"),
        ("PUT", "/mgmt/quotas/{id}"),
    ],
)
def test_management_is_for_administrators(api: Api, active: str, method: str, path: str) -> None:
    answer = api.ask(method, path.replace("{id}", active), {"reset-task-status": {}})
    assert answer.status_code == 401
    fault = answer.json["unauthorized"]
    assert fault == {"code": 401, "message": "User does not have admin privileges."}
    assert newest(api.catalog, active).kind == "create_instance"
