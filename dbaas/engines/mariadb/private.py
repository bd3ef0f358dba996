"""A MariaDB server on data that are not the instance's yet: for its owner, and nobody else.

It listens to no network and logs nothing. What it has is thrown away unless it ends in good order,
which writes all down: so nothing of it has to be safe before.
"""

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dbaas.contract import errors
from dbaas.engines.mariadb import admin, takeover, tools
from dbaas.engines.mariadb.engine import MariaDB
from dbaas.engines.mariadb.takeover import Entrance
from dbaas.host import files
from dbaas.host.pipes import Pipe, Program

LARGEST = "--max-allowed-packet=1G"
"""What a row may have, for the server and for the programs that speak to it."""
START, SIGN, PAUSE = 300.0, 3.0, 0.02
"""Seconds until it answers, for one look at that, and between two looks: recovery may be long."""

_WAYS = (
    "--skip-networking",
    "--skip-log-bin",
    "--skip-slave-start",
    "--event-scheduler=OFF",
    "--sql-mode=",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-doublewrite=OFF",
    LARGEST,
)

Check = Callable[[], None]


@dataclass(frozen=True)
class Private:
    """A server that answers. `options`: a file by which the engine's programs come in."""

    options: Path
    _entrance: Entrance
    _row: Pipe

    def lets_us_in(self) -> bool:
        """Return whether the service's account is as it was at the start."""
        try:
            with admin.session(self._entrance):
                return True
        except errors.Forbidden:
            return False

    def end(self) -> None:
        """Let it write everything down; raise `Failed`, with its complaint, if it does not."""
        self._row.ask_to_end(0)
        sink = memoryview(bytearray(1 << 12))
        while self._row.read(sink):
            pass
        self._row.finish()


@contextmanager
def serving(
    engine: MariaDB, data: Path, temporary: Path, pool_mib: int, check: Check
) -> Iterator[Private]:
    """Give a server on `data`; it is killed when the context is left.

    `temporary`: a directory on the volume, for what is too large for memory; `pool_mib`: its memory
    for pages. `check` is called while it starts, and raises when it is not wanted any more.
    """
    # Short, since the socket is there: a path of one has 107 bytes at most.
    with tools.scratch(engine.runtime / "private") as runtime:
        entrance = _entrance(engine, runtime)
        arguments = _arguments(data, temporary, runtime, entrance, pool_mib)
        options = tools.options(runtime, entrance)
        tools.give(runtime, engine.user)
        with Pipe([Program(arguments, engine.user)], check) as row:
            _wait(entrance, row, check)
            yield Private(options, entrance, row)


def _entrance(engine: MariaDB, runtime: Path) -> Entrance:
    """Return the way into it, which is not that into the server to be."""
    socket = runtime / "s"
    if engine.user:
        return Entrance(socket)
    password = runtime / "administrator"
    files.write(password, secrets.token_hex(32), mode=0o600)
    return Entrance(socket, password)


def _arguments(
    data: Path, temporary: Path, runtime: Path, entrance: Entrance, pool_mib: int
) -> tuple[str, ...]:
    own = entrance.password.read_text() if entrance.password else ""
    files.write(runtime / "take-over.sql", takeover.script(own), mode=0o600)
    return (
        "mariadbd",
        "--no-defaults",
        f"--datadir={data}",
        f"--tmpdir={temporary}",
        f"--socket={entrance.socket}",
        f"--pid-file={runtime / 'pid'}",
        f"--init-file={runtime / 'take-over.sql'}",
        f"--innodb-buffer-pool-size={pool_mib}M",
        *_WAYS,
    )


def _wait(entrance: Entrance, row: Pipe, check: Check) -> None:
    """Return once it answers; raise `Failed`, with its complaint, if it ends."""
    expired = time.monotonic() + START
    while not admin.sign_of_life(entrance, SIGN)[0]:
        check()
        if row.ended():
            row.finish()
            raise errors.Failed("the database server ended at once")
        if time.monotonic() > expired:
            raise errors.Unavailable("the database server does not answer after its start")
        time.sleep(PAUSE)
