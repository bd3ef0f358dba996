"""The body that asks for a backup, or registers one."""

from typing import Any

from dbaas.api.schemas.check import Check
from dbaas.api.schemas.instances import NAME, UUID, envelope

CONTAINER: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^/\x00-\x1f\x7f]+\Z",
    "description": "a container's name: 1 to 255 characters, none of them a slash",
}

STORAGE: dict[str, Any] = {
    "type": "string",
    "minLength": 1,
    "maxLength": 64,
    "description": "the name of a storage",
}

_NUMBER_OR_TEXT = {
    "anyOf": [
        {"type": "number", "minimum": 0, "maximum": 1 << 20},
        {"type": "string", "pattern": r"^\d{1,7}(\.\d{1,6})?\Z"},
    ],
    "description": "a number of GiB of at least 0",
}

CREATE = Check(
    envelope(
        "backup",
        {
            "type": "object",
            "required": ["name"],
            "description": "an object",
            "properties": {
                "name": NAME,
                "instance": UUID,
                "description": {
                    "type": "string",
                    "minLength": 1,
                    "maxLength": 4096,
                    "pattern": r"^[^\x00]*\Z",
                    "description": "text of 1 to 4096 characters",
                },
                "parent_id": UUID,
                "incremental": {"enum": [0, 1, True, False], "description": "0 or 1"},
                "swift_container": CONTAINER,
                "storage_driver": STORAGE,
                "restore_from": {
                    "type": "object",
                    "required": ["remote_location", "local_datastore_version_id", "size"],
                    "description": "an object with remote_location, local_datastore_version_id "
                    "and size",
                    "properties": {
                        "remote_location": {
                            "type": "string",
                            "minLength": 1,
                            "maxLength": 2048,
                            "pattern": r"^[^\x00-\x20\x7f]+\Z",
                            "description": "a URL",
                        },
                        "local_datastore_version_id": UUID,
                        "size": _NUMBER_OR_TEXT,
                    },
                },
            },
        },
    )
)

_MAY_BE_EMPTY = ("parent_id", "swift_container", "storage_driver", "instance")


def without_empty(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body less those keys that clients send without a value."""
    inner = body.get("backup")
    if not isinstance(inner, dict):
        return body
    kept = {
        key: value
        for key, value in inner.items()
        if not (key in _MAY_BE_EMPTY and value in (None, ""))
    }
    return {**body, "backup": kept}
