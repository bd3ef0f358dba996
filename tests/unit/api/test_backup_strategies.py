"""Where backups go, as a tenant sets it."""

from collections.abc import Callable
from typing import Any

import pytest

from dbaas.catalog import backup_strategies
from tests.unit.api.conftest import Api

PATH = "/backup_strategies"


def put(api: Api, **strategy: object) -> Any:
    return api.ask("POST", PATH, {"backup_strategy": strategy})


def test_a_strategy_is_set_shown_replaced_and_removed(api: Api) -> None:
    assert put(api, swift_container="one").status_code == 202
    answer = put(api, swift_container="two")
    shown = answer.json["backup_strategy"]
    assert (shown["instance_id"], shown["swift_container"]) == ("", "two")
    assert api.ask("GET", PATH).json == {"backup_strategies": [shown]}
    assert api.ask("DELETE", PATH).status_code == 202
    assert api.ask("DELETE", PATH).status_code == 202
    assert api.ask("GET", PATH).json == {"backup_strategies": []}


def test_an_instances_own_comes_before_its_projects(api: Api) -> None:
    instance = api.create()
    where: Callable[[], str | None] = lambda: api.run(  # noqa: E731
        lambda unit: backup_strategies.container(unit, api.project, instance)
    )
    assert where() is None
    put(api, swift_container="all")
    assert where() == "all"
    put(api, swift_container="own", instance_id=instance)
    assert where() == "own"
    listed = api.ask("GET", PATH, None).json["backup_strategies"]
    assert [one["swift_container"] for one in listed] == ["all", "own"]
    only = api.ask("GET", f"{PATH}?instance_id={instance}").json["backup_strategies"]
    assert [one["swift_container"] for one in only] == ["own"]


def test_a_strategy_of_an_instance_that_is_not_there_is_refused(api: Api) -> None:
    answer = put(api, swift_container="x", instance_id="6f1c0000-0000-4000-8000-000000000000")
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "strategy",
    [{}, {"swift_container": "a/b"}, {"swift_container": ""}, {"swift_container": "a", "x": 1}],
)
def test_a_strategy_that_cannot_be_is_refused(api: Api, strategy: dict[str, object]) -> None:
    assert put(api, **strategy).status_code == 400


def test_only_administrators_see_those_of_other_projects(api: Api) -> None:
    assert api.ask("GET", f"{PATH}?project_id=other", X_Roles="member").status_code == 403
    assert api.ask("GET", f"{PATH}?project_id=other", X_Roles="admin").status_code == 200
