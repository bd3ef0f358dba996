"""What is answered, for the description of the API; nothing of it is checked when it is sent."""

from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "number"}
WHOLE: Schema = {"type": "integer"}
MAYBE_TEXT: Schema = {"type": ["string", "null"]}
MOMENT: Schema = {
    "type": "string",
    "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d$",
    "description": "UTC, without a zone",
}
MAYBE_MOMENT: Schema = {"anyOf": [MOMENT, {"type": "null"}]}


def item(required: Schema, optional: Schema | None = None) -> Schema:
    return {
        "type": "object",
        "required": [*required],
        "properties": {**required, **(optional or {})},
    }


def rows(one: Schema) -> Schema:
    return {"type": "array", "items": one}


LINK = item({"rel": TEXT, "href": TEXT})
LINKS = rows(LINK)
LINKED = item({"id": TEXT, "links": LINKS})

RECOVERY = item(
    {
        "archiving": {"type": "boolean"},
        "earliest": MAYBE_MOMENT,
        "latest": MAYBE_MOMENT,
        "windows": rows(item({"earliest": MOMENT, "latest": MOMENT})),
        "lag": NUMBER,
        "pending": WHOLE,
        "alarm": {"type": "boolean"},
        "fault": TEXT,
    }
)

FAULT = item({"code": WHOLE, "message": TEXT}, {"details": TEXT, "retryAfter": TEXT})

VERSION = item({"id": TEXT, "status": TEXT, "updated": TEXT, "links": LINKS})

INSTANCE = item(
    {
        "id": TEXT,
        "name": TEXT,
        "status": TEXT,
        "operating_status": TEXT,
        "links": LINKS,
        "flavor": LINKED,
        "datastore": item({"type": TEXT, "version": TEXT}, {"version_number": TEXT}),
        "region": TEXT,
        "access": {"type": "object"},
        "volume": item({"size": WHOLE}, {"used": NUMBER, "used_percent": NUMBER}),
    },
    {
        "ip": rows(TEXT),
        "addresses": rows(item({"address": TEXT})),
        "created": MOMENT,
        "updated": MOMENT,
        "service_status_updated": MOMENT,
        "fault": item({"message": TEXT, "created": MOMENT, "details": MAYBE_TEXT}),
        "replica_of": LINKED,
        "replicas": rows(LINKED),
        "tenant_id": TEXT,
    },
)

MANAGED_INSTANCE = item(
    {
        "id": TEXT,
        "name": TEXT,
        "status": TEXT,
        "tenant_id": TEXT,
        "service_status": MAYBE_TEXT,
        "deleted": {"type": "boolean"},
        "deleted_at": MAYBE_MOMENT,
        "task_description": TEXT,
    }
)

DATASTORE_VERSION = item({"id": TEXT, "name": TEXT, "version": TEXT, "links": LINKS})

DATASTORE = item(
    {"id": TEXT, "name": TEXT, "links": LINKS, "versions": rows(DATASTORE_VERSION)},
    {"default_version": TEXT},
)

FLAVOR = item(
    {
        "id": {"type": ["integer", "null"]},
        "str_id": TEXT,
        "name": TEXT,
        "ram": WHOLE,
        "vcpus": WHOLE,
        "disk": WHOLE,
        "links": LINKS,
    }
)

RATE = item(
    {"verb": TEXT},
    {
        "uri": TEXT,
        "regex": TEXT,
        "value": WHOLE,
        "remaining": WHOLE,
        "unit": TEXT,
        "nextAvailable": TEXT,
    },
)

QUOTA = item({"resource": TEXT, "in_use": WHOLE, "reserved": WHOLE, "limit": WHOLE})

NAMED = item({"name": TEXT})
USER = item({"name": TEXT, "host": TEXT, "databases": rows(NAMED)})

TLS = item(
    {
        "status": TEXT,
        "mode": TEXT,
        "certificate": item({"cn": TEXT, "expire_at": MOMENT, "san": rows(TEXT)}),
    }
)

STEP = item(
    {
        "name": TEXT,
        "state": TEXT,
        "attempts": WHOLE,
        "started": MAYBE_MOMENT,
        "finished": MAYBE_MOMENT,
        "message": TEXT,
    }
)

WORK = item(
    {
        "bytes": WHOLE,
        "total_bytes": {"type": ["integer", "null"]},
        "percent": {"type": ["number", "null"]},
        "stored_bytes": WHOLE,
        "rate_mb_s": NUMBER,
    }
)

OPERATION = item(
    {
        "id": TEXT,
        "kind": TEXT,
        "state": TEXT,
        "phase": TEXT,
        "progress": NUMBER,
        "instance_id": {"type": ["string", "null"]},
        "request_id": TEXT,
        "created": MOMENT,
        "updated": MOMENT,
        "finished": MAYBE_MOMENT,
        "fault": {"type": ["object", "null"]},
        "steps": rows(STEP),
        "links": LINKS,
    },
    {"work": WORK},
)

BACKUP_STRATEGY = item(
    dict.fromkeys(("project_id", "instance_id", "backend", "swift_container"), TEXT)
)

BACKUP = item(
    {
        "id": TEXT,
        "name": TEXT,
        "description": MAYBE_TEXT,
        "locationRef": MAYBE_TEXT,
        "instance_id": MAYBE_TEXT,
        "created": MOMENT,
        "updated": MOMENT,
        "size": {"type": ["number", "null"]},
        "status": TEXT,
        "parent_id": MAYBE_TEXT,
        "project_id": TEXT,
        "datastore": item(dict.fromkeys(("type", "version", "version_id"), TEXT)),
        "strategy": TEXT,
        "incremental": {"type": "boolean"},
        "storage_driver": TEXT,
        "swift_container": TEXT,
        "stored_bytes": {"type": ["integer", "null"]},
        "data_bytes": {"type": ["integer", "null"]},
        "taken": MAYBE_MOMENT,
        "seconds": {"type": ["number", "null"]},
        "fault": MAYBE_TEXT,
        "schedule_id": MAYBE_TEXT,
        "verified_at": MAYBE_MOMENT,
        "verification": {"type": ["object", "null"]},
        "links": LINKS,
    },
    {"progress": WORK},
)

SCHEDULE = item(
    {
        "id": TEXT,
        "name": TEXT,
        "project_id": TEXT,
        "instance_id": TEXT,
        "cron": TEXT,
        "full_cron": MAYBE_TEXT,
        "timezone": TEXT,
        "retention": item({key: {"type": ["integer", "null"]} for key in ("count", "days")}),
        "enabled": {"type": "boolean"},
        "verify": {"type": "boolean"},
        "swift_container": MAYBE_TEXT,
        "storage_driver": MAYBE_TEXT,
        "next_run": MAYBE_MOMENT,
        "last_run": MAYBE_MOMENT,
        "last_backup_id": MAYBE_TEXT,
        "last_fault": MAYBE_TEXT,
        "created": MOMENT,
        "updated": MOMENT,
        "links": LINKS,
    }
)
