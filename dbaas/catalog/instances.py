"""Instances: the rows that tenants see, and the only way in which their status changes."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Select, bindparam, delete, func, insert, literal_column, select, update

from dbaas.catalog import quotas, tables
from dbaas.catalog.moments import NOW, seconds_since
from dbaas.catalog.records import (
    InstanceFault,
    InstanceLine,
    InstanceRecord,
    LockedInstance,
    NewInstance,
)
from dbaas.catalog.unit import Unit
from dbaas.contract import errors, states
from dbaas.contract.messages import ServiceStatus
from dbaas.contract.requests import Reach
from dbaas.contract.states import Event, Status

_instances = tables.instances
_versions = tables.datastore_versions
_stores = tables.datastores
_health = tables.guest_health
_schedules = tables.backup_schedules
_replicas = tables.instances.alias("replicas")


_LINE = (
    _instances.c.id,
    _instances.c.project_id,
    _instances.c.name,
    _instances.c.status,
    _stores.c.name,
    _versions.c.name,
    _instances.c.flavor_id,
    _instances.c.volume_gib,
    _instances.c.region,
    _instances.c.access,
    _instances.c.addresses,
    _instances.c.replica_of,
    select(func.group_concat(_replicas.c.id))
    .where(_replicas.c.replica_of == _instances.c.id, _replicas.c.alive)
    .scalar_subquery(),
    _instances.c.created_at,
    _health.c.service,
    seconds_since(_health.c.heard_at),
)
"""What a list shows, in the order of the record. To read a column costs more than to find it."""

_MORE = (
    _versions.c.version,
    _instances.c.flavor_ram_mib,
    _instances.c.server_id,
    _instances.c.volume_id,
    _instances.c.fault_message,
    _instances.c.fault_details,
    _instances.c.fault_at,
    _instances.c.updated_at,
    _instances.c.ready_at,
    _health.c.volume_total,
    _health.c.volume_used,
    _health.c.heard_at,
    _instances.c.root_enabled_at,
    _instances.c.root_enabled_by,
    _instances.c.root_disabled_at,
    _instances.c.deleted_at,
)


def _shown(*columns: Any) -> Select[Any]:
    """These columns of instances, in one statement."""
    # Instances first, in the order of their index: left alone, the server may begin with the few
    # datastores and then sort all that a project has, to show twenty.
    query = select(*columns).select_from(
        _instances.join(_versions, _versions.c.id == _instances.c.datastore_version_id)
        .join(_stores, _stores.c.id == _versions.c.datastore_id)
        .outerjoin(_health, _health.c.instance_id == _instances.c.id)
    )
    return query.prefix_with("STRAIGHT_JOIN")


def _page_of(*columns: Any) -> Select[Any]:
    """These columns of one project's instances that follow a marker, in the order of ids."""
    return (
        _shown(*columns)
        .where(
            _instances.c.project_id == bindparam("project_id"),
            _instances.c.alive == literal_column("1"),
            _instances.c.id > bindparam("marker"),
        )
        .order_by(_instances.c.id)
        .limit(bindparam("limit"))
    )


# Made once: to build a statement costs more than to run it.
_LINES = _page_of(*_LINE)
_PAGE = _page_of(*_LINE, *_MORE)
_ONE_EVER = _shown(*_LINE, *_MORE).where(_instances.c.id == bindparam("id"))
_ONE = _ONE_EVER.where(_instances.c.alive == literal_column("1"))
_EVERY = _shown(*_LINE, *_MORE).order_by(_instances.c.updated_at.desc(), _instances.c.id.desc())


def lines(unit: Unit, project_id: str, marker: str, limit: int) -> list[InstanceLine]:
    """Return the project's instances whose ids follow `marker`, in the order of ids."""
    rows = unit.execute(_LINES, {"project_id": project_id, "marker": marker, "limit": limit})
    return [InstanceLine(*_line(row)) for row in rows]


def page(unit: Unit, project_id: str, marker: str, limit: int) -> list[InstanceRecord]:
    """Return the same with all that is shown of each."""
    rows = unit.execute(_PAGE, {"project_id": project_id, "marker": marker, "limit": limit})
    return [_record(row) for row in rows]


