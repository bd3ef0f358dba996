"""The API's process, without a broker: it starts, serves, survives and stops in good order."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tests.catalog_server import CatalogServer
from tests.unit.api.conftest import write_datastores

PROJECT = "9f0c1d2e3b4a4c5d8e7f6a5b4c3d2e1f"
CREATE = {"instance": {"name": "orders", "flavorRef": "1", "volume": {"size": 1}}}


@dataclass(frozen=True)
class Service:
    process: subprocess.Popen[str]
    port: int

    def ask(self, method: str, path: str, body: object = None) -> tuple[int, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            headers = {"Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read() or "null")
        finally:
            connection.close()

    def create(self) -> tuple[int, Any]:
        return self.ask("POST", f"/v1.0/{PROJECT}/instances", CREATE)

    def workers(self) -> list[int]:
        pid = self.process.pid
        return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


@pytest.fixture
def catalog_url(catalog_server: CatalogServer) -> str:
    url = catalog_server.fresh()
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        write_datastores(connection)
    engine.dispose()
    return url


@pytest.fixture
def configuration(tmp_path: Path, catalog_url: str) -> Path:
    """A configuration whose broker refuses every connection."""
    key = tmp_path / "key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    file = tmp_path / "dbaas.conf"
    file.write_text(
        f"""
[DEFAULT]
transport_url = rabbit://guest:guest@127.0.0.1:1/ctl
[api]
bind_host = 127.0.0.1
bind_port = {free_port()}
workers = 2
auth_strategy = noauth
[catalog]
connection = {catalog_url}
[secrets]
master_key_file = {key}
[local]
state_dir = {tmp_path}/local
"""
    )
    return file


def start(configuration: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dbaas.api.service", "--config-file", str(configuration)],
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def ended(process: subprocess.Popen[str]) -> Iterator[list[str]]:
    """Give what the process has said so far, and see that it is gone afterwards."""
    said: list[str] = []
    assert process.stderr is not None
    reader = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
    reader.start()
    try:
        yield said
    finally:
        process.kill()
        process.wait()
        reader.join(10)
        process.stderr.close()


@pytest.fixture
def service(configuration: Path) -> Iterator[Service]:
    with serving(configuration) as made:
        yield made


@contextmanager
def serving(configuration: Path) -> Iterator[Service]:
    port = int(configuration.read_text().partition("bind_port = ")[2].split()[0])
    process = start(configuration)
    with ended(process) as said:
        made = Service(process, port)
        wait_until(lambda: answers(made), said)
        yield made


def answers(service: Service) -> bool:
    with suppress(OSError):
        return service.ask("GET", "/healthcheck")[0] == 200
    return False


def refuses(service: Service) -> bool:
    try:
        socket.create_connection(("127.0.0.1", service.port), timeout=30).close()
    except ConnectionRefusedError:
        return True
    return False


def wait_until(condition: Callable[[], bool], said: list[str] | None = None) -> None:
    for _ in range(200):
        if condition():
            return
        time.sleep(0.15)  # InnoDB shows its locks anew only to who has not looked for 0.1 s
    raise AssertionError("".join(said or ["it did not happen"]))


def test_creates_are_accepted_without_a_broker(service: Service) -> None:
    ids = {service.create()[1]["instance"]["id"] for _ in range(5)}
    status, body = service.ask("GET", f"/v1.0/{PROJECT}/instances")
    assert status == 200
    assert {item["id"] for item in body["instances"]} == ids
    status, body = service.ask("GET", f"/v1.0/{PROJECT}/operations?state=runnable")
    assert len(body["operations"]) == 5


def test_a_worker_that_dies_is_replaced(service: Service) -> None:
    for worker in service.workers():
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda gone=worker: gone not in service.workers())  # type: ignore[misc]
    wait_until(lambda: len(service.workers()) == 2 and answers(service))
    assert service.create()[0] == 200


def test_its_processes_keep_the_arguments_and_the_environment_that_they_are_known_by(
    service: Service,
) -> None:
    wait_until(lambda: len(service.workers()) == 2)
    for pid in (service.process.pid, *service.workers()):
        assert b"--config-file" in Path(f"/proc/{pid}/cmdline").read_bytes()
        assert b"PATH=" in Path(f"/proc/{pid}/environ").read_bytes()


def test_a_request_in_hand_is_answered_before_the_service_stops(
    service: Service, catalog_server: CatalogServer, catalog_url: str
) -> None:
    service.create()
    with catalog_server.connect(catalog_url.rpartition("/")[2]) as lock, lock.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM quota_usages FOR UPDATE")
        got: list[tuple[int, Any]] = []
        request = threading.Thread(target=lambda: got.append(service.create()))
        request.start()
        waiting = "SELECT COUNT(*) FROM information_schema.innodb_lock_waits"

        def is_waiting() -> bool:
            cursor.execute(waiting)
            row = cursor.fetchone()
            return row is not None and row[0] > 0

        wait_until(is_waiting)
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: refuses(service))  # rather than accept, and cut off in the end
        assert service.process.poll() is None
        cursor.execute("ROLLBACK")
    request.join(30)
    assert [status for status, _ in got] == [200]
    assert service.process.wait(30) == 0
    with pytest.raises(OSError, match="refused"):
        service.create()


def test_nobody_is_cut_off_when_the_service_stops(service: Service) -> None:
    cut: list[OSError] = []
    answered: list[int] = []

    def ask_until_refused() -> None:
        while True:
            try:
                answered.append(service.ask("GET", f"/v1.0/{PROJECT}/instances")[0])
            except ConnectionRefusedError:
                return
            except OSError as error:
                cut.append(error)

    tenants = [threading.Thread(target=ask_until_refused) for _ in range(8)]
    for tenant in tenants:
        tenant.start()
    wait_until(lambda: len(answered) > 100)
    service.process.send_signal(signal.SIGTERM)
    for tenant in tenants:
        tenant.join(30)
    assert cut == []
    assert set(answered) == {200}
    assert service.process.wait(30) == 0


def test_it_says_why_it_cannot_start(configuration: Path) -> None:
    Path(configuration.parent, "key").chmod(0o644)
    process = start(configuration)
    with ended(process) as said:
        assert process.wait(30) == 1
    assert "dbaas-api cannot start: " in "".join(said)
    assert "is readable by others: chmod 600 it" in "".join(said)


def test_a_load_balancer_is_told_before_the_service_stops(configuration: Path) -> None:
    text = configuration.read_text().replace("[api]", "[api]\ndrain = 3")
    configuration.write_text(text)
    with serving(configuration) as service:
        service.process.send_signal(signal.SIGTERM)
        wait_until(lambda: service.ask("GET", "/healthcheck")[0] == 503)
        assert service.create()[0] == 200
        assert service.process.poll() is None
        assert service.process.wait(30) == 0
