"""Where a project's backups go when a request does not say: of one instance, or of all of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select
from sqlalchemy.dialects.mysql import insert

from dbaas.catalog.tables import backup_strategies as table
from dbaas.catalog.unit import Unit


@dataclass(frozen=True)
class BackupStrategy:
    """`instance_id` is empty for the one that holds for all of the project's instances."""

    project_id: str
    instance_id: str
    backend: str
    container: str


def put(unit: Unit, strategy: BackupStrategy) -> None:
    """Set it; what was there for this project and instance is replaced."""
    statement = insert(table).values(
        project_id=strategy.project_id,
        instance_id=strategy.instance_id,
        backend=strategy.backend,
        container=strategy.container,
    )
    unit.execute(
        statement.on_duplicate_key_update(
            backend=statement.inserted.backend, container=statement.inserted.container
        )
    )


def listed(unit: Unit, project_id: str, instance_id: str | None = None) -> Sequence[BackupStrategy]:
    """Return a project's strategies, or that of one instance; the project's own is first."""
    query = select(table).where(table.c.project_id == project_id).order_by(table.c.instance_id)
    if instance_id is not None:
        query = query.where(table.c.instance_id == instance_id)
    return [
        BackupStrategy(row.project_id, row.instance_id, row.backend, row.container)
        for row in unit.execute(query)
    ]


def remove(unit: Unit, project_id: str, instance_id: str) -> None:
    """Forget it; one that is not there is fine."""
    unit.execute(
        delete(table).where(table.c.project_id == project_id, table.c.instance_id == instance_id)
    )


def container(unit: Unit, project_id: str, instance_id: str) -> str | None:
    """Return where backups of the instance go: by its own strategy, else by its project's."""
    found: str | None = unit.scalar(
        select(table.c.container)
        .where(table.c.project_id == project_id, table.c.instance_id.in_(("", instance_id)))
        .order_by(table.c.instance_id.desc())
        .limit(1)
    )
    return found
