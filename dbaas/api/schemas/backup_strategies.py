"""The body that sets where backups go."""

from dbaas.api.schemas.backups import CONTAINER
from dbaas.api.schemas.check import Check
from dbaas.api.schemas.instances import envelope

CREATE = Check(
    envelope(
        "backup_strategy",
        {
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
        },
    )
)
