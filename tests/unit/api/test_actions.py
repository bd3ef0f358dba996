"""What is done to an instance: statuses, operations, quotas, and who may when."""

import pytest
import sqlalchemy

from dbaas.catalog import operation_views, tables
from tests.unit.api.conftest import Api


def latest(api: Api, instance_id: str) -> operation_views.OperationView:
    found: operation_views.OperationView = api.catalog.read(
        lambda unit: operation_views.page(unit, instance_id=instance_id)
    )[0]
    return found


def status(api: Api, instance_id: str) -> str:
    word: str = api.ask("GET", f"/instances/{instance_id}").json["instance"]["status"]
    return word


def act(api: Api, instance_id: str, body: object, **headers: str) -> tuple[int, str]:
    answer = api.ask("POST", f"/instances/{instance_id}/action", body, **headers)
    if answer.status_code == 202:
        return 202, answer.text
    ((_, fault),) = answer.json.items()
    return answer.status_code, fault["message"]


@pytest.mark.parametrize("value", [{}, None])
def test_a_restart_is_accepted(api: Api, active: str, value: object) -> None:
    assert act(api, active, {"restart": value}) == (202, "")
    operation = latest(api, active)
    assert operation.kind == "restart_instance"
    assert api.wakes.ids == [operation.id]
    assert status(api, active) == "REBOOT"


@pytest.mark.parametrize("value", [{"size": 5}, {"size": "5"}, 5, "5"])
def test_a_volume_grows_and_the_difference_is_charged(api: Api, active: str, value: object) -> None:
    assert act(api, active, {"resize": {"volume": value}}) == (202, "")
    assert latest(api, active).kind == "resize_volume"
    assert status(api, active) == "RESIZE"
    assert api.usage()["volumes"] == 5


def test_a_resize_after_one_that_was_abandoned_is_not_charged_twice(api: Api, active: str) -> None:
    act(api, active, {"resize": {"volume": 5}})
    act(api, active, {"reset_status": {}}, X_Roles="admin")
    locks = tables.instance_locks
    api.run(lambda one: one.execute(locks.delete().where(locks.c.instance_id == active)))
    api.run(lambda one: one.execute(sqlalchemy.text("UPDATE guest_health SET service = 'healthy'")))
    assert act(api, active, {"resize": {"volume": 6}}) == (202, "")
    assert api.usage()["volumes"] == 6


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ({"resize": {"volume": {"size": 2}}}, 400, "2 is not more"),
        ({"resize": {"volume": {"size": 1}}}, 400, "can only grow"),
        ({"resize": {"volume": {"size": 0}}}, 400, "at least 1"),
        ({"resize": {"volume": {"size": "0"}}}, 400, "at least 1"),
        ({"resize": {"volume": {"size": 11}}}, 413, "at most 10 GiB, not 11"),
        ({"resize": {"volume": {"size": True}}}, 400, "size"),
        ({"resize": {"volume": {"size": 3.5}}}, 400, "size"),
        ({"resize": {"volume": {"size": 1e300}}}, 400, "size"),
        ({"resize": {"volume": None}}, 400, "volume"),
        ({"resize": {}}, 400, "resize"),
        ({"resize": {"memory": 1}}, 400, "'memory' was unexpected"),
        ({"resize": {"flavorRef": "1"}}, 400, "has the flavor 1 already"),
        ({"resize": {"flavorRef": "d9"}}, 400, "Flavor d9 cannot be found: there are 1, d2."),
        ({"restart": []}, 400, "restart must be an empty object"),
        ({"promote_to_replica_source": {}}, 501, "promote_to_replica_source"),
        ({"eject_replica_source": {}}, 501, "eject_replica_source"),
        ({"reset_password": {}}, 400, "'reset_password' is not known"),
        ({}, 400, "exactly one action, not 0"),
        ({"restart": {}, "resize": {"volume": 3}}, 400, "exactly one action, not 2"),
    ],
)
def test_actions_that_cannot_be_are_refused_and_change_nothing(
    api: Api, active: str, body: object, code: int, words: str
) -> None:
    found, message = act(api, active, body)
    assert (found, words in message) == (code, True), message
    assert status(api, active) == "ACTIVE"
    assert api.usage()["volumes"] == 2


