"""Records as the JSON that clients know: keys, links and times exactly as the contract has them."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from typing import Any
from urllib.parse import quote

import falcon

from dbaas.api.middleware import identity
from dbaas.catalog.operation_views import OperationView
from dbaas.catalog.records import (
    BackupRecord,
    Datastore,
    DatastoreVersion,
    InstanceLine,
    InstanceRecord,
)
from dbaas.catalog.recovery import Recovery
from dbaas.catalog.schedules import Schedule
from dbaas.cloud.base import Flavor
from dbaas.common import certificates
from dbaas.contract import states
from dbaas.contract.messages import Progress, UserView
from dbaas.contract.states import Status

Json = dict[str, Any]

_GIB = 1024.0**3


class Detail(IntEnum):
    """How much of an instance is shown: in a detailed list, alone."""

    DETAIL = 1
    SHOW = 2


@dataclass(frozen=True)
class Site:
    """Where links lead: always https, to the host as the client named it."""

    host: str
    project_id: str
    is_admin: bool

    def links(self, collection: str, id_: str) -> list[Json]:
        path = f"{collection}/{quote(id_)}"
        return [
            {"rel": "self", "href": f"https://{self.host}/v1.0/{self.project_id}/{path}"},
            {"rel": "bookmark", "href": f"https://{self.host}/{path}"},
        ]


def site(req: falcon.Request) -> Site:
    who = identity(req)
    return Site(host(req), who.project_id, who.is_admin)


def host(req: falcon.Request) -> str:
    """Return host and port exactly as in the Host header."""
    return req.get_header("Host") or req.netloc


def moment(time: datetime) -> str:
    """UTC without zone and without fraction: some clients parse nothing else."""
    return time.isoformat(timespec="seconds")


def instance_line(record: InstanceLine, at: Site, patience: float) -> Json:
    """`patience`: seconds without a heartbeat after which the instance's health is unknown."""
    view: Json = {
        "id": record.id,
        "name": record.name,
        "status": states.WORDS[record.status],
        "operating_status": states.operating_status(
            record.status, record.health, record.silence, patience
        ),
        "links": at.links("instances", record.id),
        "flavor": {"id": record.flavor_id, "links": at.links("flavors", record.flavor_id)},
        "datastore": {"type": record.datastore, "version": record.version_name},
        "region": record.region,
        "access": record.access or _access(record.addresses),
        "volume": {"size": record.volume_gib},
    }
    if at.is_admin:
        view["tenant_id"] = record.project_id
    if record.addresses:
        view["ip"] = [item["address"] for item in record.addresses]
        view["addresses"] = list(record.addresses)
    if record.replica_of is not None:
        view["replica_of"] = _instance_link(record.replica_of, at)
    if record.replicas:
        view["replicas"] = [_instance_link(id_, at) for id_ in record.replicas]
    return view


def instance(record: InstanceRecord, at: Site, detail: Detail, patience: float) -> Json:
    view = instance_line(record, at, patience)
    _add_details(view, record, at)
    if detail is Detail.SHOW and record.volume_total:
        view["volume"] |= {
            "used": round(record.volume_used / _GIB, 2),
            "used_percent": round(100 * record.volume_used / record.volume_total, 1),
        }
    return view


def _add_details(view: Json, record: InstanceRecord, at: Site) -> None:
    view["datastore"]["version_number"] = record.version
    view["created"] = moment(record.created_at)
    view["updated"] = moment(record.updated_at)
    view["service_status_updated"] = moment(record.heard_at or record.created_at)
    if record.fault is not None:
        view["fault"] = {
            "message": record.fault.message,
            "created": moment(record.fault.created),
            "details": record.fault.details if at.is_admin else None,
        }
    if at.is_admin:
        view["server_id"] = record.server_id or None
        view["volume_id"] = record.volume_id or None
        view["encrypted_rpc_messaging"] = True


_TASKS: Mapping[Status, str] = {
    Status.BUILDING: "Building the instance.",
    Status.ACTIVE: "No tasks for the instance.",
    Status.REBOOTING: "Restarting the database server.",
    Status.RESIZING: "Resizing the instance.",
    Status.UPDATING: "Updating the instance.",
    Status.BACKING_UP: "Backing the instance up.",
    Status.DELETING: "Deleting the instance.",
    Status.DELETED: "The instance was deleted.",
    Status.ERROR: "The last task failed.",
}


