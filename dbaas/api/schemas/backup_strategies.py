"""The body that sets where backups go."""

from dbaas.api.schemas.check import Check

CONTAINER = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^/\x00-\x1f\x7f]+\Z",
    "description": "a container's name: 1 to 255 characters, none of them a slash",
}

CREATE = Check(
    {
        "type": "object",
        "required": ["backup_strategy"],
        "additionalProperties": False,
        "description": "an object with the key backup_strategy",
        "properties": {
            "backup_strategy": {
                "type": "object",
                "required": ["swift_container"],
                "additionalProperties": False,
                "description": "an object with swift_container, and instance_id for one instance",
                "properties": {
                    "swift_container": CONTAINER,
                    "instance_id": {
                        "type": ["string", "null"],
                        "pattern": r"^([0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})?\Z",
                        "description": "the id of an instance",
                    },
                },
            }
        },
    }
)
