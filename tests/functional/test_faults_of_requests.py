"""Requests as they come over the wire: refused ones, traced ones, and what they never leave."""

import http.client
import json
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dbaas.contract.operations import LedgerKind
from tests.functional.guest import Guest
from tests.functional.stack import PASSWORD, Stack

REQUEST_ID = re.compile(r"req-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
ANOTHER_PROJECT = "0123456789abcdef0123456789abcdef"


@pytest.fixture(scope="module")
def instance(stack: Stack) -> Iterator[dict[str, Any]]:
    made = stack.wait_until(stack.create("traced"), "ACTIVE")
    yield made
    assert stack.request("DELETE", f"instances/{made['id']}").status == http.client.ACCEPTED
    stack.wait_until(made["id"], "GONE")


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "key"),
    [
        ("GET", "nothing/here", {}, 404, "itemNotFound"),
        ("PATCH", "instances", {}, 404, "itemNotFound"),
        ("GET", "instances/", {}, 404, "itemNotFound"),
        ("GET", "instances/nobody", {}, 404, "itemNotFound"),
        ("GET", f"/v1.0/{ANOTHER_PROJECT}/instances", {}, 403, "forbidden"),
        ("GET", "instances", {"Authorization": "Basic bm9ib2R5Om5vdGhpbmc="}, 401, "unauthorized"),
        ("GET", "instances", {"Authorization": "Bearer of-nothing"}, 401, "unauthorized"),
        ("POST", "instances", {"Content-Type": "text/plain"}, 415, "badMediaType"),
        ("GET", "instances?limit=many", {}, 400, "badRequest"),
        ("GET", "clusters", {}, 501, "notImplemented"),
    ],
)
def test_a_refusal_has_its_envelope_and_a_request_id(
    stack: Stack, method: str, path: str, headers: Mapping[str, str], status: int, key: str
) -> None:
    body: object = {"instance": {}} if method in ("POST", "PATCH") else None
    answer = stack.request(method, path, body, headers=headers)
    assert (answer.status, answer.body[key]["code"]) == (status, status)
    assert len(answer.body[key]["message"]) > 10
    assert REQUEST_ID.fullmatch(answer.headers["x-openstack-request-id"])
    assert ("www-authenticate" in answer.headers) == (status == http.client.UNAUTHORIZED)


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET /" + b"x" * 100_000 + b" HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nLong: " + b"x" * 100_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    ],
    ids=["no http", "long path", "long header", "bad header", "bad length", "smuggling", "tls"],
)
def test_what_is_no_request_is_refused_and_does_no_harm(stack: Stack, sent: bytes) -> None:
    told = b""
    with (
        suppress(ConnectionError),  # it may hang up before it has read everything
        socket.create_connection(("127.0.0.1", stack.plan.ports.api), timeout=30) as link,
    ):
        link.sendall(sent)
        with suppress(OSError):
            link.shutdown(socket.SHUT_WR)
        while part := link.recv(65536):
            told += part
    assert told == b"" or 400 <= int(told.split()[1]) < 500
    assert stack.request("GET", "/healthcheck").status == http.client.OK


def test_a_request_is_traced_by_its_id_from_the_api_to_the_guest(
    stack: Stack, instance: dict[str, Any]
) -> None:
    answer = stack.request("POST", f"instances/{instance['id']}/action", {"restart": {}})
    number = answer.headers["x-openstack-request-id"]
    stack.wait_until(instance["id"], "ACTIVE")
    newest = stack.request("GET", f"operations?instance_id={instance['id']}").body["operations"][0]
    assert newest["request_id"] == number
    for service in ("dbaas-api", "dbaas-taskmanager"):
        assert number in (stack.plan.logs / f"{service}.log").read_text(), service
    guest = Guest(stack, instance["id"])
    assert number in guest.cloud.compute.console(guest.name(LedgerKind.SERVER))


def test_a_tenants_password_is_nowhere_in_the_clear(stack: Stack, instance: dict[str, Any]) -> None:
    secrets = (PASSWORD, stack.user().password.reveal())
    guest = Guest(stack, instance["id"])
    texts = {path.name: path.read_text(errors="replace") for path in stack.plan.logs.iterdir()}
    texts["console"] = guest.cloud.compute.console(guest.name(LedgerKind.SERVER))
    for row in stack.sql("SHOW TABLES"):
        (table,) = row.values()
        texts[table] = json.dumps(stack.sql(f"SELECT * FROM `{table}`"), default=str)
    assert {"operations", "commands", "dbaas-api.log"} <= texts.keys()
    found = [name for name, text in texts.items() if any(secret in text for secret in secrets)]
    assert found == []
    assert _open_files_of_others(stack.directory) == []


def _open_files_of_others(directory: Path) -> list[str]:
    """Return the configuration files that somebody other than their owner may read."""
    private = [*directory.glob("*.conf"), *directory.glob("openrc*"), *directory.glob("*.key")]
    assert private
    return [str(path) for path in private if path.stat().st_mode & 0o077]
