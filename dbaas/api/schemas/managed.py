"""The bodies of an administrator's actions."""

from dbaas.api.schemas.check import Check
from dbaas.api.schemas.instances import EMPTY, TEXT, UUID, envelope

STOP = Check(envelope("stop", EMPTY))

REBOOT = Check(envelope("reboot", EMPTY))

RESET_TASK_STATUS = Check(envelope("reset-task-status", EMPTY))

ROTATE_KEYS = Check(envelope("rotate-keys", EMPTY))

MIGRATE = Check(
    envelope(
        "migrate",
        {
            "type": ["object", "null"],
            "description": "an object with the key host, or nothing",
            "additionalProperties": False,
            "properties": {"host": TEXT},
        },
    )
)

REBUILD = Check(
    envelope(
        "rebuild",
        {
            "type": "object",
            "description": "an object with the key image_id",
            "required": ["image_id"],
            "additionalProperties": False,
            "properties": {"image_id": UUID},
        },
    )
)
