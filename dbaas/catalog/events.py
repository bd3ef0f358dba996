"""What a notification says of an operation: event names and keys as those have them who listen."""

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select

from dbaas.catalog import instances
from dbaas.catalog.records import InstanceRecord
from dbaas.catalog.tables import operations
from dbaas.catalog.unit import Unit
from dbaas.contract.operations import State

Json = dict[str, Any]


@dataclass(frozen=True)
class Event:
    """`name` as `instance_create`."""

    name: str
    payload: Json
    failed: bool = False


def begun(unit: Unit, operation_id: str, service: str) -> Event | None:
    """Return what `service` says when it was accepted; None for what nobody hears about."""
    return _event(unit, _row(unit, operation_id), service)


def ended(unit: Unit, operation_id: str, service: str) -> Event | None:
    """Return what `service` says when it has ended, well or not, or was parked; None as `begun`
    does, and for one that was parked and goes on by now."""
    row = _row(unit, operation_id)
    if row.state == State.RUNNABLE:
        return None
    event = _event(unit, row, service)
    if event is None:
        return None
    payload = {**event.payload, "instance_id": row.instance_id}
    if row.state == State.SUCCEEDED:
        return Event(event.name, payload)
    message = row.fault_message or "It was stopped before it was done."
    lines = (row.fault_details or "").splitlines()
    return Event(event.name, {**payload, "message": message, "exception": lines}, failed=True)


def _row(unit: Unit, operation_id: str) -> Any:
    return unit.execute(select(operations).where(operations.c.id == operation_id)).one()


def _event(unit: Unit, row: Any, service: str) -> Event | None:
    if not row.instance_id:
        return None
    instance = instances.show(unit, row.instance_id, None, deleted=True)
    said = _said(row.kind, json.loads(row.request), instance)
    if said is None:
        return None
    name, payload = said
    return Event(name, {**_sender(row, service), **payload})


def _sender(row: Any, service: str) -> Json:
    return {
        "tenant_id": row.project_id,
        "client_ip": row.client_ip,
        "server_ip": _address(),
        "server_type": service,
        "request_id": row.request_id,
    }


def _address() -> str:
    """Return an address of this host, by its name; the loopback one where that has none."""
    try:
        return socket.gethostbyname(socket.gethostname())
    except OSError:
        return "127.0.0.1"


def _said(kind: str, asked: Json, instance: InstanceRecord) -> tuple[str, Json] | None:
    this: Json = {"instance_id": instance.id}
    match kind:
        case "create_instance" | "restore_instance":
            return "instance_create", _creation(asked, instance)
        case "delete_instance" | "back_up_and_delete_instance":
            return "instance_delete", this
        case "create_backup":
            return "backup_create", {**this, "backup_id": asked["backup_id"]}
        case "delete_backups":
            return "backup_delete", {"backup_id": asked["backup_ids"][-1]}
        case "restart_instance":
            return "instance_restart", this
        case "reset_status":
            return "instance_reset_status", this
        case "resize_volume":
            return "instance_resize_volume", {**this, "new_size": asked["new_gib"]}
        case "resize_flavor":
            return "instance_resize_instance", {**this, "new_flavor_id": asked["new_flavor"]}
        case "ask_guest":
            found = _inside(asked["verb"], asked["order"])
            return None if found is None else (found[0], {**this, **found[1]})
    return None


def _creation(asked: Json, instance: InstanceRecord) -> Json:
    said: Json = {
        "name": asked["name"],
        "flavor_id": asked["flavor"],
        "datastore": instance.datastore,
        "datastore_version": instance.version_name,
        "image_id": asked["image"],
        "availability_zone": asked["availability_zone"] or None,
        "region_name": instance.region,
        "volume_size": asked["volume_gib"],
    }
    for key in ("databases", "users"):
        if asked[key]:
            said[key] = _names(asked[key])
    if asked["network"]:
        said["nics"] = [{"net-id": asked["network"]}]
    return said


def _inside(verb: str, order: Any) -> tuple[str, Json] | None:
    """Return event and keys of what was asked of an engine; None for what changes nothing."""
    match verb:
        case "create_databases":
            return "database_create", {"dbname": _names(order["databases"])}
        case "delete_database":
            return "database_delete", {"dbname": order["name"]}
        case "create_users":
            return "user_create", {"username": _names(order["users"])}
        case "delete_user":
            return "user_delete", {"username": order["name"]}
        case "change_users":
            return _changes(order["changes"])
        case "grant_access" | "revoke_access":
            event = "user_grant" if verb == "grant_access" else "user_revoke"
            databases = ",".join(order["databases"])
            return event, {"username": order["user"]["name"], "database": databases}
    return None


def _changes(changes: list[Json]) -> tuple[str, Json]:
    renamed = any(change["name"] is not None or change["host"] is not None for change in changes)
    event = "user_update_attributes" if renamed else "user_change_password"
    return event, {"username": ",".join(change["user"]["name"] for change in changes)}


def _names(items: list[Mapping[str, Any]]) -> str:
    return ",".join(item["name"] for item in items)
