"""Counts over the whole catalog, for the operator: none of them is of one project or instance."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import case, func, select, text

from dbaas.catalog import tables
from dbaas.catalog.moments import NOW, seconds_since
from dbaas.catalog.unit import Unit
from dbaas.contract.operations import State

SILENT = 90
"""Seconds without a heartbeat after which a guest counts as silent."""


@dataclass(frozen=True)
class Archives:
    """Those that are on, as their guests said last; one may be in several troubles."""

    live: int
    behind: int
    """More than half of what may wait is waiting."""
    faulty: int
    """The storage, or the log, cannot be used now."""
    ended: int
    """Something was lost: another stream is to begin."""
    lag: float
    """Seconds since the oldest commit of any that is not stored."""


@dataclass(frozen=True)
class Figures:
    """The keys are words of the contract: kinds and states, status, health, resources."""

    operations: dict[tuple[str, ...], int]
    """By kind and state; those that have not ended."""
    overdue: float
    """Seconds for which the operation that waits for longest should have been carried on."""
    instances: dict[str, int]
    """By status; those that are not deleted."""
    guests: dict[str, int]
    """By health."""
    silent: int
    quotas: dict[str, int]
    """What all projects have together, by resource."""
    archives: Archives


def everything(unit: Unit) -> Figures:
    """Return them; it costs a look at every living instance and at every open operation."""
    operations, instances = tables.operations, tables.instances
    health, usages = tables.guest_health, tables.quota_usages
    alive = instances.c.alive == text("1")
    living = health.join(instances, instances.c.id == health.c.instance_id)
    is_silent = health.c.heard_at < NOW - text(f"INTERVAL {SILENT} SECOND")
    heard = unit.execute(
        select(health.c.service, func.count(), _number_of(is_silent))
        .select_from(living)
        .where(alive)
        .group_by(health.c.service)
    ).all()
    by_status = unit.execute(
        select(instances.c.status, func.count()).where(alive).group_by(instances.c.status)
    ).all()
    overdue = unit.scalar(
        select(func.max(seconds_since(operations.c.run_at))).where(
            operations.c.state == State.RUNNABLE,
            operations.c.run_at < NOW,
            operations.c.lease_until.is_(None),
        )
    )
    return Figures(
        operations={
            (kind, state): n
            for kind, state, n in unit.execute(
                select(operations.c.kind, operations.c.state, func.count())
                .where(operations.c.state.in_((State.RUNNABLE, State.PARKED)))
                .group_by(operations.c.kind, operations.c.state)
            )
        },
        overdue=float(overdue or 0.0),
        instances={row[0]: row[1] for row in by_status},
        guests={service: n for service, n, _ in heard},
        silent=sum(silent for _, _, silent in heard),
        quotas={
            resource: int(used)
            for resource, used in unit.execute(
                select(usages.c.resource, func.sum(usages.c.in_use)).group_by(usages.c.resource)
            )
        },
        archives=_archives(unit),
    )


def _archives(unit: Unit) -> Archives:
    streams, said = tables.archives, tables.guest_health.c.archive
    told = streams.outerjoin(
        tables.guest_health,
        (tables.guest_health.c.instance_id == streams.c.instance_id)
        & (func.json_unquote(func.json_extract(said, "$.stream")) == streams.c.id),
    )
    row = unit.execute(
        select(
            func.count(),
            _number_of(func.json_contains(said, "true", "$.behind")),
            _number_of(func.json_unquote(func.json_extract(said, "$.fault")) != ""),
            _number_of(func.json_contains(said, "true", "$.ended")),
            func.max(func.json_extract(said, "$.lag") + 0.0),
        )
        .select_from(told)
        .where(streams.c.ended_at.is_(None))
    ).one()
    live, behind, faulty, ended, lag = row
    return Archives(live, behind, faulty, ended, lag=float(lag or 0.0))


def _number_of(condition: Any) -> Any:
    """Count rows of which it is true: a sum of such would be read as a truth value itself."""
    return func.count(case((condition, 1)))
