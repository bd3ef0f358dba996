"""Fills a catalog with instances that nobody built: rows as a deployment has them."""

import json
import random
import uuid
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import sqlalchemy

from dbaas.catalog import datastores, tables
from dbaas.catalog.unit import Unit
from dbaas.contract.messages import ServiceStatus
from dbaas.contract.states import Status

BATCH = 2000
OTHERS_OWN = 50
"""Instances of each project that is not named."""


def offer(url: str) -> None:
    """Offer a datastore with one version."""
    with _begun(url) as unit:
        datastores.register(unit, "mariadb", "11.8", "11.8", "mariadb", "bench")


def fill(url: str, total: int, owned: Mapping[str, int]) -> None:
    """Let the catalog have `total` instances, so many `owned` by each of the projects named."""
    table = tables.instances
    with _begun(url) as unit:
        version = unit.scalars(sqlalchemy.select(tables.datastore_versions.c.id)).one()
        counted = sqlalchemy.select(table.c.project_id, sqlalchemy.func.count())
        rows = unit.execute(counted.group_by(table.c.project_id)).tuples().all()
    known: dict[str, int] = dict(rows)
    missing = [name for name, count in owned.items() for _ in range(count - known.get(name, 0))]
    others = total - sum(known.values()) - len(missing)
    missing += [f"other{random.randrange(total // OTHERS_OWN):06}" for _ in range(others)]
    for start in range(0, len(missing), BATCH):
        with _begun(url) as unit:
            _insert(unit, missing[start : start + BATCH], version)


def ids(url: str, project: str) -> list[str]:
    """Return the project's instances that can be deleted."""
    table = tables.instances
    found = sqlalchemy.select(table.c.id).where(
        table.c.project_id == project, table.c.status == Status.ACTIVE
    )
    with _begun(url) as unit:
        return list(unit.scalars(found))


def _insert(unit: Unit, projects: Sequence[str], version: str) -> None:
    made = sorted((str(uuid.uuid4()), project) for project in projects)
    now = sqlalchemy.func.now(6)
    instance = sqlalchemy.insert(tables.instances).values(ready_at=now)
    unit.execute(instance, [_instance(id_, project, version) for id_, project in made])
    unit.execute(sqlalchemy.insert(tables.guest_health), [_health(id_) for id_, _ in made])


def _instance(id_: str, project: str, version: str) -> dict[str, Any]:
    address = {"type": "private", "network": str(uuid.UUID(int=7)), "address": "10.201.0.17"}
    return {
        "id": id_,
        "project_id": project,
        "user_id": "bench",
        "name": f"orders-{id_[:8]}",
        "status": Status.ACTIVE,
        "datastore_version_id": version,
        "flavor_id": "1",
        "flavor_ram_mib": 512,
        "ram_charged_mib": 512,
        "volume_gib": 5,
        "volume_charged_gib": 5,
        "region": "RegionOne",
        "access": "{}",
        "addresses": json.dumps([address]),
        "server_id": f"dbaas-{id_}-srv1",
        "volume_id": f"dbaas-{id_}-vol1",
    }


def _health(id_: str) -> dict[str, Any]:
    return {
        "instance_id": id_,
        "boot": 1,
        "seq": 1,
        "service": ServiceStatus.HEALTHY.value,
        "volume_total": 5 << 30,
        "volume_used": 1 << 30,
        "progress": "{}",
    }


def _begun(url: str) -> AbstractContextManager[Unit]:
    return sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool).begin()
