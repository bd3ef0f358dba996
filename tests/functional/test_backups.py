"""Backups of a database that is written to all the time, and what comes back from them."""

import http.client
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import pymysql
import pytest

from tests.functional.stack import Stack

GIB = 1 << 30
DATA = 2 * GIB
TABLES = 8
ROW = 1000
"""Bytes of a row's text: digits by chance, which pack about as well as what people keep."""
ACCOUNTS = 20
PATIENCE = 600.0

Json = dict[str, Any]


@dataclass
class Bookkeeper:
    """A client who moves money between accounts, each time in one transaction with a line about it.

    So whatever is restored is right if its lines have no gap, and all of them together explain
    what is on the accounts.
    """

    link: "pymysql.Connection[Any]"
    acknowledged: int = 0
    failure: BaseException | None = None
    slowest: float = 0.0
    _over: threading.Event = field(default_factory=threading.Event)

    @contextmanager
    def writing(self) -> Iterator[None]:
        thread = threading.Thread(target=self._write)
        thread.start()
        try:
            yield
        finally:
            self._over.set()
            thread.join()

    def _write(self) -> None:
        try:
            with self.link.cursor() as cursor:
                while not self._over.is_set():
                    number = self.acknowledged + 1
                    debit, credit = number % ACCOUNTS, (number * 7 + 3) % ACCOUNTS
                    began = time.monotonic()
                    cursor.execute("BEGIN")
                    cursor.execute(
                        "INSERT INTO lines_written VALUES (%s, %s, %s, %s)",
                        (number, debit, credit, number % 100),
                    )
                    for account, amount in ((debit, -(number % 100)), (credit, number % 100)):
                        cursor.execute(
                            "UPDATE accounts SET balance = balance + %s WHERE id = %s",
                            (amount, account),
                        )
                    cursor.execute("COMMIT")
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.acknowledged = number
                    time.sleep(0.002)
        except BaseException as error:  # noqa: BLE001  # the test shows it
            self.failure = error


def make_data(link: "pymysql.Connection[Any]") -> None:
    """Fill the database with tables of text, and with the accounts."""
    rows = DATA // TABLES // ROW
    with link.cursor() as cursor:
        for n in range(TABLES):
            cursor.execute(f"CREATE TABLE t{n} (id INT PRIMARY KEY, said VARCHAR({ROW}) NOT NULL)")
            cursor.execute(
                f"INSERT INTO t{n} SELECT seq, HEX(RANDOM_BYTES({ROW // 2})) FROM seq_1_to_{rows}"
            )
        cursor.execute("CREATE TABLE accounts (id INT PRIMARY KEY, balance BIGINT NOT NULL)")
        cursor.execute(f"INSERT INTO accounts SELECT seq, 1000 FROM seq_0_to_{ACCOUNTS - 1}")
        cursor.execute(
            "CREATE TABLE lines_written (n INT PRIMARY KEY, debit INT, credit INT, amount INT)"
        )


def checksums(link: "pymysql.Connection[Any]") -> dict[str, int]:
    tables = ", ".join(f"t{n}" for n in range(TABLES))
    with link.cursor() as cursor:
        cursor.execute(f"CHECKSUM TABLE {tables}")
        return {str(name): int(total) for name, total in cursor.fetchall()}


def last_line(link: "pymysql.Connection[Any]") -> int:
    """Return the number of the last line; all before it are there, and explain the accounts."""
    with link.cursor() as cursor:
        cursor.execute("SELECT COUNT(*), COALESCE(MAX(n), 0) FROM lines_written")
        count, last = cursor.fetchone() or (0, 0)
        assert count == last, "lines are missing"
        cursor.execute(
            "SELECT a.id FROM accounts a WHERE a.balance <> 1000"
            " - (SELECT COALESCE(SUM(amount), 0) FROM lines_written l WHERE l.debit = a.id)"
            " + (SELECT COALESCE(SUM(amount), 0) FROM lines_written l WHERE l.credit = a.id)"
        )
        assert cursor.fetchall() == (), "the accounts are not what the lines say"
        return int(last)