def managed_instance(record: InstanceRecord, at: Site, detail: Detail, patience: float) -> Json:
    """What an administrator is shown, from the catalog alone: no cloud is asked."""
    heard = record.heard_at is not None
    view = instance(record, at, detail, patience) | {
        "server": {"id": record.server_id} if record.server_id else None,
        "service_status": states.HEALTH_WORDS[record.health] if heard else None,
        "deleted": record.deleted_at is not None,
        "deleted_at": None if record.deleted_at is None else moment(record.deleted_at),
        "task_description": _TASKS[record.status],
    }
    if detail is Detail.SHOW:
        view["volume"] = _managed_volume(record)
        view["guest_status"] = {"state_description": record.health.value}
        if record.root_enabled_at is not None:
            view["root_enabled"] = moment(record.root_enabled_at)
            view["root_enabled_by"] = record.root_enabled_by
    return view


def _managed_volume(record: InstanceRecord) -> Json:
    volume: Json = {"id": record.volume_id or None, "size": record.volume_gib}
    if record.volume_total:
        volume["used"] = round(record.volume_used / _GIB, 2)
        volume["total"] = round(record.volume_total / _GIB, 2)
    return volume


def root_history(record: InstanceRecord) -> Json:
    enabled = record.root_enabled_at
    return {
        "id": record.id,
        "enabled": "Never" if enabled is None else moment(enabled),
        "user": record.root_enabled_by or "Nobody",
    }


def user(one: UserView) -> Json:
    databases = [{"name": name} for name in one.databases]
    return {"name": one.name, "host": one.host, "databases": databases}


def recovery(known: Recovery) -> Json:
    """Moments are whole seconds that can be asked for; lag is in seconds, what waits in bytes."""
    windows = [
        {"earliest": _second(math.ceil(each.earliest)), "latest": _second(int(each.latest))}
        for each in known.windows
        if math.ceil(each.earliest) <= int(each.latest)
    ]
    report = known.live.report if known.live else None
    return {
        "archiving": known.live is not None,
        "earliest": windows[0]["earliest"] if windows else None,
        "latest": windows[-1]["latest"] if windows else None,
        "windows": windows,
        "lag": report.lag if report else 0.0,
        "pending": report.pending if report else 0,
        "alarm": bool(report and (report.behind or report.ended)),
        "fault": report.fault if report else "",
    }


def _second(moment_: int) -> str:
    return moment(datetime.fromtimestamp(moment_, UTC).replace(tzinfo=None))


def tls(pem: str, *, whole: bool) -> Json:
    """`pem`: the certificate that the engine shows, then the authority's; shown if `whole`."""
    said = certificates.describe(pem)
    certificate: Json = {
        "cn": said.common_name,
        "expire_at": moment(said.expires_at),
        "san": list(said.names),
    }
    if whole:
        certificate["payload"] = pem
    return {"status": "on", "mode": "basic", "certificate": certificate}


def _access(addresses: tuple[Mapping[str, str], ...]) -> Json:
    if not addresses:
        return {}
    return {"is_public": any(item.get("type") == "public" for item in addresses)}


def _instance_link(id_: str, at: Site) -> Json:
    return {"id": id_, "links": at.links("instances", id_)}


def datastore(store: Datastore, at: Site) -> Json:
    view: Json = {
        "id": store.id,
        "name": store.name,
        "links": at.links("datastores", store.id),
        "versions": [
            _version(version, at) for version in store.versions if version.active or at.is_admin
        ],
    }
    if store.default_version_id:
        view["default_version"] = store.default_version_id
    return view


def datastore_version(version: DatastoreVersion, at: Site) -> Json:
    return {**_version(version, at), "datastore": version.datastore_id}


def _version(version: DatastoreVersion, at: Site) -> Json:
    view: Json = {
        "id": version.id,
        "name": version.name,
        "version": version.version,
        "links": at.links(f"datastores/{version.datastore_id}/versions", version.id),
    }
    if at.is_admin:
        view |= {
            "active": version.active,
            "packages": ",".join(version.packages),
            "image": version.image_id or None,
            "image_tags": list(version.image_tags),
            "registry_ext": None,
            "repl_strategy": None,
        }
    return view


