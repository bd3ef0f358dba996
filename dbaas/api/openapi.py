"""The description of this API: an OpenAPI 3.1 document, made of the schemas that check requests."""

import json
import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import falcon

from dbaas.api import described, faults
from dbaas.api.described import PROJECT, Parameter, Route
from dbaas.api.middleware import OPERATION
from dbaas.api.schemas import answers
from dbaas.api.schemas.check import Check

Json = dict[str, Any]

_ID = {"type": "string", "format": "uuid"}
_IDS = frozenset(("instance_id", "operation_id"))
_PROJECT_ID = {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,64}$"}
_NAME = {"type": "string", "minLength": 1}
_PLACEHOLDER = re.compile(r"{(\w+)}")

_ALWAYS = (
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_WITH_BODY = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNSUPPORTED_MEDIA_TYPE)

_SECURITY: Mapping[str, Json] = {
    "keystone": {"type": "apiKey", "in": "header", "name": "X-Auth-Token"},
    "http_basic": {"type": "http", "scheme": "basic"},
}
"""By `auth_strategy`."""

_REQUEST_ID = "x-openstack-request-id"


def document(auth_strategy: str) -> Json:
    """Return the document for an API whose users prove who they are in this way."""
    scheme = _SECURITY.get(auth_strategy)
    paths: dict[str, Json] = {}
    for method, path, route in described.everything():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, route)
    components: Json = {
        "responses": {str(status.value): _fault(status) for status in _known_faults()},
        "headers": {
            _REQUEST_ID: {"schema": answers.TEXT, "description": "What the logs know it by."},
            OPERATION: {"schema": _ID, "description": "The operation that it began, if it did."},
        },
    }
    made: Json = {
        "openapi": "3.1.0",
        "info": {
            "title": "Database as a Service",
            "version": "1.0",
            "description": "Compatible with version 1.0 of OpenStack's Database service API.",
        },
        "paths": paths,
        "components": components,
    }
    if scheme is not None:
        components["securitySchemes"] = {auth_strategy: scheme}
        made["security"] = [{auth_strategy: []}]
    return made


class Document:
    """Answers with it; it is made when it is first asked for."""

    def __init__(self, auth_strategy: str) -> None:
        self._auth_strategy = auth_strategy
        self._made: bytes | None = None

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        if self._made is None:
            self._made = json.dumps(document(self._auth_strategy)).encode()
        resp.data = self._made


def _operation(method: str, path: str, route: Route) -> Json:
    is_open = not path.startswith(PROJECT)
    names = _PLACEHOLDER.findall(path)
    made: Json = {
        "operationId": _identifier(method, path),
        "summary": route.text,
        "responses": {
            str(route.status.value): _answer(route),
            **{
                str(status.value): {"$ref": f"#/components/responses/{status.value}"}
                for status in _faults(route, is_open=is_open)
            },
        },
    }
    parameters = [_path_parameter(name) for name in names]
    parameters += [_parameter(one) for one in route.parameters]
    if parameters:
        made["parameters"] = parameters
    if route.bodies:
        made["requestBody"] = {
            "required": route.body_required,
            "content": {"application/json": {"schema": _body(route.bodies)}},
        }
    if is_open:
        made["security"] = []
    return made


def _identifier(method: str, path: str) -> str:
    words = path.removeprefix(PROJECT).split("/")
    return method.lower() + "_".join(word.strip("{}") for word in words)


def _answer(route: Route) -> Json:
    names = [_REQUEST_ID, OPERATION] if _is_accepted_once(route) else [_REQUEST_ID]
    made: Json = {
        "description": route.status.phrase,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in names},
    }
    if route.gives is not None:
        made["content"] = {route.media_type: {"schema": route.gives}}
    return made


def _is_accepted_once(route: Route) -> bool:
    """Return whether it takes a key under which it is repeated, as all that begin operations."""
    return any(one.place == "header" for one in route.parameters)


def _faults(route: Route, *, is_open: bool) -> Iterable[HTTPStatus]:
    found = set(route.faults)
    if is_open:
        found.add(HTTPStatus.SERVICE_UNAVAILABLE)
    else:
        found |= {*_ALWAYS}
    if route.bodies:
        found |= {*_WITH_BODY}
    if route.parameters:
        found.add(HTTPStatus.BAD_REQUEST)
    if _is_accepted_once(route):
        found.add(HTTPStatus.UNPROCESSABLE_ENTITY)  # the same key for another request
    return sorted(found)


def _known_faults() -> list[HTTPStatus]:
    return [HTTPStatus(code) for code in faults.KEYS]


def _fault(status: HTTPStatus) -> Json:
    key = faults.KEYS[status]
    schema = {**answers.item({key: answers.FAULT}), "additionalProperties": False}
    return {
        "description": status.phrase,
        "headers": {_REQUEST_ID: {"$ref": f"#/components/headers/{_REQUEST_ID}"}},
        "content": {"application/json": {"schema": schema}},
    }


def _path_parameter(name: str) -> Json:
    schema = _PROJECT_ID if name == "project" else _ID if name in _IDS else _NAME
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _parameter(one: Parameter) -> Json:
    return {
        "name": one.name,
        "in": one.place,
        "required": False,
        "description": one.text,
        "schema": one.schema,
    }


def _body(checks: tuple[Check, ...]) -> Any:
    schemas = [_portable(check.schema) for check in checks]
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _portable(schema: Any) -> Any:
    r"""Return `schema` with patterns as others write them: the end of a text, `\Z`, is Python's."""
    if isinstance(schema, Mapping):
        made = {key: _portable(value) for key, value in schema.items()}
        if isinstance(made.get("pattern"), str):
            made["pattern"] = made["pattern"].replace(r"\Z", "$")
        return made
    if isinstance(schema, list | tuple):
        return [_portable(item) for item in schema]
    return schema