def back_up(stack: Stack, name: str, **more: object) -> Json:
    """Take a backup and return it, complete."""
    answer = stack.request("POST", "backups", {"backup": {"name": name, **more}})
    assert answer.status == http.client.ACCEPTED, answer
    return wait_until(stack, answer.body["backup"]["id"], "COMPLETED")


def wait_until(stack: Stack, backup_id: str, status: str, seconds: float = PATIENCE) -> Json:
    deadline = time.monotonic() + seconds
    while True:
        answer = stack.request("GET", f"backups/{backup_id}")
        shown = "GONE" if answer.status == 404 else answer.body["backup"]["status"]
        if shown == status:
            return {} if shown == "GONE" else dict(answer.body["backup"])
        assert shown != "FAILED", (answer.body, stack.request("GET", "operations").body)
        assert time.monotonic() < deadline, f"{backup_id} is {shown}, not {status}"
        time.sleep(0.05)


def restore(stack: Stack, backup: Json, size: int = 6) -> Json:
    point = {"backupRef": backup["id"]}
    number = stack.create(
        f"from-{backup['name']}", flavorRef="2", volume={"size": size}, restorePoint=point,
        databases=[], users=[],
    )  # fmt: skip
    return stack.wait_until(number, "ACTIVE", PATIENCE)


@dataclass
class Taken:
    backup: Json
    acknowledged: int
    """Lines that were acknowledged before it was asked for."""


@dataclass
class Story:
    """What was done once, and each test looks at."""

    source: Json
    sums: dict[str, int]
    bookkeeper: Bookkeeper
    taken: list[Taken]


@pytest.fixture(scope="module")
def story(stack: Stack) -> Iterator[Story]:
    instance = stack.wait_until(
        stack.create("source", flavorRef="2", volume={"size": 6}), "ACTIVE", PATIENCE
    )
    with stack.database(instance) as link:
        make_data(link)
        sums = checksums(link)
    bookkeeper = Bookkeeper(stack.database(instance))
    taken: list[Taken] = []
    with bookkeeper.writing():
        for name in ("full", "first", "second"):
            more: Json = {"instance": instance["id"]}
            if taken:
                more["parent_id"] = taken[-1].backup["id"]
            before = bookkeeper.acknowledged
            taken.append(Taken(back_up(stack, name, **more), before))
            time.sleep(1.0)
    yield Story(instance, sums, bookkeeper, taken)
    bookkeeper.link.close()
    stack.request("DELETE", f"backups/{taken[0].backup['id']}")
    wait_until(stack, taken[0].backup["id"], "GONE")
    stack.request("DELETE", f"instances/{instance['id']}")
    stack.wait_until(instance["id"], "GONE")


def test_the_engine_serves_while_it_is_backed_up(story: Story) -> None:
    assert story.bookkeeper.failure is None
    assert story.bookkeeper.acknowledged > story.taken[-1].acknowledged > 0
    assert story.bookkeeper.slowest < 5.0


@pytest.mark.parametrize("which", [0, 1, 2], ids=["full", "first", "second"])
def test_what_was_acknowledged_before_a_backup_comes_back(
    stack: Stack, story: Story, which: int
) -> None:
    taken = story.taken[which]
    restored = restore(stack, taken.backup)
    with stack.database(restored) as link:
        assert checksums(link) == story.sums
        last = last_line(link)
    assert taken.acknowledged <= last <= story.bookkeeper.acknowledged
    stack.request("DELETE", f"instances/{restored['id']}")
    stack.wait_until(restored["id"], "GONE")


def test_an_increment_is_much_smaller_than_what_it_builds_on(story: Story) -> None:
    full, first, _ = (taken.backup["data_bytes"] for taken in story.taken)
    assert first < full / 4


def test_backups_take_of_the_quota_until_they_are_gone(stack: Stack, story: Story) -> None:
    project = stack.user("demo").project_id
    quotas = stack.request("GET", f"mgmt/quotas/{project}", user="admin").body["quotas"]
    in_use = {quota["resource"]: quota["in_use"] for quota in quotas}
    listed = stack.request("GET", f"instances/{story.source['id']}/backups").body["backups"]
    assert in_use["backups"] >= len(listed) == len(story.taken)
