"""What operators rely on when they start and stop a stack, whatever happened to it before."""

import json
import os
import pwd
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pymysql
import pytest

from dbaas.manage.stack import credentials
from tests.functional import place
from tests.functional import stack as stacks
from tests.functional.stack import BACKENDS, Stack

PATIENCE = 60.0
"""Seconds for what takes one or two, on a host that has other work."""


@pytest.fixture
def namespace() -> Iterator[None]:
    with place.network_namespace() as made, place.inside(made):
        yield


@pytest.fixture
def fresh(namespace: None) -> Iterator[Stack]:
    with stacks.directory() as stack:
        yield stack


def runs(stack: Stack, name: str) -> bool:
    """Tell whether `status` shows it running, or within its first second."""
    lines = stack.command("status", check=False).stdout.splitlines()
    cells = [[cell.strip() for cell in line.split("│")] for line in lines if "│" in line]
    return {row[1]: row[2] for row in cells}[name] in ("RUNNING", "STARTING")


def eventually(happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def owner(pid: int) -> int:
    return os.stat(f"/proc/{pid}").st_uid  # noqa: PTH116  # a directory of /proc


def test_a_stack_keeps_its_data_through_down_and_a_kill_of_everything(fresh: Stack) -> None:
    fresh.command("up", *BACKENDS)
    assert all(runs(fresh, name) for name in BACKENDS)
    fresh.sql("CREATE TABLE kept (word VARCHAR(10))")
    fresh.sql("INSERT INTO kept VALUES ('here')")
    ports, key = fresh.plan.ports, credentials.master_key_file(fresh.plan).read_text()

    fresh.kill_everything()
    assert fresh.processes() == []
    fresh.command("up", *BACKENDS)
    assert fresh.sql("SELECT word FROM kept") == [{"word": "here"}]

    fresh.command("down")
    stacks.assert_nothing_left(fresh)
    fresh.command("up", *BACKENDS)
    assert fresh.sql("SELECT word FROM kept") == [{"word": "here"}]
    assert fresh.plan.ports == ports
    assert credentials.master_key_file(fresh.plan).read_text() == key

    fresh.command("clean")
    assert not fresh.directory.exists()
    fresh.directory.mkdir()


def test_programs_whose_supervisor_was_killed_are_found_and_replaced(fresh: Stack) -> None:
    fresh.command("up", "catalog")
    supervisor = int((fresh.directory / "supervisord.pid").read_text())
    os.kill(supervisor, signal.SIGKILL)
    assert eventually(lambda: supervisor not in fresh.processes())
    orphans = fresh.processes()
    assert orphans
    fresh.command("up", "catalog")
    assert not set(orphans) & set(fresh.processes())
    assert runs(fresh, "catalog")


def test_a_program_that_dies_is_started_again(fresh: Stack) -> None:
    fresh.command("up", "catalog")
    pid = int((fresh.plan.catalog / "catalog.pid").read_text())
    os.kill(pid, signal.SIGKILL)
    assert eventually(lambda: _catalog_pid(fresh) not in (0, pid))
    assert eventually(lambda: _answers(fresh))


def _catalog_pid(stack: Stack) -> int:
    try:
        return int((stack.plan.catalog / "catalog.pid").read_text())
    except (FileNotFoundError, ValueError):  # it is being written
        return 0


def _answers(stack: Stack) -> bool:
    try:
        return stack.sql("SELECT 1 AS one") == [{"one": 1}]
    except pymysql.OperationalError:
        return False


def test_two_stacks_run_side_by_side(namespace: None) -> None:
    with stacks.directory() as one, stacks.directory() as other:
        one.command("up", "names", "catalog")
        other.command("up", "names", "catalog")
        one.sql("CREATE TABLE only_here (word VARCHAR(10))")
        assert other.sql("SHOW TABLES") == []
        assert not one.plan.subnet.overlaps(other.plan.subnet)
        one.command("down")
        assert other.sql("SELECT 1 AS one") == [{"one": 1}]


def test_a_stack_within_a_directory_that_others_cannot_enter_runs_as_root(fresh: Stack) -> None:
    fresh.directory.chmod(0o700)  # as a checkout in /root is
    fresh.command("up", *BACKENDS)
    assert fresh.sql("SELECT 1 AS one") == [{"one": 1}]
    assert set(map(owner, _children(fresh))) == {0}


def test_nothing_listens_beyond_its_place_nor_runs_as_root(fresh: Stack) -> None:
    fresh.command("up", *BACKENDS)
    names = {pwd.getpwuid(uid).pw_name for uid in map(owner, _children(fresh)) if uid < 60000}
    assert names == {"rabbitmq"}

    address = str(fresh.plan.bridge_address)
    beyond = {entry for entry in _listeners() if not entry.startswith("127.0.0.1:")}
    assert beyond - {f"[::1]:{fresh.plan.ports.names}"} == {f"{address}:{fresh.plan.ports.guests}"}

    trusting = ssl.create_default_context(cafile=credentials.authority_files(fresh.plan)[0])
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection((address, fresh.plan.ports.guests)) as link,
        trusting.wrap_socket(link, server_hostname=address) as secured,
    ):
        assert secured.version() == "TLSv1.3"


def _children(stack: Stack) -> list[int]:
    """Return the pids of the stack's programs without those of its supervisor."""
    supervisor = int((stack.directory / "supervisord.pid").read_text())
    return [pid for pid in stack.processes() if pid != supervisor]


def _listeners() -> set[str]:
    """Return every address on which something in this network namespace listens."""
    done = subprocess.run(["ss", "-Hltn"], check=True, capture_output=True, text=True)
    return {line.split()[3] for line in done.stdout.splitlines()}


def test_the_broker_has_its_vhosts_and_no_user_but_ours(fresh: Stack) -> None:
    fresh.command("up", "names", "broker")
    assert {user["user"] for user in _listed(fresh, "list_users")} == {"control"}
    assert {vhost["name"] for vhost in _listed(fresh, "list_vhosts")} == {"ctl", "guest"}


def _listed(stack: Stack, what: str) -> list[dict[str, Any]]:
    told = stack.command("rabbitmqctl", "--silent", "--formatter", "json", what).stdout
    listed: list[dict[str, Any]] = json.loads(told)
    return listed
