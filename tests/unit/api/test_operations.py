"""Operations as tenants see them."""

import sqlalchemy

from dbaas.catalog import tables
from tests.unit.api.conftest import Api


def test_operations_are_listed_the_newest_first_and_filtered(api: Api) -> None:
    first, second = api.create(), api.create()
    api.make_active(first)
    api.ask("DELETE", f"/instances/{first}")
    listed = api.ask("GET", "/operations").json["operations"]
    assert [(one["kind"], one["instance_id"]) for one in listed] == [
        ("delete_instance", first),
        ("create_instance", second),
        ("create_instance", first),
    ]
    only = api.ask("GET", f"/operations?instance_id={second}").json["operations"]
    assert [one["instance_id"] for one in only] == [second]
    assert api.ask("GET", "/operations?state=parked").json == {"operations": []}


def test_operations_come_in_pages(api: Api) -> None:
    ids = [api.create() for _ in range(3)]
    page = api.ask("GET", "/operations?limit=2").json
    path = page["links"][0]["href"].partition(api.project)[2]
    rest = api.ask("GET", path).json
    assert "links" not in rest
    assert [one["instance_id"] for one in page["operations"] + rest["operations"]] == ids[::-1]


def test_an_operation_shows_its_steps_and_why_it_failed(api: Api) -> None:
    id_ = api.create()
    (operation,) = api.ask("GET", f"/operations?instance_id={id_}").json["operations"]
    table, steps = tables.operations, tables.operation_steps

    def fail(unit: sqlalchemy.Connection) -> None:
        unit.execute(
            table.update().where(table.c.id == operation["id"]),
            {"state": "parked", "fault_kind": "Failed", "fault_message": "no room left"},
        )
        for n, state in enumerate(("done", "failed")):
            unit.execute(
                steps.insert().values(
                    operation_id=operation["id"], n=n, name=f"step {n}", state=state, attempts=n
                )
            )

    api.run(fail)
    shown = api.ask("GET", f"/operations/{operation['id']}").json["operation"]
    assert shown["state"] == "parked"
    assert shown["progress"] == 0.5
    assert shown["fault"] == {"message": "no room left", "details": None}
    assert [step["name"] for step in shown["steps"]] == ["step 0", "step 1"]
    assert shown["instance_id"] == id_
    assert shown["request_id"].startswith("req-")


def test_an_operation_of_another_project_cannot_be_found(api: Api) -> None:
    api.create()
    (operation,) = api.ask("GET", "/operations").json["operations"]
    api.project = "d" * 32
    assert api.ask("GET", "/operations").json == {"operations": []}
    assert api.ask("GET", f"/operations/{operation['id']}").status_code == 404
    assert api.ask("GET", f"/operations/{operation['id']}", X_Roles="admin").status_code == 200
    assert api.ask("GET", "/operations/nonsense").status_code == 404


def test_a_filter_that_cannot_be_is_refused(api: Api) -> None:
    for query, words in (("state=odd", "one of runnable, parked"), ("instance_id=x", "the id")):
        answer = api.ask("GET", f"/operations?{query}")
        assert answer.status_code == 400
        assert words in answer.text
