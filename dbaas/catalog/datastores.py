"""Datastores and their versions: what the catalog offers."""

import json
import uuid
from collections.abc import Sequence
from typing import Any

from sqlalchemy import insert, select, update

from dbaas.catalog import tables
from dbaas.catalog.records import Datastore, DatastoreVersion
from dbaas.catalog.unit import Unit

_stores = tables.datastores
_versions = tables.datastore_versions
_instances = tables.instances

_VERSION = (
    _versions.c.id.label("version_id"),
    _versions.c.datastore_id,
    _versions.c.name.label("version_name"),
    _versions.c.version,
    _versions.c.manager,
    _versions.c.image_id,
    _versions.c.image_tags,
    _versions.c.packages,
    _versions.c.active,
)
_ALL = (
    select(
        _stores.c.id,
        _stores.c.name,
        _stores.c.default_version_id,
        *_VERSION,
    )
    .select_from(_stores.outerjoin(_versions, _versions.c.datastore_id == _stores.c.id))
    .order_by(_stores.c.name, _versions.c.name, _versions.c.version)
)


def everything(unit: Unit) -> tuple[Datastore, ...]:
    """Return every datastore with its versions, by name, in one statement: there are few."""
    found: dict[str, Datastore] = {}
    versions: dict[str, list[DatastoreVersion]] = {}
    for row in unit.execute(_ALL):
        found.setdefault(row.id, Datastore(row.id, row.name, row.default_version_id))
        if row.version_id is not None:
            versions.setdefault(row.id, []).append(_version(row))
    return tuple(
        Datastore(store.id, store.name, store.default_version_id, tuple(versions.get(store.id, ())))
        for store in found.values()
    )


def register(
    unit: Unit,
    datastore: str,
    name: str,
    number: str,
    manager: str,
    image: str,
    image_tags: Sequence[str] = (),
) -> bool:
    """Offer a version, as the datastore's default if that has none; return False if it is known.

    `name` and `number` are those of the version; `manager` is the engine that drives it. Guests
    are made of the image of that id or of the newest with all of the tags.
    """
    store_id = unit.scalar(select(_stores.c.id).where(_stores.c.name == datastore))
    if store_id is None:
        store_id = str(uuid.uuid4())
        unit.execute(insert(_stores).values(id=store_id, name=datastore))
    of_version = (
        (_versions.c.datastore_id == store_id)
        & (_versions.c.name == name)
        & (_versions.c.version == number)
    )
    if unit.scalar(select(_versions.c.id).where(of_version)) is not None:
        return False
    version_id = str(uuid.uuid4())
    unit.execute(
        insert(_versions).values(
            id=version_id,
            datastore_id=store_id,
            name=name,
            version=number,
            manager=manager,
            image_id=image,
            image_tags=json.dumps(list(image_tags)),
            packages="[]",
            active=True,
        )
    )
    unit.execute(
        update(_stores)
        .where(_stores.c.id == store_id, _stores.c.default_version_id.is_(None))
        .values(default_version_id=version_id)
    )
    return True


def version(unit: Unit, version_id: str) -> DatastoreVersion:
    """Return the version of this id; it has to be there."""
    row = unit.execute(select(*_VERSION).where(_versions.c.id == version_id)).one()
    return _version(row)


def of_instance(unit: Unit, instance_id: str) -> DatastoreVersion:
    """Return the version that an instance is of; it has to be there."""
    row = unit.execute(
        select(*_VERSION)
        .select_from(
            _versions.join(_instances, _instances.c.datastore_version_id == _versions.c.id)
        )
        .where(_instances.c.id == instance_id)
    ).one()
    return _version(row)


def _version(row: Any) -> DatastoreVersion:
    return DatastoreVersion(
        id=row.version_id,
        datastore_id=row.datastore_id,
        name=row.version_name,
        version=row.version,
        manager=row.manager,
        image_id=row.image_id,
        image_tags=tuple(json.loads(row.image_tags)),
        packages=tuple(json.loads(row.packages)),
        active=bool(row.active),
    )
