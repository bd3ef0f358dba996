"""A MariaDB server of the tests' own, for tests in which the catalog's SQL matters.

It listens on loopback only, keeps its data in a directory of its own, and is stopped by its process
id. `CatalogServer.opened` gives an empty catalog with all its tables, `fresh` its URL.
"""

import contextlib
import getpass
import itertools
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pymysql
import sqlalchemy
from oslo_config import cfg

from dbaas.catalog import tables, unit
from dbaas.catalog.unit import Catalog

_SPARING = (
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-buffer-pool-size=32M",
    "--innodb-log-file-size=16M",
    "--performance-schema=OFF",
    "--skip-log-bin",
    "--skip-name-resolve",
)


class CatalogServer:
    """A running server; `port` is on 127.0.0.1, its user `root` has no password."""

    def __init__(self, port: int, pid: int) -> None:
        self.port = port
        self.pid = pid
        self._numbers = itertools.count(1)

    def url(self, database: str) -> str:
        return f"mysql+pymysql://root@127.0.0.1:{self.port}/{database}"

    def fresh(self) -> str:
        """Return the URL of a new catalog, whose tables are empty."""
        database = f"catalog{next(self._numbers)}"
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute(f"CREATE DATABASE {database} CHARACTER SET utf8mb4")
        engine = sqlalchemy.create_engine(self.url(database))
        tables.metadata.create_all(engine)
        engine.dispose()
        return self.url(database)

    @contextlib.contextmanager
    def opened(self) -> Iterator[Catalog]:
        """Give a new catalog, whose tables are empty."""
        catalog = catalog_at(self.fresh())
        try:
            yield catalog
        finally:
            catalog.close()

    @contextlib.contextmanager
    def connect(self, database: str | None = None) -> Iterator["pymysql.Connection[Any]"]:
        """Give a connection of its own, in autocommit."""
        connection = pymysql.connect(
            host="127.0.0.1",
            port=self.port,
            user="root",
            database=database,
            autocommit=True,
            ssl_disabled=True,  # else each connection reads all of the host's authorities
        )
        try:
            yield connection
        finally:
            connection.close()

    def questions(self) -> int:
        """Return how many statements clients have sent since the server started, this included."""
        with self.connect() as connection, connection.cursor() as cursor:
            cursor.execute("SHOW GLOBAL STATUS LIKE 'Questions'")
            row = cursor.fetchone()
        assert row is not None
        return int(row[1])


def catalog_at(url: str, **options: object) -> Catalog:
    """Return the catalog at this URL, with these options of `[catalog]`; the caller closes it."""
    conf = cfg.ConfigOpts()
    conf.register_opts(unit.OPTS, group=unit.GROUP)
    conf([], default_config_files=[])
    for name, value in {"connection": url, **options}.items():
        conf.set_override(name, value, group=unit.GROUP)
    return Catalog(conf)


@contextlib.contextmanager
def running() -> Iterator[CatalogServer]:
    """Start a server, give it, and stop it; nothing of it stays."""
    home = Path(tempfile.mkdtemp(prefix="dbaas-catalog-"))
    process: subprocess.Popen[bytes] | None = None
    try:
        _initialise(home)
        port = _free_port()
        with (home / "server.log").open("wb") as log:
            process = subprocess.Popen(
                [
                    _program("mariadbd"),
                    "--no-defaults",
                    f"--datadir={home / 'data'}",
                    f"--tmpdir={home / 'tmp'}",
                    f"--socket={home / 'socket'}",
                    f"--pid-file={home / 'pid'}",
                    f"--user={getpass.getuser()}",
                    "--bind-address=127.0.0.1",
                    f"--port={port}",
                    *_SPARING,
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        server = CatalogServer(port, process.pid)
        _wait_until_it_answers(server, process, home / "server.log")
        yield server
    finally:
        if process is not None:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _initialise(home: Path) -> None:
    (home / "tmp").mkdir()  # the names in /tmp come from process ids: others' collide
    done = subprocess.run(
        [
            _program("mariadb-install-db"),
            "--no-defaults",
            f"--datadir={home / 'data'}",
            f"--tmpdir={home / 'tmp'}",
            f"--user={getpass.getuser()}",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=16M",
        ],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(
            f"mariadb-install-db failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )


def _wait_until_it_answers(
    server: CatalogServer, process: subprocess.Popen[bytes], log: Path
) -> None:
    for _ in range(600):
        with contextlib.suppress(pymysql.Error), server.connect():
            return
        if process.poll() is not None:
            break
        time.sleep(0.05)
    raise RuntimeError(f"the catalog's server did not start:\n{log.read_text()[-2000:]}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def _program(name: str) -> str:
    found = shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin")
    if found is None:
        raise RuntimeError(f"{name} is not installed: it comes with mariadb-server-core")
    return found
