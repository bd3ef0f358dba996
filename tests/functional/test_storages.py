"""Backups that go to a real Swift, and there by its interface of S3; databases from there."""

import http.client
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pymysql
import pytest
import requests

from tests.functional import place, swift
from tests.functional import stack as stacks
from tests.functional.stack import Stack
from tests.functional.swift import Swift
from tests.functional.test_backups import back_up, wait_until

ADDRESS = "192.0.2.7"
"""Of the host, and not on the guests' bridge: as a service elsewhere has it."""
CONTAINER = "kept"
ROWS = 20_000

Json = dict[str, Any]


@dataclass
class Place:
    stack: Stack
    swift: Swift

    def objects(self, storage: str) -> list[str]:
        """Return the names of all objects that the project has in this storage."""
        root, token = self.swift.token()
        project = self.stack.user().project_id
        account = root if storage == "s3" else f"{root.rpartition('/')[0]}/AUTH_{project}"
        container = swift.BUCKET if storage == "s3" else CONTAINER
        answer = requests.get(f"{account}/{container}", headers={"X-Auth-Token": token}, timeout=30)
        assert answer.ok, answer.text
        return answer.text.split()


@pytest.fixture(scope="module")
def storages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    home = tmp_path_factory.mktemp("swift")
    with place.network_namespace() as namespace, place.inside(namespace), stacks.directory() as up:
        subprocess.run(["ip", "address", "add", f"{ADDRESS}/32", "dev", "lo"], check=True)
        with swift.running(home, ADDRESS) as service:
            configure(up.directory / "local.conf", service)
            up.command("up")
            yield Place(up, service)
            up.command("down")
        stacks.assert_nothing_left(up)


def configure(file: Path, service: Swift) -> None:
    groups: Mapping[str, Mapping[str, str]] = {
        "backups": {"storage": "swift", "more_storages": "s3"},
        "local": {"storage_endpoints": service.url.removeprefix("http://")},
        **service.configured(),
    }
    lines = []
    for group, options in groups.items():
        lines += [f"[{group}]", *(f"{name} = {value}" for name, value in options.items())]
    file.write_text("\n".join(lines) + "\n")


@pytest.fixture(scope="module")
def source(storages: Place) -> Json:
    stack = storages.stack
    instance = stack.wait_until(stack.create("source"), "ACTIVE")
    with stack.database(instance) as link, link.cursor() as cursor:
        cursor.execute("CREATE TABLE said (n INT PRIMARY KEY, words CHAR(200))")
        cursor.execute(f"INSERT INTO said SELECT seq, SHA2(seq, 512) FROM seq_1_to_{ROWS}")
    return instance


def checksum(link: "pymysql.Connection[Any]") -> int:
    with link.cursor() as cursor:
        cursor.execute("CHECKSUM TABLE said")
        found = cursor.fetchone()
    assert found is not None
    return int(found[1])


@pytest.mark.parametrize("storage", ["swift", "s3"])
def test_a_database_comes_back_from_there(storages: Place, source: Json, storage: str) -> None:
    stack = storages.stack
    where = {"storage_driver": storage, "swift_container": CONTAINER, "instance": source["id"]}
    full = back_up(stack, f"full-{storage}", **where)
    with stack.database(source) as link, link.cursor() as cursor:
        cursor.execute("UPDATE said SET words = REVERSE(words) WHERE n % 7 = 0")
        expected = checksum(link)
    increment = back_up(stack, f"more-{storage}", parent_id=full["id"], **where)
    names = storages.objects(storage)
    for backup in (full, increment):
        assert any(name.endswith(f"{backup['id']}/manifest") for name in names)
        assert any(name.endswith(f"{backup['id']}/00000001") for name in names)
        assert backup["locationRef"].split("/")[5] == CONTAINER
    restored = come_back(stack, increment)
    with stack.database(restored) as link:
        assert checksum(link) == expected
    stack.request("DELETE", f"instances/{restored['id']}")
    stack.wait_until(restored["id"], "GONE")
    assert stack.request("DELETE", f"backups/{full['id']}").status == http.client.ACCEPTED
    for backup in (increment, full):
        wait_until(stack, backup["id"], "GONE")
    assert storages.objects(storage) == []


def come_back(stack: Stack, backup: Json) -> Json:
    point = {"backupRef": backup["id"]}
    number = stack.create(f"from-{backup['name']}", restorePoint=point, databases=[], users=[])
    return stack.wait_until(number, "ACTIVE", 300)