def test_a_resize_beyond_the_quota_is_refused_whole(api: Api, active: str) -> None:
    body = {"quotas": {"volumes": 3}}
    api.ask("PUT", f"/mgmt/quotas/{api.project}", body, X_Roles="admin")
    assert act(api, active, {"resize": {"volume": 4}})[0] == 413
    assert status(api, active) == "ACTIVE"
    assert api.usage()["volumes"] == 2


def test_a_busy_instance_refuses_in_the_words_that_clients_match(api: Api, active: str) -> None:
    act(api, active, {"restart": {}})
    assert act(api, active, {"restart": {}}) == (
        422,
        f"Instance {active} is not currently available for an action to be performed "
        "(task status was REBOOTING).",
    )


def test_an_instance_in_build_is_not_ready(api: Api) -> None:
    id_ = api.create()
    assert act(api, id_, {"restart": {}}) == (422, f"Instance {id_} is not ready.")


def test_an_instance_whose_guest_is_in_error_is_not_available(api: Api) -> None:
    id_ = api.create()
    api.make_active(id_, health="unknown")
    assert act(api, id_, {"restart": {}}) == (
        422,
        f"Instance {id_} is not currently available for an action to be performed "
        "(instance status was ERROR).",
    )


def test_a_delete_is_accepted_twice_and_done_once(api: Api, active: str) -> None:
    for _ in range(2):
        answer = api.ask("DELETE", f"/instances/{active}")
        assert (answer.status_code, answer.text) == (202, "")
    kinds = [
        one.kind
        for one in api.catalog.read(lambda unit: operation_views.page(unit, instance_id=active))
    ]
    assert kinds.count("delete_instance") == 1
    assert status(api, active) == "SHUTDOWN"
    assert api.usage()["instances"] == 1  # given back by the operation's last step


def test_a_delete_in_build_is_refused(api: Api) -> None:
    id_ = api.create()
    answer = api.ask("DELETE", f"/instances/{id_}")
    assert answer.status_code == 422
    assert answer.json["unprocessableEntity"]["message"] == (
        f"Instance {id_} is not ready. (Status is BUILD)"
    )


def test_a_delete_supersedes_what_is_going_on(api: Api, active: str) -> None:
    act(api, active, {"restart": {}})
    restart = latest(api, active)
    assert api.ask("DELETE", f"/instances/{active}").status_code == 202
    delete = latest(api, active)
    assert delete.kind == "delete_instance"
    superseded = api.catalog.read(lambda unit: operation_views.show(unit, restart.id))
    assert superseded.superseded_by == delete.id


def test_a_force_delete_works_at_once_in_build(api: Api) -> None:
    id_ = api.create()
    # As clients do it: two calls, both by the owner.
    assert act(api, id_, {"reset_status": {"force_delete": True}}) == (202, "")
    assert status(api, id_) == "ERROR"
    assert api.ask("DELETE", f"/instances/{id_}").status_code == 202
    assert status(api, id_) == "SHUTDOWN"


def test_a_reset_brings_an_active_instance_back_until_its_guest_reports(
    api: Api, active: str
) -> None:
    act(api, active, {"restart": {}})
    assert act(api, active, {"reset_status": {}}, X_Roles="admin") == (202, "")
    shown = api.ask("GET", f"/instances/{active}").json["instance"]
    assert (shown["status"], shown["operating_status"]) == ("ACTIVE", "ERROR")


def test_a_reset_of_a_delete_does_not_claim_that_the_instance_is_whole(
    api: Api, active: str
) -> None:
    api.ask("DELETE", f"/instances/{active}")
    act(api, active, {"reset_status": {}}, X_Roles="admin")
    assert status(api, active) == "ERROR"
    assert api.ask("DELETE", f"/instances/{active}").status_code == 202


def test_only_administrators_reset_a_status(api: Api, active: str) -> None:
    assert act(api, active, {"reset_status": {}}) == (
        403,
        "Policy doesn't allow instance:reset_status to be performed.",
    )


def test_an_instance_that_is_not_there_is_404(api: Api) -> None:
    for id_ in ("6f1c0000-0000-4000-8000-000000000000", "nonsense", "%00", "%F0%9F%98%80"):
        answer = api.ask("POST", f"/instances/{id_}/action", {"restart": {}})
        assert answer.status_code == 404
        assert "cannot be found" in answer.json["itemNotFound"]["message"]
