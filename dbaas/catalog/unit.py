"""One transaction, and the pool that it comes from.

Every session is READ COMMITTED with `time_zone='+00:00'`: at REPEATABLE READ a picker's gap locks
would block accepting. Reads outside a transaction run in autocommit, so that a SELECT is one round
trip. What was rolled back or never began is tried again by `Catalog.run`, for as long as one may
wait: deadlocks (1213), lock time-outs (1205), a server that is read-only or full.
"""

import contextlib
import itertools
import re
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Literal, TypeVar

import pymysql
import sqlalchemy
import tenacity
from oslo_config import cfg
from pymysql.constants import FIELD_TYPE
from tenacity import Retrying

from dbaas.contract import errors

T = TypeVar("T")

GROUP = "catalog"
OPTS = [
    cfg.StrOpt(
        "connection",
        secret=True,
        help="URL of the catalog, as mysql+pymysql://USER:PASSWORD@HOST:PORT/NAME. Every service "
        "but the guest agent needs it.",
    ),
    cfg.IntOpt(
        "pool_size",
        default=20,
        min=1,
        help="Connections that a process keeps open. More than its threads are of no use.",
    ),
    cfg.FloatOpt(
        "timeout",
        default=30.0,
        min=1,
        help="Seconds after which a connection or a statement that does not answer is given up.",
    ),
]

# A page has a hundred of them, and PyMySQL's own reader takes several times as long.
_CONVERSIONS = pymysql.converters.conversions | {FIELD_TYPE.DATETIME: datetime.fromisoformat}

LOCK_SECONDS = 5
"""How long a statement waits for a row, a schema or the whole server. It is shorter than `timeout`:
who gives up earlier than the server leaves behind a transaction that goes on to wait for locks."""
IDLE_SECONDS = 5
"""How long the server keeps the locks of a transaction that says nothing: its client is paused or
cut off, and others wait. MySQL can only close every idle connection, and is given more time."""

_SESSION = (
    f"SET time_zone='+00:00', innodb_lock_wait_timeout={LOCK_SECONDS},"
    f" lock_wait_timeout={LOCK_SECONDS}"
    f"/*M! , idle_transaction_timeout={IDLE_SECONDS} */"
    f"/*!80000 , wait_timeout={6 * IDLE_SECONDS} */"
)
"""Comments that are statements to MariaDB or to MySQL 8 only (MariaDB's "Comment Syntax")."""

_LOST = (2003, 2006, 2013, 2014, 2055, 1053, 1927, 1152)
_FULL = (1040, 1203)
_AGAIN = (1205, 1213)
_READ_ONLY = (1290, 1836)
_OLD = (1049, 1054, 1146)
_REFUSED = (1044, 1045, 1142, 1698)

Before = Callable[[str], None]
"""Called with the name of a statement that is about to be sent, BEGIN and COMMIT included."""

_TABLE = re.compile(r"\b(?:INTO|FROM|UPDATE)\s+`?(\w+)", re.IGNORECASE)

Unit = sqlalchemy.Connection
"""A transaction, or a connection in autocommit, as the repositories take it."""


class Collision(errors.Unavailable):
    """The transaction was refused or lost against another one: nothing of it happened."""


class Lost(errors.Unavailable):
    """There was no connection, or it broke before the transaction was committed: nothing of it
    happened."""


class Unsure(errors.Unavailable):
    """The connection broke in the commit: all of the transaction happened, or nothing of it."""


