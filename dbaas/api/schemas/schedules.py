"""The bodies that make and change a schedule of backups."""

from typing import Any

from dbaas.api.schemas.backups import CONTAINER, STORAGE
from dbaas.api.schemas.check import Check
from dbaas.api.schemas.instances import NAME, UUID, envelope

_CRON: dict[str, Any] = {
    "type": "string",
    "minLength": 9,
    "maxLength": 255,
    "pattern": r"^[0-9A-Za-z*/,#? -]+\Z",
    "description": "a cron expression of five fields, as '0 3 * * 0'",
}


def _most(most: int) -> dict[str, Any]:
    return {
        "type": ["integer", "null"],
        "minimum": 1,
        "maximum": most,
        "description": f"a whole number from 1 to {most}, or null for no limit",
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}], "description": schema["description"]}


_CHANGES: dict[str, Any] = {
    "name": NAME,
    "cron": _CRON,
    "full_cron": _or_null(_CRON),
    "timezone": {
        "type": "string",
        "minLength": 1,
        "maxLength": 64,
        "pattern": r"^[A-Za-z0-9/_+-]+\Z",
        "description": "a time zone of the IANA database, as Europe/Berlin",
    },
    "retention": {
        "type": ["object", "null"],
        "additionalProperties": False,
        "description": "an object with count and days",
        "properties": {"count": _most(10_000), "days": _most(36_500)},
    },
    "enabled": {"type": "boolean", "description": "true or false"},
    "verify": {"type": "boolean", "description": "true or false"},
    "swift_container": _or_null(CONTAINER),
    "storage_driver": _or_null(STORAGE),
}

CREATE = Check(
    envelope(
        "backup_schedule",
        {
            "type": "object",
            "required": ["name", "instance", "cron"],
            "additionalProperties": False,
            "description": "an object",
            "properties": {**_CHANGES, "instance": UUID},
        },
    )
)

CHANGE = Check(
    envelope(
        "backup_schedule",
        {
            "type": "object",
            "additionalProperties": False,
            "minProperties": 1,
            "description": "an object with what is to change",
            "properties": _CHANGES,
        },
    )
)