def every(
    unit: Unit,
    offset: int,
    limit: int,
    *,
    project_id: str | None = None,
    deleted: bool | None = None,
) -> list[InstanceRecord]:
    """Return instances of all projects, or of one, the changed ones first.

    `deleted`: only those that are, or only those that are not; None: both.
    """
    query = _EVERY.offset(offset).limit(limit)
    if project_id is not None:
        query = query.where(_instances.c.project_id == project_id)
    if deleted is not None:
        query = query.where(_instances.c.alive == (not deleted))
    return [_record(row) for row in unit.execute(query)]


def show(
    unit: Unit, instance_id: str, project_id: str | None, *, deleted: bool = False
) -> InstanceRecord:
    """Return one instance; raise `NotFound` if it is not there, or not of this project.

    `deleted`: whether one that was deleted is there, too.
    """
    row = unit.execute(_ONE_EVER if deleted else _ONE, {"id": instance_id}).one_or_none()
    if row is None or project_id not in (None, row[1]):
        raise _not_found(instance_id)
    return _record(row)


def _line(row: Sequence[Any]) -> tuple[Any, ...]:
    """Return the values of a line, of a row that begins with its columns."""
    (
        id_, project_id, name, status, datastore, version_name, flavor_id, volume_gib, region,
        access, addresses, replica_of, replicas, created_at, service, silence,
    ) = row[: len(_LINE)]  # fmt: skip
    return (
        id_,
        project_id,
        name,
        Status(status),
        datastore,
        version_name,
        flavor_id,
        volume_gib,
        region,
        json.loads(access),
        tuple(json.loads(addresses)),
        replica_of,
        tuple(sorted(replicas.split(","))) if replicas else (),
        created_at,
        ServiceStatus(service) if service else ServiceStatus.NEW,
        float(silence) if silence is not None else 0.0,
    )


def _record(row: Sequence[Any]) -> InstanceRecord:
    (
        version, flavor_ram_mib, server_id, volume_id, fault_message, fault_details, fault_at,
        updated_at, ready_at, volume_total, volume_used, heard_at, root_enabled_at,
        root_enabled_by, root_disabled_at, deleted_at,
    ) = row[len(_LINE) :]  # fmt: skip
    more: tuple[Any, ...] = (
        version,
        flavor_ram_mib,
        server_id,
        volume_id,
        InstanceFault(fault_message, fault_details, fault_at) if fault_message else None,
        updated_at,
        ready_at is not None,
        volume_total or 0,
        volume_used or 0,
        heard_at,
        root_enabled_at,
        root_enabled_by,
        root_disabled_at,
        deleted_at,
    )
    return InstanceRecord(*_line(row), *more)


def add(unit: Unit, new: NewInstance) -> None:
    """Write the row of an instance that is being built."""
    unit.execute(
        insert(_instances).values(
            id=new.id,
            project_id=new.project_id,
            user_id=new.user_id,
            name=new.name,
            status=Status.BUILDING,
            datastore_version_id=new.datastore_version_id,
            flavor_id=new.flavor_id,
            flavor_ram_mib=new.flavor_ram_mib,
            ram_charged_mib=new.flavor_ram_mib,
            volume_gib=new.volume_gib,
            volume_charged_gib=new.volume_gib,
            volume_type=new.volume_type,
            availability_zone=new.availability_zone,
            region=new.region,
            access=json.dumps(new.access),
            addresses="[]",
        )
    )


SCRATCH_PROJECT = "dbaas-verification"
"""Whose the instances are in which backups are verified: nobody's, and no quota holds for them."""


def add_scratch(unit: Unit, new: NewInstance) -> None:
    """Write the row of an instance that no tenant asked for."""
    unlimited = dict.fromkeys(quotas.RESOURCES, quotas.UNLIMITED)
    taken = {"instances": 1, "ram": new.flavor_ram_mib, "volumes": new.volume_gib}
    quotas.charge(unit, new.project_id, taken, unlimited)
    add(unit, new)