def flavor(one: Flavor, at: Site) -> Json:
    return {
        # An integer where it is one, since some clients read nothing else; `str_id` always is.
        "id": int(one.id) if one.id.isdecimal() and one.id.isascii() else None,
        "str_id": one.id,
        "name": one.name,
        "ram": one.ram_mib,
        "vcpus": one.vcpus,
        "disk": one.disk_gib,
        "ephemeral": one.ephemeral_gib,
        "local_storage": one.ephemeral_gib,
        "links": at.links("flavors", one.id),
    }


def work(done: Progress) -> Json:
    """How far a guest is with something long; the whole is an estimate."""
    return {
        "bytes": done.done,
        "total_bytes": done.total or None,
        "percent": round(min(100.0, 100 * done.done / done.total), 1) if done.total else None,
        "stored_bytes": done.stored,
        "rate_mb_s": round(done.rate / 1e6, 1),
    }


def backup(one: BackupRecord, at: Site) -> Json:
    """Sizes of Trove's are GiB, those that are ours are bytes."""
    view: Json = {
        "id": one.id,
        "name": one.name,
        "description": one.description,
        "locationRef": one.location,
        "instance_id": one.instance_id,
        "created": moment(one.created_at),
        "updated": moment(one.updated_at),
        "size": None if one.restored_size is None else round(one.restored_size / _GIB, 2),
        "status": one.status,
        "parent_id": one.parent_id,
        "project_id": one.project_id,
        "datastore": {
            "type": one.datastore,
            "version": one.version_name,
            "version_id": one.version_id,
        },
        "strategy": one.strategy,
        "incremental": one.parent_id is not None,
        "storage_driver": one.storage,
        "swift_container": one.container,
        "stored_bytes": one.stored_size,
        "data_bytes": one.data_size,
        "taken": None if one.taken_at is None else moment(one.taken_at),
        "seconds": None if one.seconds is None else round(one.seconds, 1),
        "fault": one.fault,
        "schedule_id": one.schedule_id,
        "verified_at": None if one.verified_at is None else moment(one.verified_at),
        "verification": None if one.verification is None else dict(one.verification),
        "links": at.links("backups", one.id),
    }
    if one.progress is not None:
        view["progress"] = work(one.progress)
    return view


def schedule(one: Schedule, at: Site) -> Json:
    return {
        "id": one.id,
        "name": one.name,
        "project_id": one.project_id,
        "instance_id": one.instance_id,
        "cron": one.cron,
        "full_cron": one.full_cron or None,
        "timezone": one.timezone,
        "retention": {"count": one.keep_count, "days": one.keep_days},
        "enabled": one.enabled,
        "verify": one.verify,
        "swift_container": one.container or None,
        "storage_driver": one.storage or None,
        "next_run": None if one.next_run_at is None else moment(one.next_run_at),
        "last_run": None if one.last_run_at is None else moment(one.last_run_at),
        "last_backup_id": one.last_backup_id,
        "last_fault": one.last_fault,
        "created": moment(one.created_at),
        "updated": moment(one.updated_at),
        "links": at.links("backup_schedules", one.id),
    }


def operation(one: OperationView, at: Site) -> Json:
    view: Json = {
        "id": one.id,
        "kind": one.kind,
        "state": one.state,
        "phase": one.phase,
        "progress": round(one.progress, 3),
        "instance_id": one.instance_id or None,
        "request_id": one.request_id,
        "user_id": one.user_id,
        "superseded_by": one.superseded_by,
        "created": moment(one.created_at),
        "updated": moment(one.updated_at),
        "finished": None if one.finished_at is None else moment(one.finished_at),
        "fault": None,
        "steps": [
            {
                "name": step.name,
                "state": step.state,
                "attempts": step.attempts,
                "started": None if step.started_at is None else moment(step.started_at),
                "finished": None if step.finished_at is None else moment(step.finished_at),
                "message": step.message,
            }
            for step in one.steps
        ],
        "links": at.links("operations", one.id),
    }
    if one.work is not None:
        view["work"] = work(one.work)
    if one.fault is not None:
        view["fault"] = {
            "message": one.fault.message,
            "details": one.fault.details if at.is_admin else None,
        }
    if at.is_admin:
        view["tenant_id"] = one.project_id
    return view