class Catalog:
    """Gives out transactions; one per process, shared by its threads."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        options = conf[GROUP]
        if not options.connection:
            raise errors.Invalid("[catalog] connection is not set: it names the catalog's database")
        # Made once: to make them takes as long as a statement.
        self._reading = _retrying((Lost,), 2, options.timeout)
        self._running = _retrying((Collision, Lost), 20, options.timeout)
        self._repeating = _retrying((Collision, Lost, Unsure), 20, options.timeout)
        self._writer = _engine(options, "READ COMMITTED")
        self._reader = _engine(options, "AUTOCOMMIT")

    def read(self, work: Callable[[Unit], T]) -> T:
        """Do `work`, which only reads, in autocommit; once more when a connection was stale."""
        for attempt in self._reading:
            with attempt, _translated(), self._reader.connect() as connection:
                return work(connection)
        raise AssertionError("tenacity returns or raises")

    def run(self, work: Callable[[Unit], T], before: Before | None = None) -> T:
        """Do `work` in one transaction, again when it was rolled back: it must be repeatable.

        Tests let the process die in `before`. Raises `Unavailable` when the catalog is away; and
        `Unsure`, which is one.
        """
        return self._run(work, self._running, before)

    def repeat(self, work: Callable[[Unit], T], before: Before | None = None) -> T:
        """Do `work` as `run` does, and again when that is unsure: it must do no harm to do twice.

        It has to look at what is there: done for the second time, it is to return what the first
        time would have.
        """
        return self._run(work, self._repeating, before)

    def _run(
        self,
        work: Callable[[Unit], T],
        retrying: Retrying,
        before: Before | None,
    ) -> T:
        for attempt in retrying:
            with attempt, self._unit(before) as connection:
                return work(connection)
        raise AssertionError("tenacity returns or raises")

    @contextlib.contextmanager
    def _unit(self, before: Before | None) -> Iterator[Unit]:
        with contextlib.ExitStack() as stack:
            with _translated():
                connection = stack.enter_context(self._writer.connect())
                if before is not None:
                    _announce_statements(connection, before)
                transaction = stack.enter_context(connection.begin())
                yield connection
            try:
                with _translated():
                    if before is not None:
                        before("commit")
                    transaction.commit()
            except Lost as error:
                raise Unsure(
                    "the catalog broke off in a commit: what was asked for may have happened"
                ) from error

    def close(self) -> None:
        self._writer.dispose()
        self._reader.dispose()


@contextlib.contextmanager
def part(unit: Unit) -> Iterator[None]:
    """Undo what was done inside, and nothing else, when that raises one of our errors.

    All else goes on to whoever runs the transaction: what the server rolls back, as after a
    deadlock, has no part left to be undone.
    """
    savepoint = unit.begin_nested()
    try:
        yield
    except errors.Error:
        savepoint.rollback()
        raise
    else:
        savepoint.commit()


def _announce_statements(connection: Unit, before: Before) -> None:
    """Have `before` called, until the connection goes back, with names as `2-insert-instances`."""
    numbers = itertools.count(1)

    def announce(_connection: Unit, _cursor: object, statement: str, *_more: object) -> None:
        table = _TABLE.search(statement)
        parts = (str(next(numbers)), statement.split()[0].lower(), table[1] if table else "")
        before("-".join(part for part in parts if part))

    before("begin")
    sqlalchemy.event.listen(connection, "before_cursor_execute", announce)


def _engine(
    options: cfg.ConfigOpts.GroupAttr, isolation: Literal["READ COMMITTED", "AUTOCOMMIT"]
) -> sqlalchemy.Engine:
    return sqlalchemy.create_engine(
        options.connection,
        isolation_level=isolation,
        # Every transaction ends where it began: one ROLLBACK more would be a round trip in vain.
        pool_reset_on_return=None,
        skip_autocommit_rollback=True,
        pool_size=options.pool_size,
        max_overflow=0,
        pool_recycle=3600,
        pool_timeout=options.timeout,
        connect_args={
            "connect_timeout": int(min(options.timeout, 10)),
            "read_timeout": options.timeout,
            "write_timeout": options.timeout,
            "init_command": _SESSION,
            "charset": "utf8mb4",
            # PyMySQL prefers TLS, and reads all of the host's authorities for each connection: 10
            # ms and a MiB. Within a host it would protect nothing.
            **({"ssl_disabled": True} if _is_local(options.connection) else {}),
            "conv": _CONVERSIONS,
        },
    )


def _is_local(url: str) -> bool:
    host = sqlalchemy.make_url(url).host or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def _retrying(kinds: tuple[type[Exception], ...], times: int, seconds: float) -> Retrying:
    return Retrying(
        retry=tenacity.retry_if_exception_type(kinds),
        stop=tenacity.stop_after_attempt(times) | tenacity.stop_after_delay(seconds),
        wait=tenacity.wait_random_exponential(multiplier=0.005, max=0.5),
        reraise=True,
    )


@contextlib.contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except sqlalchemy.exc.TimeoutError as error:
        raise errors.Unavailable("the catalog is too busy: no free connection") from error
    except sqlalchemy.exc.DBAPIError as error:
        number = _number(error)
        if number in _AGAIN:
            raise Collision("the catalog is busy: a transaction was rolled back") from error
        if number in _READ_ONLY:
            raise Collision("the catalog can only be read now") from error
        if number in _FULL:
            raise Lost("the catalog takes no more connections") from error
        if number in _OLD:
            raise errors.Unavailable(
                "the catalog's tables are missing or old: dbaas-manage db upgrade makes them"
            ) from error
        if number in _REFUSED:
            raise errors.Unavailable("the catalog refuses the user that is configured") from error
        if number in _LOST or error.connection_invalidated:
            raise Lost("the catalog does not answer") from error
        raise


def _number(error: sqlalchemy.exc.DBAPIError) -> int:
    cause = error.orig
    if isinstance(cause, pymysql.err.MySQLError) and cause.args:
        number = cause.args[0]
        return number if isinstance(number, int) else 0
    return 0
