"""The description of the API is about this API."""

import json
from collections.abc import Iterator
from typing import Any

import falcon.inspect
import pytest
from jsonschema import Draft202012Validator

from dbaas.api import app, described, faults, openapi
from tests.unit.api.conftest import Api, Wakes

METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture(scope="module")
def document() -> Any:
    return json.loads(json.dumps(openapi.document("http_basic")))


def served(application: app.App) -> set[tuple[str, str]]:
    return {
        (method.method, route.path)
        for route in falcon.inspect.inspect_routes(application)
        for method in route.methods
        if method.method in METHODS and not method.internal
    }


def told(document: Any) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}


def schemas(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if "schema" in value:
            yield value["schema"]
        for inner in value.values():
            yield from schemas(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from schemas(inner)


def test_it_has_exactly_the_routes_of_the_application(
    application: tuple[app.App, Wakes], document: Any
) -> None:
    assert told(document) == served(application[0])


def test_nobody_has_to_say_who_he_is_to_read_it(api: Api, document: Any) -> None:
    answer = api.simulate_get("/openapi.json")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json["openapi"] == "3.1.0"
    assert answer.json["paths"] == document["paths"]
    assert "security" not in answer.json, "of an API that asks nobody"


def test_every_schema_in_it_is_one(document: Any) -> None:
    found = list(schemas(document))
    assert len(found) > 100
    for schema in found:
        Draft202012Validator.check_schema(schema)


def test_every_placeholder_of_a_path_is_a_parameter(document: Any) -> None:
    for path, item in document["paths"].items():
        for operation in item.values():
            declared = [one["name"] for one in operation.get("parameters", ())]
            assert len(set(declared)) == len(declared)
            named = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert named == set(openapi._PLACEHOLDER.findall(path))


def test_every_reference_leads_somewhere(document: Any) -> None:
    for item in document["paths"].values():
        for operation in item.values():
            for answer in operation["responses"].values():
                if "$ref" in answer:
                    *_, kind, name = answer["$ref"].split("/")
                    assert name in document["components"][kind]


def test_operations_have_names_of_their_own(document: Any) -> None:
    names = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert len(set(names)) == len(names)


def test_faults_are_described_as_they_are_sent(api: Api, document: Any) -> None:
    answer = api.ask("GET", "/flavors/none")
    fault = document["components"]["responses"][str(answer.status_code)]
    Draft202012Validator(fault["content"]["application/json"]["schema"]).validate(answer.json)
    assert set(document["components"]["responses"]) == {str(code) for code in faults.KEYS}


def test_what_checks_a_body_describes_it(document: Any) -> None:
    operation = document["paths"]["/v1.0/{project}/instances"]["post"]
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    (check,) = described.SERVED["POST", "/instances"].bodies
    assert schema["required"] == check.schema["required"]
    inner = check.schema["properties"]["instance"]["properties"]
    assert schema["properties"]["instance"]["properties"].keys() == inner.keys()


@pytest.mark.parametrize(
    ("strategy", "scheme"),
    [
        ("keystone", {"type": "apiKey", "in": "header", "name": "X-Auth-Token"}),
        ("http_basic", {"type": "http", "scheme": "basic"}),
    ],
)
def test_it_says_how_to_prove_who_one_is(strategy: str, scheme: dict[str, str]) -> None:
    made = openapi.document(strategy)
    assert made["security"] == [{strategy: []}]
    assert made["components"]["securitySchemes"] == {strategy: scheme}
    assert made["paths"]["/healthcheck"]["get"]["security"] == []