def lock(unit: Unit, instance_id: str, project_id: str | None = None) -> LockedInstance:
    """Lock the row until the transaction ends; raise `NotFound` as `show` does."""
    row = unit.execute(
        select(
            _instances.c.id,
            _instances.c.project_id,
            _instances.c.name,
            _instances.c.status,
            _instances.c.flavor_id,
            _instances.c.flavor_ram_mib,
            _instances.c.ram_charged_mib,
            _instances.c.volume_gib,
            _instances.c.volume_charged_gib,
            _instances.c.access,
            _instances.c.ready_at,
        )
        .where(_instances.c.id == instance_id, _instances.c.alive)
        .with_for_update()
    ).one_or_none()
    if row is None or project_id not in (None, row.project_id):
        raise _not_found(instance_id)
    return LockedInstance(
        id=row.id,
        project_id=row.project_id,
        name=row.name,
        status=Status(row.status),
        flavor_id=row.flavor_id,
        flavor_ram_mib=row.flavor_ram_mib,
        ram_charged_mib=row.ram_charged_mib,
        access=json.loads(row.access),
        volume_gib=row.volume_gib,
        volume_charged_gib=row.volume_charged_gib,
        ready=row.ready_at is not None,
    )


def health(unit: Unit, instance_id: str) -> ServiceStatus:
    """Return what the guest reported last, without waiting for a heartbeat being written."""
    word = unit.scalar(select(_health.c.service).where(_health.c.instance_id == instance_id))
    return ServiceStatus.NEW if word is None else ServiceStatus(word)


def move(unit: Unit, instance: LockedInstance, event: Event) -> Status:
    """Apply `event` to the status: the only way in which it changes. Returns the new one.

    Raises `Busy` when the event is not allowed now.
    """
    status = states.after(instance.status, event)
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance.id)
        .values(status=status, updated_at=NOW)
    )
    return status


def rename(unit: Unit, instance_id: str, name: str) -> None:
    unit.execute(
        update(_instances).where(_instances.c.id == instance_id).values(name=name, updated_at=NOW)
    )


def distrust_health(unit: Unit, instance_id: str) -> None:
    """Forget how the database server was, until its guest reports again."""
    unit.execute(
        update(_health)
        .where(_health.c.instance_id == instance_id)
        .values(service=ServiceStatus.UNKNOWN)
    )


# What operations change: in the transactions that journal their steps


def happened(unit: Unit, instance_id: str, event: Event) -> Status:
    """Apply `event` to the status of an instance that is not locked yet."""
    return move(unit, lock(unit, instance_id), event)


def describe(
    unit: Unit,
    instance_id: str,
    *,
    addresses: Sequence[Mapping[str, str]] | None = None,
    server_id: str | None = None,
    volume_id: str | None = None,
) -> None:
    """Note what a cloud gave to the instance, or took away."""
    values: dict[str, Any] = {}
    if addresses is not None:
        values["addresses"] = json.dumps(list(addresses))
    if server_id is not None:
        values["server_id"] = server_id
    if volume_id is not None:
        values["volume_id"] = volume_id
    unit.execute(update(_instances).where(_instances.c.id == instance_id).values(**values))


def became_ready(unit: Unit, instance_id: str) -> None:
    """Note that the database server has served once: there is something to go back to."""
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance_id)
        .values(ready_at=func.coalesce(_instances.c.ready_at, NOW))
    )


def is_ready(unit: Unit, instance_id: str) -> bool:
    return bool(unit.scalar(select(_instances.c.ready_at).where(_instances.c.id == instance_id)))


def blame(unit: Unit, instance_id: str, message: str, details: str) -> None:
    """Show why the last operation failed: `message` to tenants, `details` to operators."""
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance_id)
        .values(fault_message=message, fault_details=details, fault_at=NOW)
    )


def forgive(unit: Unit, instance_id: str, message: str) -> None:
    """Show this fault no more, since it is over: another one stays."""
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance_id, _instances.c.fault_message == message)
        .values(fault_message=None, fault_details=None, fault_at=None)
    )


def root_enabled(unit: Unit, instance_id: str, user_id: str) -> None:
    """Note who let the tenant in as the engine's administrator: it is never forgotten."""
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance_id)
        .values(root_enabled_at=NOW, root_enabled_by=user_id, root_disabled_at=None)
    )


def root_disabled(unit: Unit, instance_id: str) -> None:
    unit.execute(
        update(_instances).where(_instances.c.id == instance_id).values(root_disabled_at=NOW)
    )


