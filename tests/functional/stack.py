"""A whole stack for tests, in a directory of its own, driven by the command that operators use."""

import base64
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pymysql.cursors
from prometheus_client.parser import text_string_to_metric_families

from dbaas.manage.stack import credentials, lifecycle, plan, processes
from dbaas.manage.stack.plan import Plan
from tests.functional import place

BACKENDS = ("names", "broker", "catalog")
COMMAND_SECONDS = 180
API, *_ = lifecycle.SERVICES
DATABASE, USER, PASSWORD = "shop", "clerk", "p4ss-of-the-clerk"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: Any
    """Parsed when it is JSON, else text."""


@dataclass(frozen=True)
class Stack:
    """What a test knows of a stack. All of it is valid from the first `up` on."""

    directory: Path

    @property
    def plan(self) -> Plan:
        known = plan.load(self.directory)
        assert known is not None
        return known

    @property
    def configuration(self) -> Path:
        return self.plan.configuration

    def user(self, name: str = "demo") -> credentials.User:
        return credentials.ensure(self.plan).user(name)

    def openrc(self, name: str = "demo") -> dict[str, str]:
        """Return the variables that the user's openrc sets."""
        lines = self.plan.openrc(name).read_text().splitlines()
        pairs = (line.removeprefix("export ").partition("=") for line in lines)
        return {name: value for name, _, value in pairs if name.startswith("OS_")}

    def tenant(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `dbaas`, the tenant's commands."""
        done = subprocess.run(
            [str(Path(sys.executable).parent / "dbaas"), *arguments],
            env=os.environ | self.openrc(),
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def command(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `dbaas-manage stack` with these arguments."""
        command = [sys.executable, "-m", "dbaas.manage.stack", "--dir", str(self.directory)]
        done = subprocess.run(
            [*command, *arguments], capture_output=True, text=True, timeout=COMMAND_SECONDS
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `dbaas-manage` on this stack's configuration."""
        command = [str(Path(sys.executable).parent / "dbaas-manage")]
        done = subprocess.run(
            [*command, "--config-file", str(self.configuration), *arguments],
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        assert not check or done.returncode == 0, done.stdout + done.stderr
        return done

    def figures(self, program: str) -> dict[str, dict[tuple[str, ...], float]]:
        """Return what a program shows, by the names of figures and their labels' values."""
        port = self.plan.ports.api if program == API else self.plan.metrics[program]
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
            text = answer.read().decode()
        found: dict[str, dict[tuple[str, ...], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = tuple(value for _, value in sorted(sample.labels.items()))
                found.setdefault(sample.name, {})[labels] = sample.value
        return found

    def processes(self) -> list[int]:
        """Return the pids of everything that this stack started, guests apart."""
        return processes.of(self.plan)

    def kill_everything(self) -> None:
        """Send SIGKILL to all of it until nothing is left, what was started meanwhile included."""
        while pids := self.processes():
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.02)

    def request(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        user: str = "demo",
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request to the API; a path that does not begin with / is the project's."""
        who = self.user(user)
        token = base64.b64encode(f"{who.name}:{who.password.reveal()}".encode()).decode()
        sent = {"Authorization": f"Basic {token}", "Content-Type": "application/json"}
        target = path if path.startswith("/") else f"/v1.0/{who.project_id}/{path}"
        connection = http.client.HTTPConnection("127.0.0.1", self.plan.ports.api, timeout=60)
        try:
            data = None if body is None else json.dumps(body)
            connection.request(method, target, data, {**sent, **(headers or {})})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        told = {name.lower(): value for name, value in answer.getheaders()}
        is_json = "json" in told.get("content-type", "")
        return Answer(answer.status, told, json.loads(text) if text and is_json else text)

    def create(self, name: str, **more: object) -> str:
        """Ask for a small MariaDB with a database and a user of these names; return its id."""
        order = {
            "name": name,
            "flavorRef": "1",
            "volume": {"size": 1},
            "datastore": {"type": "mariadb", "version": "11.8"},
            "databases": [{"name": DATABASE}],
            "users": [{"name": USER, "password": PASSWORD, "databases": [{"name": DATABASE}]}],
        }
        answer = self.request("POST", "instances", {"instance": order | more})
        assert answer.status == http.client.OK, answer
        return str(answer.body["instance"]["id"])

    def wait_until(self, instance_id: str, status: str, seconds: float = 60.0) -> dict[str, Any]:
        """Return the instance as soon as it shows this status; `GONE` means that it is not found.

        It fails at once when the instance shows ERROR instead.
        """
        deadline = time.monotonic() + seconds
        while True:
            answer = self.request("GET", f"instances/{instance_id}")
            gone = answer.status == http.client.NOT_FOUND
            instance: dict[str, Any] = {} if gone else answer.body["instance"]
            shown = "GONE" if gone else instance["status"]
            if shown == status:
                return instance
            assert shown != "ERROR", self.request("GET", f"operations?instance_id={instance_id}")
            assert time.monotonic() < deadline, f"{instance_id} is {shown}, not {status}"
            time.sleep(0.05)

    def database(self, instance: Mapping[str, Any]) -> "pymysql.Connection[Any]":
        """Connect to an instance that `create` made, as its user, verifying its certificate."""
        authority = credentials.authority_files(self.plan)[0]
        return pymysql.connect(
            host=instance["ip"][0],
            user=USER,
            password=PASSWORD,
            database=DATABASE,
            autocommit=True,
            ssl={"ca": str(authority)},
            connect_timeout=10,
            read_timeout=60,
        )

    def sql(self, statement: str) -> list[dict[str, Any]]:
        """Execute a statement in the catalog and return the rows."""
        with self.catalog() as link, link.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def catalog(self) -> "pymysql.Connection[pymysql.cursors.DictCursor]":
        password = credentials.ensure(self.plan).catalog.reveal()
        return pymysql.connect(
            host="127.0.0.1",
            port=self.plan.ports.catalog,
            user=credentials.CATALOG_USER,
            password=password,
            database="dbaas",
            autocommit=True,
            cursorclass=pymysql.cursors.DictCursor,
        )


@contextmanager
def directory() -> Iterator[Stack]:
    """Give an empty directory for a stack; when done, take down what runs and remove it.

    Its path is short: the path of a unix socket is limited, and pytest's directories are deep.
    """
    stack = Stack(Path(tempfile.mkdtemp(prefix="dbaas-")))
    stack.directory.chmod(0o711)  # the broker and the catalog have accounts of their own
    try:
        yield stack
    finally:
        try:
            stack.command("down")
        finally:
            if plan.load(stack.directory):
                stack.kill_everything()
            shutil.rmtree(stack.directory)


@contextmanager
def running(*names: str, settings: str = "") -> Iterator[Stack]:
    """Have a stack, or only these programs of it, running in a network namespace of its own.

    `settings`: what its services are told besides. When it ends, nothing may be left of it,
    wherever it was.
    """
    with place.network_namespace() as namespace, place.inside(namespace), directory() as stack:
        (stack.directory / "local.conf").touch(mode=0o600)
        (stack.directory / "local.conf").write_text(settings)
        stack.command("up", *names)
        yield stack
        stack.command("down")
        assert_nothing_left(stack)


def assert_nothing_left(stack: Stack) -> None:
    """Look for what a stack may leave on a host, in the namespace that it had for itself."""
    assert stack.processes() == []
    assert place.interfaces() <= {"lo", "sit0", "tunl0", "ip6tnl0"}  # the kernel's own
    assert place.firewall() == ""
    assert place.loop_devices_on(stack.directory) == []
    assert place.mounts_of(stack.directory) == []
