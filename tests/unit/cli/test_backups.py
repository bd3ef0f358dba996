"""A command shows the operation that it began, whatever else the project does meanwhile."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from typer.testing import CliRunner

from dbaas.cli.archives import archives
from dbaas.cli.backups import backups

OPERATION = "the-one-that-was-begun"
GONE = "6f1c0000-0000-4000-8000-000000000000"
ENDED: dict[str, Any] = {"state": "succeeded", "steps": []}
ANSWERS: dict[str, Any] = {
    "/backups/b1": {"backup": {"id": "b1", "verification": {"restorable": True}}},
    "/backups/b1/verify": {},
    f"/operations/{OPERATION}": {"operation": ENDED},
    f"/backups?instance_id={GONE}&marker=0": {"backups": []},
    "/instances": {"instances": [{"id": GONE, "name": "detail"}]},
    f"/instances/{GONE}/recovery": {"recovery": {"windows": []}},
}
"""All that this API knows: neither other operations nor a list of them."""

asked: list[str] = []


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer({})

    def do_POST(self) -> None:
        self._answer({"X-Dbaas-Operation": OPERATION})

    def do_DELETE(self) -> None:
        self._answer({"X-Dbaas-Operation": OPERATION})

    def _answer(self, headers: dict[str, str]) -> None:
        asked.append(self.path)
        body = json.dumps(ANSWERS.get(self.path, {})).encode()
        self.send_response(200 if self.path in ANSWERS else 404)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *given: Any) -> None:
        pass


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    asked.clear()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("OS_ENDPOINT", f"http://127.0.0.1:{server.server_address[1]}")
    monkeypatch.setenv("OS_TOKEN", "good")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("command", ["verify", "delete"])
@pytest.mark.usefixtures("api")
def test_a_command_follows_the_operation_that_it_began(command: str) -> None:
    done = CliRunner().invoke(backups, [command, "b1"])
    assert done.exit_code == 0, done.output
    assert f"/operations/{OPERATION}" in asked
    assert set(asked) <= set(ANSWERS)


@pytest.mark.usefixtures("api")
def test_backups_of_an_instance_that_is_gone_are_listed_by_its_id() -> None:
    done = CliRunner().invoke(backups, ["list", "--instance", GONE])
    assert done.exit_code == 0, done.output


@pytest.mark.usefixtures("api")
@pytest.mark.parametrize("name", ["detail", GONE])
def test_an_instance_is_found_by_any_name_and_after_its_end_by_its_id(name: str) -> None:
    done = CliRunner().invoke(archives, ["show", name])
    assert done.exit_code == 0, done.output
    assert asked[-1] == f"/instances/{GONE}/recovery"