def set_certificate(unit: Unit, instance_id: str, pem: str) -> None:
    """Note what the engine shows to clients: its certificate, then its authority's."""
    unit.execute(update(_instances).where(_instances.c.id == instance_id).values(certificate=pem))


def certificate(unit: Unit, instance_id: str, project_id: str | None) -> str | None:
    """Return its PEM texts, None before there is one; raise `NotFound` as `show` does."""
    row = unit.execute(
        select(_instances.c.project_id, _instances.c.certificate).where(
            _instances.c.id == instance_id, _instances.c.alive
        )
    ).one_or_none()
    if row is None or project_id not in (None, row.project_id):
        raise _not_found(instance_id)
    return None if row.certificate is None else str(row.certificate)


def set_access(unit: Unit, instance_id: str, reach: Reach) -> None:
    """Note from where the instance can be reached: what is shown as its `access`."""
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance_id)
        .values(access=json.dumps(access_of(reach)), updated_at=NOW)
    )


def access_of(reach: Reach) -> dict[str, Any]:
    """Return what is shown as an instance's `access`."""
    access: dict[str, Any] = {"is_public": reach.is_public}
    if reach.allowed_cidrs:
        access["allowed_cidrs"] = list(reach.allowed_cidrs)
    return access


def reach_of(access: Mapping[str, Any]) -> Reach:
    """Return what `access` means; one that nobody asked for is empty."""
    return Reach(access.get("is_public", False), tuple(access.get("allowed_cidrs", ())))


def charge_ram(unit: Unit, instance_id: str, ram_mib: int) -> None:
    """Note that the quota was charged for a server with this memory."""
    unit.execute(
        update(_instances).where(_instances.c.id == instance_id).values(ram_charged_mib=ram_mib)
    )


def settle_flavor(unit: Unit, instance_id: str, flavor_id: str, ram_mib: int) -> None:
    """Note the flavor that the server has now; give back what was charged beyond it."""
    instance = lock(unit, instance_id)
    excess = instance.ram_charged_mib - ram_mib
    if excess:
        quotas.release(unit, instance.project_id, {"ram": excess})
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance_id)
        .values(
            flavor_id=flavor_id,
            flavor_ram_mib=ram_mib,
            ram_charged_mib=ram_mib,
            updated_at=NOW,
        )
    )


def charge_volume(unit: Unit, instance_id: str, size_gib: int) -> None:
    """Note that the quota was charged for a volume of `size_gib`."""
    unit.execute(
        update(_instances).where(_instances.c.id == instance_id).values(volume_charged_gib=size_gib)
    )


def settle_volume(unit: Unit, instance_id: str, size_gib: int) -> None:
    """Note the size that the volume has now; give back what was charged beyond it."""
    instance = lock(unit, instance_id)
    excess = instance.volume_charged_gib - size_gib
    if excess:
        quotas.release(unit, instance.project_id, {"volumes": excess})
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance_id)
        .values(volume_gib=size_gib, volume_charged_gib=size_gib, updated_at=NOW)
    )


def bury(unit: Unit, instance_id: str) -> None:
    """End the instance's life, and give back all that it took of its project's quota.

    Its schedules go with it; its backups stay.
    """
    # First: who runs a schedule locks it before its instance.
    unit.execute(delete(_schedules).where(_schedules.c.instance_id == instance_id))
    instance = lock(unit, instance_id)
    status = states.after(instance.status, Event.DELETED)
    unit.execute(
        update(_instances)
        .where(_instances.c.id == instance_id)
        .values(status=status, deleted_at=NOW, updated_at=NOW)
    )
    quotas.release(
        unit,
        instance.project_id,
        {
            "instances": 1,
            "ram": instance.ram_charged_mib,
            "volumes": instance.volume_charged_gib,
        },
    )


def bury_scratch(unit: Unit, instance_id: str) -> None:
    """End the life of one that no tenant asked for; one that never began is fine."""
    try:
        happened(unit, instance_id, Event.DELETE)
    except errors.NotFound:
        return
    bury(unit, instance_id)


def _not_found(instance_id: str) -> errors.NotFound:
    return errors.NotFound(f"Resource {instance_id} cannot be found.")
