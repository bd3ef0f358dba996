"""The agent is killed in the middle of each command: started again, it goes on with it."""

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

import pymysql
import pytest

from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.guestagent.desk import QUICK
from dbaas.manage.stack import credentials
from tests.chaos import agents, requests
from tests.chaos.ground import Ground
from tests.outcomes import Part, Tell

CHANGES: Mapping[str, str] = {
    "restart": "restart_instance",
    "grow_volume": "resize_volume",
    "use_memory": "resize_flavor",
}
"""By the verb, the operation that has it."""

_GRANTED = {"databases": [{"name": "killed"}]}
_USER = {"name": "victim", "password": "p1", "databases": []}

INSIDE: Mapping[str, tuple[str, str, object]] = {
    "enable_root": ("POST", "root", None),
    "create_databases": ("POST", "databases", {"databases": [{"name": "killed"}]}),
    "create_users": ("POST", "users", {"users": [_USER]}),
    "change_users": ("PUT", "users/victim", {"user": {"password": "p2"}}),
    "grant_access": ("PUT", "users/victim/databases", _GRANTED),
    "revoke_access": ("DELETE", "users/victim/databases/killed", None),
    "delete_user": ("DELETE", "users/victim", None),
    "delete_database": ("DELETE", "databases/killed", None),
    "disable_root": ("DELETE", "root", None),
}
"""What changes something inside the engine, which can be made to wait: method, path, body."""

READS: Mapping[str, str] = {
    "list_databases": "databases",
    "list_users": "users",
    "show_user": f"users/{requests.USER}",
}

ELSEWHERE = {
    *("release_volume", "take_volume"),
    *("take_backup", "restore_backup", "check_data", "archive", "merge_archive"),
}
"""What no guest of one host is asked, since its volume grows in use: see
`tests/contract/test_volume_away.py`. And what is about backups and archives: see
`test_backup_faults.py`."""


def test_each_command_of_an_agent_is_killed_in_its_middle() -> None:
    born = ("introduce", "prepare")
    assert {*born, *CHANGES, *INSIDE, *READS, *ELSEWHERE} == set(GUEST_VERBS) - QUICK


def test_an_instance_is_made_and_changed_though_its_agent_is_killed_in_each_command(
    ground: Ground, tell: Tell
) -> None:
    instance = requests.create_instance(ground)
    for verb in ("introduce", "prepare"):
        agents.kill_in(ground, instance, verb)
    ground.wait_until_done([instance], "ACTIVE")
    for verb, kind in CHANGES.items():
        requests.CHANGES[kind].ask(ground, instance)
        agents.kill_in(ground, instance, verb)
        ground.wait_until_done([instance], "ACTIVE")
    longest = max(ended.seconds for ended in ground.history(instance))
    with ground.stack.database(ground.details(instance)) as link, link.cursor() as cursor:
        cursor.execute("SELECT 1")
    tell(
        Part.SERVICES,
        f"the agent is killed in introduce, prepare, {', '.join(CHANGES)}",
        "it goes on with each",
        longest,
    )
    ground.delete_all([instance])
    ground.assert_nothing_left()


@pytest.mark.thorough
def test_what_is_asked_of_an_engine_is_done_though_the_agent_is_killed_in_each_command(
    ground: Ground, tell: Tell
) -> None:
    """A lock of the tenant's has the command wait in the engine, where the agent is killed."""
    instance = requests.create_instance(ground)
    ground.wait_until_done([instance], "ACTIVE")
    made = ground.request("POST", f"instances/{instance}/root")
    assert made.status == HTTPStatus.OK, made
    root = made.body["user"]["password"]
    slowest = 0.0
    for verb, (method, path, body) in INSIDE.items():
        before = agents.begun(ground, instance, verb)
        with locked(ground, instance, root) as unlock, ThreadPoolExecutor(1) as tenant:
            asked = tenant.submit(ground.request, method, f"instances/{instance}/{path}", body)
            agents.kill_in(ground, instance, verb, before, asked)
            unlock.execute("UNLOCK TABLES")
            began = time.monotonic()
            answer = asked.result()
            slowest = max(slowest, time.monotonic() - began)
        assert answer.status < HTTPStatus.BAD_REQUEST, (verb, answer)
        if verb == "enable_root":
            root = answer.body["user"]["password"]
        assert agents.begun(ground, instance, verb) == before + 2, verb
    for verb, path in READS.items():
        before = agents.begun(ground, instance, verb)
        with ThreadPoolExecutor(1) as tenant:
            asked = tenant.submit(ground.request, "GET", f"instances/{instance}/{path}")
            agents.kill_in(ground, instance, verb, before)
            assert asked.result().status == HTTPStatus.OK, (verb, asked.result())
    databases = ground.request("GET", f"instances/{instance}/databases").body["databases"]
    users = ground.request("GET", f"instances/{instance}/users").body["users"]
    assert [one["name"] for one in databases] == [requests.DATABASE]
    assert [one["name"] for one in users] == [requests.USER]
    tell(
        Part.SERVICES,
        f"the agent is killed in {', '.join(INSIDE)} and {', '.join(READS)}",
        "it goes on with each, and what was half done is not done twice",
        slowest,
    )
    ground.delete_all([instance])
    ground.assert_nothing_left()


@contextmanager
def locked(ground: Ground, instance: str, password: str) -> Iterator["pymysql.cursors.Cursor"]:
    """Keep everybody from changing anything in the engine; give what ends that."""
    details: dict[str, Any] = ground.details(instance)
    link = pymysql.connect(
        host=details["ip"][0],
        user="root",
        password=password,
        ssl={"ca": str(credentials.authority_files(ground.stack.plan)[0])},
        connect_timeout=10,
    )
    with link, link.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        yield cursor
