"""Transactions whose connection breaks: what the catalog says about them is what happened."""

import secrets
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress

import pymysql
import pytest
from sqlalchemy import text

from dbaas.catalog import unit
from dbaas.catalog.unit import Catalog, Unit
from dbaas.contract import errors
from tests import catalog_proxy
from tests.catalog_proxy import Proxy
from tests.catalog_server import CatalogServer, catalog_at

TIMES = 80
USER = "service"
"""No administrator, whom limits do not hold for."""


class Place:
    """A catalog that is reached through a proxy, with a table that counts what happens."""

    def __init__(self, server: CatalogServer, proxy: Proxy) -> None:
        self.proxy = proxy
        self._server = server
        url = server.fresh()
        self._database = url.rpartition("/")[2]
        self.ask("CREATE TABLE happened (id INT PRIMARY KEY, times INT NOT NULL)")
        self.ask(f"CREATE USER IF NOT EXISTS {USER}@127.0.0.1")
        self.ask(f"GRANT ALL ON {self._database}.* TO {USER}@127.0.0.1")
        self._url = url.replace("root@", f"{USER}@").replace(f":{server.port}/", f":{proxy.port}/")
        self.catalog = catalog_at(self._url)

    def connect(self) -> None:
        """Have a connection in the pool: to make one takes a commit, too."""
        self.proxy.cuts.before = self.proxy.cuts.after = 0.0
        self.catalog.run(lambda one: one.execute(text("DO 0")))

    @contextmanager
    def impatient(self) -> Iterator[Catalog]:
        """Give the same catalog for somebody who tries for a second only."""
        catalog = catalog_at(self._url, timeout=1.0)
        yield catalog
        catalog.close()

    def ask(self, statement: str) -> list[tuple[int, int]]:
        """Ask the server itself."""
        with self._server.connect(self._database) as link, link.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall())

    def happened(self) -> dict[int, int]:
        return dict(self.ask("SELECT id, times FROM happened"))


@pytest.fixture
def seed() -> int:
    chosen = secrets.randbelow(1 << 32)
    print(f"the proxy's seed is {chosen}")  # noqa: T201  # to try a failure once more
    return chosen


@pytest.fixture
def there(catalog_server: CatalogServer, seed: int) -> Iterator[Place]:
    with catalog_proxy.running(catalog_server.port, seed) as proxy:
        place = Place(catalog_server, proxy)
        yield place
        place.catalog.close()


def count(unit: Unit, number: int) -> None:
    unit.execute(
        text(f"INSERT INTO happened VALUES ({number}, 1) ON DUPLICATE KEY UPDATE times = times + 1")
    )


def do_once(unit: Unit, number: int) -> None:
    unit.execute(text(f"INSERT IGNORE INTO happened VALUES ({number}, 1)"))


def test_a_commit_without_an_answer_is_unsure_and_not_done_again(there: Place) -> None:
    there.connect()
    there.proxy.cuts.after = 1.0
    with pytest.raises(unit.Unsure):
        there.catalog.run(lambda one: count(one, 1))
    there.connect()
    there.proxy.cuts.before = 1.0
    with pytest.raises(unit.Unsure):
        there.catalog.run(lambda one: count(one, 2))
    assert there.happened() == {1: 1}


def test_what_may_be_done_twice_is_repeated_until_it_is_sure(there: Place) -> None:
    there.proxy.cuts.after = there.proxy.cuts.before = 0.1
    for number in range(TIMES):
        there.catalog.repeat(lambda one: do_once(one, number))  # noqa: B023  # called at once
    assert there.happened() == dict.fromkeys(range(TIMES), 1)
    assert there.proxy.cuts.done["before a commit"]
    assert there.proxy.cuts.done["after a commit"]


def test_wherever_connections_break_nothing_is_lost_or_done_twice(there: Place) -> None:
    there.proxy.cuts.within = 6000  # to connect takes about 1000, a transaction 300
    unsure = set()
    for number in range(TIMES):
        try:
            there.catalog.run(lambda one: count(one, number))  # noqa: B023  # called at once
        except unit.Unsure:
            unsure.add(number)
        except errors.Unavailable:
            pass
        else:
            assert there.happened()[number] == 1
    assert set(there.happened().values()) == {1}
    assert there.proxy.cuts.done["anywhere"]


def test_a_server_that_can_only_be_read_is_unavailable_for_writes(there: Place) -> None:
    there.ask("SET GLOBAL read_only = 1")
    try:
        with pytest.raises(errors.Unavailable, match="can only be read"):
            there.catalog.run(lambda one: count(one, 1))
        assert there.catalog.read(lambda one: one.scalar(text("SELECT 1"))) == 1
    finally:
        there.ask("SET GLOBAL read_only = 0")
    there.catalog.run(lambda one: count(one, 1))
    assert there.happened() == {1: 1}


def test_a_server_that_takes_no_more_connections_is_unavailable(there: Place) -> None:
    usual = there.ask("SELECT 1, @@max_connections")[0][1]
    there.ask("SET GLOBAL max_connections = 10")
    try:
        with ExitStack() as others:
            with suppress(pymysql.OperationalError):
                for _ in range(20):
                    link = pymysql.connect(host="127.0.0.1", port=there.proxy.port, user=USER)
                    others.enter_context(link)
            with pytest.raises(errors.Unavailable, match="no more connections"):
                there.catalog.run(lambda one: count(one, 1))
    finally:
        there.ask(f"SET GLOBAL max_connections = {usual}")
    there.catalog.run(lambda one: count(one, 1))
    assert there.happened() == {1: 1}


def test_a_row_that_others_hold_is_waited_for_and_then_given_up(there: Place) -> None:
    there.catalog.run(lambda one: count(one, 1))

    def hold(one: Unit) -> None:
        count(one, 1)
        with there.impatient() as other, pytest.raises(errors.Unavailable):
            other.run(lambda two: count(two, 1))

    there.catalog.run(hold)
    assert there.happened() == {1: 2}


def test_a_transaction_whose_client_is_paused_gives_up_its_locks_and_is_done_again(
    there: Place,
) -> None:
    pauses = iter([unit.IDLE_SECONDS + 2.0, 0.0])
    locked = threading.Event()

    def pause(one: Unit) -> None:
        count(one, 1)
        locked.set()
        time.sleep(next(pauses))
        count(one, 2)

    with ThreadPoolExecutor(1) as pool:
        paused = pool.submit(there.catalog.run, pause)
        assert locked.wait(10.0)
        there.catalog.run(lambda one: count(one, 1))
        assert not paused.done()
        paused.result()
    assert there.happened() == {1: 2, 2: 1}
