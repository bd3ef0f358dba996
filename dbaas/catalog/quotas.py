"""Quotas: what a project may have of a resource, and exactly what it has.

Charged when a request is accepted, in its transaction, and given back by the flow that frees the
resource, in the transaction that ends it: so once each, whatever is repeated.
"""

from collections.abc import Mapping
from typing import Any

from oslo_config import cfg
from sqlalchemy import bindparam, select
from sqlalchemy.dialects.mysql import insert

from dbaas.catalog import tables
from dbaas.catalog.records import QuotaRecord
from dbaas.catalog.unit import Unit
from dbaas.contract import errors

RESOURCES = ("instances", "ram", "volumes", "backups")
"""Numbers of instances and backups, MiB of memory, GiB of volumes."""

UNLIMITED = -1

GROUP = "api"
OPTS = [
    cfg.IntOpt(
        "max_instances_per_tenant",
        default=10,
        min=-1,
        help="Instances that a project may have unless it has a limit of its own; -1: any number.",
    ),
    cfg.IntOpt(
        "max_ram_per_tenant",
        default=-1,
        min=-1,
        help="MiB of memory that a project's instances may have together; -1: any amount.",
    ),
    cfg.IntOpt(
        "max_volumes_per_tenant",
        default=40,
        min=-1,
        help="GiB that a project's volumes may have together; -1: any amount.",
    ),
    cfg.IntOpt(
        "max_backups_per_tenant",
        default=50,
        min=-1,
        help="Backups that a project may have; -1: any number.",
    ),
]
"""The limits of projects that have none of their own."""

_usages = tables.quota_usages
_limits = tables.quotas

_STATE = (
    select(_usages.c.resource, _usages.c.in_use, _limits.c.hard_limit)
    .select_from(
        _usages.outerjoin(
            _limits,
            (_limits.c.project_id == _usages.c.project_id)
            & (_limits.c.resource == _usages.c.resource),
        )
    )
    .where(_usages.c.project_id == bindparam("project_id"))
)


def defaults(options: cfg.ConfigOpts.GroupAttr) -> dict[str, int]:
    """Return the limits of projects that have none of their own, by resource."""
    return {name: options[f"max_{name}_per_tenant"] for name in RESOURCES}


def charge(
    unit: Unit, project_id: str, deltas: Mapping[str, int], defaults: Mapping[str, int]
) -> None:
    """Add `deltas` to what the project has, and keep its usage locked until the transaction ends.

    Raises `OverQuota` when a limit is exceeded: the transaction must then be given up. `defaults`
    are the limits of projects that have none of their own.
    """
    _add(unit, project_id, deltas)
    exceeded = []
    for resource, in_use, own_limit in unit.execute(_STATE, {"project_id": project_id}):
        limit = defaults[resource] if own_limit is None else own_limit
        if deltas.get(resource, 0) > 0 and limit != UNLIMITED and in_use > limit:
            exceeded.append(resource)
    if exceeded:
        raise errors.OverQuota(f"Quota exceeded for resources: {sorted(exceeded)}.")


def release(unit: Unit, project_id: str, deltas: Mapping[str, int]) -> None:
    """Give `deltas` back: the same numbers that were charged."""
    _add(unit, project_id, {resource: -amount for resource, amount in deltas.items()})


def _add(unit: Unit, project_id: str, deltas: Mapping[str, int]) -> None:
    # One statement for all, rows in the order of names: first creates do not collide.
    statement = insert(_usages).values(
        [
            {"project_id": project_id, "resource": resource, "in_use": deltas[resource]}
            for resource in sorted(deltas)
        ]
    )
    unit.execute(
        statement.on_duplicate_key_update(in_use=_usages.c.in_use + statement.inserted.in_use)
    )


def show(unit: Unit, project_id: str, defaults: Mapping[str, int]) -> tuple[QuotaRecord, ...]:
    """Return limit and usage of every resource."""
    used = {
        row.resource: row.in_use
        for row in unit.execute(
            select(_usages.c.resource, _usages.c.in_use).where(_usages.c.project_id == project_id)
        )
    }
    own = limits(unit, project_id, defaults)
    return tuple(QuotaRecord(name, used.get(name, 0), own[name]) for name in RESOURCES)


def limits(unit: Unit, project_id: str, defaults: Mapping[str, int]) -> dict[str, int]:
    """Return the project's limit of every resource."""
    own: Any = unit.execute(
        select(_limits.c.resource, _limits.c.hard_limit).where(_limits.c.project_id == project_id)
    )
    return {**defaults, **{row.resource: row.hard_limit for row in own}}


def set_limits(unit: Unit, project_id: str, changed: Mapping[str, int]) -> None:
    """Give the project limits of its own; what it has already stays, even above them."""
    if not changed:
        return
    statement = insert(_limits).values(
        [
            {"project_id": project_id, "resource": resource, "hard_limit": changed[resource]}
            for resource in sorted(changed)
        ]
    )
    unit.execute(statement.on_duplicate_key_update(hard_limit=statement.inserted.hard_limit))
