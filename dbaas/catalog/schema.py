"""Makes and upgrades the catalog's tables, by alembic and the scripts in `migrations/`."""

import warnings
from pathlib import Path

import alembic.autogenerate
import alembic.command
import sqlalchemy
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

import migrations
from dbaas.catalog.tables import metadata
from dbaas.contract import errors

_LOCK = "dbaas-schema"


def upgrade(url: str, timeout: float = 60.0) -> str:
    """Bring the catalog at `url` to the newest schema; return that revision.

    Two at once are serialised by a lock in the database. Raises `Unavailable` when the lock is not
    had within `timeout` seconds.
    """
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        got = connection.scalar(
            sqlalchemy.text("SELECT GET_LOCK(:name, :timeout)"), {"name": _LOCK, "timeout": timeout}
        )
        if not got:
            raise errors.Unavailable("another process is upgrading the catalog")
        connection.commit()
        alembic.command.upgrade(_config(connection), "head")
        connection.commit()
    engine.dispose()
    return newest()


def current(url: str) -> str | None:
    """Return the revision of the catalog at `url`; None for an empty one.

    Raises `Unavailable` when it cannot be read.
    """
    engine = sqlalchemy.create_engine(url)
    try:
        with engine.connect() as connection:
            found: str | None = MigrationContext.configure(connection).get_current_revision()
    except sqlalchemy.exc.OperationalError as error:
        raise errors.Unavailable(f"the catalog cannot be read: {error.orig}") from error
    finally:
        engine.dispose()
    return found


def newest() -> str:
    """Return the revision that this version of the code needs."""
    head = ScriptDirectory.from_config(_config(None)).get_current_head()
    if head is None:
        raise errors.Failed("there are no migrations")
    return head


def differences(url: str) -> list[str]:
    """Return how the tables at `url` differ from those that the code expects."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection, warnings.catch_warnings():
        found = alembic.autogenerate.compare_metadata(
            MigrationContext.configure(connection), metadata
        )
    engine.dispose()
    return [str(difference) for difference in found]


def write_revision(url: str, message: str) -> None:
    """Write a migration from the tables at `url` to those that the code expects."""
    engine = sqlalchemy.create_engine(url)
    with engine.connect() as connection:
        alembic.command.revision(_config(connection), message, autogenerate=True)
    engine.dispose()


def _config(connection: sqlalchemy.Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
