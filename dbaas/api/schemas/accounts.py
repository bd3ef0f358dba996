"""The bodies of requests about databases, users, their rights, and root."""

from dbaas.api.schemas.check import Check
from dbaas.api.schemas.instances import (
    DATABASE_NAMES,
    DATABASES,
    HOST,
    PASSWORD,
    TEXT,
    USERS,
    envelope,
)

CREATE_DATABASES = Check(envelope("databases", DATABASES))

CREATE_USERS = Check(envelope("users", USERS))

CHANGE_PASSWORDS = Check(
    envelope(
        "users",
        {
            "type": "array",
            "maxItems": 1000,
            "description": "an array of at most 1000 users",
            "items": {
                "type": "object",
                "description": "an object with name, password and host",
                "required": ["name", "password"],
                "properties": {"name": TEXT, "password": PASSWORD, "host": HOST},
            },
        },
    )
)

CHANGE_USER = Check(
    envelope(
        "user",
        {
            "type": "object",
            "description": "an object with at least one of name, password and host",
            "minProperties": 1,
            "additionalProperties": False,
            "properties": {"name": TEXT, "password": PASSWORD, "host": HOST},
        },
    )
)

GRANT = Check(envelope("databases", DATABASE_NAMES))

ENABLE_ROOT = Check(
    {
        "type": "object",
        "additionalProperties": False,
        "description": "an object with the key password, or nothing",
        "properties": {
            "password": {
                "anyOf": [PASSWORD, {"type": "null"}],
                "description": PASSWORD["description"],
            },
        },
    }
)
