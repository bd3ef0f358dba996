"""What may happen to a stack's catalog: each holds inside of its context, and is over after it."""

import os
import random
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import Any

import pymysql
from pymysql.constants import ER

from dbaas.manage.stack import catalog
from dbaas.manage.stack.credentials import CATALOG_USER
from tests.chaos import firewall
from tests.chaos.firewall import Verdict
from tests.chaos.ground import Ground
from tests.frozen import frozen as frozen_processes

_FEWEST_CONNECTIONS = 10
"""Less is not to be had of MariaDB ("max_connections")."""
_MOST_CONNECTIONS = 500
_TRANSACTIONS_SEEN = 0.15
"""Seconds: `innodb_trx` shows what it did before to whoever looks again within 0.1 s (MySQL manual,
"Persistence and Consistency of InnoDB Transaction and Locking Information")."""


@contextmanager
def restarted(ground: Ground) -> Iterator[None]:
    ground.programs().stop([catalog.CATALOG], 60.0)
    ground.programs().start(catalog.CATALOG)
    yield


@contextmanager
def killed(ground: Ground) -> Iterator[None]:
    os.kill(_pid(ground), signal.SIGKILL)
    yield


@contextmanager
def away(ground: Ground) -> Iterator[None]:
    with ground.stopped(catalog.CATALOG):
        yield


@contextmanager
def frozen(ground: Ground) -> Iterator[None]:
    with frozen_processes(_pid(ground)):
        yield


@contextmanager
def refused(ground: Ground) -> Iterator[None]:
    with firewall.closed(Verdict.REFUSED, ground.stack.plan.ports.catalog):
        yield


@contextmanager
def cut_off(ground: Ground) -> Iterator[None]:
    with firewall.closed(Verdict.DROPPED, ground.stack.plan.ports.catalog):
        yield


@contextmanager
def writes_stalled(ground: Ground) -> Iterator[None]:
    """Hold what a backup of the whole server holds."""
    with session(ground) as link, link.cursor() as cursor:
        cursor.execute("FLUSH TABLES WITH READ LOCK")
        yield
        cursor.execute("UNLOCK TABLES")


@contextmanager
def read_only(ground: Ground) -> Iterator[None]:
    with session(ground) as link, link.cursor() as cursor:
        cursor.execute("SET GLOBAL read_only = 1")
        try:
            yield
        finally:
            cursor.execute("SET GLOBAL read_only = 0")


@contextmanager
def full(ground: Ground) -> Iterator[None]:
    """Have others take all connections; those of the services are closed."""
    with session(ground) as link, link.cursor() as cursor:
        cursor.execute(f"SET GLOBAL max_connections = {_FEWEST_CONNECTIONS}")
        try:
            with ExitStack() as others:
                for _ in range(2 * _FEWEST_CONNECTIONS):
                    for number in _sessions(cursor):
                        _kill(cursor, number)
                    with suppress(pymysql.OperationalError):
                        others.enter_context(session(ground))
                yield
        finally:
            cursor.execute(f"SET GLOBAL max_connections = {_MOST_CONNECTIONS}")


@contextmanager
def rows_locked(ground: Ground) -> Iterator[None]:
    """Hold the rows that every create has to change."""
    with session(ground) as link, link.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM quota_usages FOR UPDATE")
        yield
        cursor.execute("ROLLBACK")


@contextmanager
def killing_connections(ground: Ground) -> Iterator[None]:
    """Kill random ones of the services' connections, and each that waits for a row with locks held.

    Quotas are what they wait for, which every create and delete changes. Fails if none was killed
    in the middle of its transaction.
    """
    halves = 0

    def kill(cursor: Any) -> None:
        nonlocal halves
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM quota_usages FOR UPDATE")
        time.sleep(_TRANSACTIONS_SEEN)
        ours = _sessions(cursor)
        cursor.execute(
            "SELECT trx_mysql_thread_id AS id FROM information_schema.innodb_trx"
            " WHERE trx_rows_locked > 0"
        )
        locking = {int(row["id"]) for row in cursor.fetchall()} & set(ours)
        halves += len(locking)
        for number in locking | set(random.sample(ours, min(2, len(ours)))):
            _kill(cursor, number)
        cursor.execute("ROLLBACK")

    with _again_and_again(ground, kill, 0.05):
        yield
    assert halves


@contextmanager
def deadlocking(ground: Ground) -> Iterator[None]:
    """Lock quotas before operations, where the end of a delete locks them after its operation.

    Ours is the victim, which InnoDB takes to be the transaction that changed the fewest rows
    (MariaDB's "InnoDB Lock Modes"); fail if it never was.
    """
    with session(ground) as link, link.cursor() as cursor:
        cursor.execute("CREATE DATABASE competitor")
        cursor.execute("CREATE TABLE competitor.weight (id INT PRIMARY KEY AUTO_INCREMENT)")
    before = _deadlocks(ground)
    lost = 0

    def compete(cursor: Any) -> None:
        nonlocal lost
        cursor.execute("BEGIN")
        cursor.execute("INSERT INTO competitor.weight SELECT NULL FROM seq_1_to_1000")
        try:
            cursor.execute("SELECT * FROM quota_usages FOR UPDATE")
            time.sleep(0.2)
            cursor.execute("SELECT * FROM operations FOR UPDATE")
        except pymysql.OperationalError as error:
            if error.args[0] != ER.LOCK_DEADLOCK:
                raise
            lost += 1
        cursor.execute("ROLLBACK")

    try:
        with _again_and_again(ground, compete, 0.05):
            yield
        assert _deadlocks(ground) - before > lost
    finally:
        with session(ground) as link, link.cursor() as cursor:
            cursor.execute("DROP DATABASE competitor")


def _deadlocks(ground: Ground) -> int:
    """Return how many deadlocks the server has found since it started."""
    with session(ground) as link, link.cursor() as cursor:
        cursor.execute("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'")
        row = cursor.fetchone()
        assert row is not None
        return int(row["Value"])


@contextmanager
def session(ground: Ground) -> Iterator["pymysql.Connection[Any]"]:
    """Give a session of the server's administrator, who comes through its socket."""
    link = pymysql.connect(
        unix_socket=str(ground.stack.plan.catalog / "catalog.sock"),
        user="root",
        database=catalog.DATABASE,
        autocommit=True,
        cursorclass=pymysql.cursors.DictCursor,
    )
    with link:
        yield link


@contextmanager
def _again_and_again(ground: Ground, work: Callable[[Any], None], pause: float) -> Iterator[None]:
    over = threading.Event()

    def run() -> None:
        with session(ground) as link, link.cursor() as cursor:
            while not over.wait(pause):
                work(cursor)

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(run)
        try:
            yield
        finally:
            over.set()
        running.result()


def _sessions(cursor: Any) -> list[int]:
    """Return the ids of the services' sessions."""
    cursor.execute("SELECT id FROM information_schema.processlist WHERE user = %s", (CATALOG_USER,))
    return [int(row["id"]) for row in cursor.fetchall()]


def _kill(cursor: Any, number: int) -> None:
    with suppress(pymysql.OperationalError):  # it has ended by itself
        cursor.execute(f"KILL {number}")


def _pid(ground: Ground) -> int:
    return ground.programs().states()[catalog.CATALOG].pid
