"""A request under an `Idempotency-Key` is done once."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy

from dbaas.catalog import idempotency
from tests.unit.api.conftest import Api

INSTANCE = {"name": "orders", "flavorRef": "1", "volume": {"size": 1}}
BODY = {"instance": INSTANCE}


def test_the_same_create_again_is_answered_the_same_and_makes_nothing(api: Api) -> None:
    first, second = (api.ask("POST", "/instances", BODY, Idempotency_Key="k1") for _ in range(2))
    assert first.status_code == second.status_code == 200
    assert first.json == second.json
    assert first.headers["x-dbaas-operation"] == second.headers["x-dbaas-operation"]
    assert len(api.wakes.ids) == 1
    assert api.usage()["instances"] == 1


def test_the_same_action_again_is_accepted_and_makes_nothing(api: Api) -> None:
    id_ = api.create()
    api.make_active(id_)
    for _ in range(2):
        body: dict[str, object] = {"restart": {}}
        answer = api.ask("POST", f"/instances/{id_}/action", body, Idempotency_Key="r")
        assert (answer.status_code, answer.text) == (202, "")


def test_another_request_under_the_same_key_is_refused(api: Api) -> None:
    api.ask("POST", "/instances", BODY, Idempotency_Key="k1")
    other = {"instance": INSTANCE | {"name": "other"}}
    answer = api.ask("POST", "/instances", other, Idempotency_Key="k1")
    assert answer.status_code == 422
    assert "use a new key" in answer.json["unprocessableEntity"]["message"]


def test_another_query_is_another_request(api: Api) -> None:
    path = f"/instances/{api.create()}"
    api.make_active(path.rpartition("/")[2])
    with_backup = f"{path}?final_backup=true"
    assert api.ask("DELETE", with_backup, Idempotency_Key="d").status_code == 202
    assert api.ask("DELETE", path, Idempotency_Key="d").status_code == 422
    assert api.ask("DELETE", with_backup, Idempotency_Key="d").status_code == 202


def test_keys_of_different_projects_have_nothing_to_do_with_each_other(api: Api) -> None:
    first = api.ask("POST", "/instances", BODY, Idempotency_Key="shared").json
    api.project = "c" * 32
    second = api.ask("POST", "/instances", BODY, Idempotency_Key="shared").json
    assert first["instance"]["id"] != second["instance"]["id"]


def test_a_request_that_was_refused_leaves_its_key_free(api: Api) -> None:
    wrong = {"instance": INSTANCE | {"flavorRef": "nope"}}
    assert api.ask("POST", "/instances", wrong, Idempotency_Key="k").status_code == 400
    assert api.ask("POST", "/instances", BODY, Idempotency_Key="k").status_code == 200


def test_twins_at_the_same_time_make_one_instance(api: Api) -> None:
    limit = {"quotas": {"instances": 1}}
    api.ask("PUT", f"/mgmt/quotas/{api.project}", limit, X_Roles="admin")
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda _: api.ask("POST", "/instances", BODY, Idempotency_Key="twin"), range(8)
            )
        )
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json["instance"]["id"] for answer in answers}) == 1


def test_a_key_is_forgotten_after_a_day(api: Api) -> None:
    first = api.ask("POST", "/instances", BODY, Idempotency_Key="old").json
    age = sqlalchemy.text("UPDATE idempotency_keys SET created_at = NOW(6) - INTERVAL 25 HOUR")
    api.run(lambda unit: unit.execute(age))
    second = api.ask("POST", "/instances", BODY, Idempotency_Key="old").json
    assert first["instance"]["id"] != second["instance"]["id"]
    api.run(lambda unit: unit.execute(age))
    assert api.run(idempotency.purge) > 0
    assert api.run(idempotency.purge) == 0


@pytest.mark.parametrize("key", ["", " ", "a b", "ä", "x" * 256])
def test_a_key_that_cannot_be_is_refused(api: Api, key: str) -> None:
    answer = api.ask("POST", "/instances", BODY, Idempotency_Key=key)
    assert answer.status_code == 400
    assert "Idempotency-Key must be" in answer.text
