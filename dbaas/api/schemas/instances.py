"""The bodies of requests about instances."""

from typing import Any

from dbaas.api.schemas.check import Check

_UUID_PATTERN = r"^[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}\Z"
_MOST = 2**31 - 1

UUID = {"type": "string", "pattern": _UUID_PATTERN, "description": "a UUID"}

NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^(?=.*[^\W_])[^\x00-\x1f\x7f]+\Z",
    "description": "text of 1 to 255 characters, one of them a letter or a digit",
}

TEXT = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^[^\x00-\x1f\x7f]+\Z",
    "description": "text of 1 to 255 characters",
}

SIZE = {
    "anyOf": [
        {"type": "integer", "minimum": 1, "maximum": _MOST},
        {"type": "string", "pattern": r"^[0-9]{1,9}\Z"},
    ],
    "description": "a whole number of GiB of at least 1",
}

BOOLEAN = {"type": "boolean", "description": "true or false"}

DATABASE_NAMES = {
    "type": "array",
    "description": "an array of objects that have a name",
    "items": {
        "type": "object",
        "description": "an object that has a name",
        "required": ["name"],
        "properties": {"name": TEXT},
    },
}

DATABASES = {
    "type": "array",
    "maxItems": 1000,
    "description": "an array of at most 1000 databases",
    "items": {
        "type": "object",
        "description": "an object with name, character_set and collate",
        "required": ["name"],
        "properties": {
            "name": TEXT,
            "character_set": {"type": ["string", "null"], "description": "a character set's name"},
            "collate": {"type": ["string", "null"], "description": "a collation's name"},
        },
    },
}

PASSWORD = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": r"^(?=.*[^\W_])[^\x00-\x1f\x7f]+\Z",
    "description": "text of 1 to 255 characters, one of them a letter or a digit",
}

HOST = {
    "type": ["string", "null"],
    "maxLength": 255,
    "description": "an address, or one with % for some of its parts",
}

USERS = {
    "type": "array",
    "maxItems": 1000,
    "description": "an array of at most 1000 users",
    "items": {
        "type": "object",
        "description": "an object with name, password, host and databases",
        "required": ["name", "password"],
        "properties": {
            "name": TEXT,
            "password": PASSWORD,
            "host": HOST,
            "databases": DATABASE_NAMES,
        },
    },
}

ACCESS = {
    "type": "object",
    "description": "an object with is_public and allowed_cidrs",
    "properties": {
        "is_public": BOOLEAN,
        "allowed_cidrs": {
            "type": "array",
            "uniqueItems": True,
            "maxItems": 1000,
            "description": "an array of different IPv4 and IPv6 networks",
            "items": {
                "type": "string",
                "maxLength": 64,
                "pattern": r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?\Z",
                "description": "an IPv4 or IPv6 network, as 203.0.113.0/24 or 2001:db8::/64",
            },
        },
    },
}

_NIC = {
    "type": "object",
    "description": "an object with net-id or network_id, subnet_id and ip_address",
    "additionalProperties": False,
    "properties": {
        "net-id": UUID,
        "network_id": UUID,
        "subnet_id": UUID,
        "ip_address": {
            "type": "string",
            "pattern": r"^(\d{1,3}\.){3}\d{1,3}\Z",
            "description": "an IPv4 address",
        },
    },
}

FLAVOR_REF = {
    "anyOf": [{"type": "integer", "minimum": 0, "maximum": _MOST}, TEXT],
    "description": "the id of a flavor",
}


def envelope(key: str, inner: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a body that has nothing but `key`."""
    return {
        "type": "object",
        "required": [key],
        "additionalProperties": False,
        "description": f"an object with the key {key}",
        "properties": {key: inner},
    }


CREATE = Check(
    envelope(
        "instance",
        {
            "type": "object",
            "description": "an object",
            "required": ["name"],
            "properties": {
                "name": NAME,
                "flavorRef": FLAVOR_REF,
                "volume": {
                    "type": "object",
                    "description": "an object with size and type",
                    "required": ["size"],
                    "properties": {
                        "size": SIZE,
                        "type": {
                            "type": ["string", "null"],
                            "maxLength": 255,
                            "pattern": r"^[^\x00-\x1f\x7f]*\Z",
                            "description": "the name of a volume type, or null",
                        },
                    },
                },
                "datastore": {
                    "type": "object",
                    "description": "an object with type, version and version_number",
                    "additionalProperties": False,
                    "properties": {
                        "type": TEXT,
                        "version": TEXT,
                        "version_number": TEXT,
                    },
                },
                "databases": DATABASES,
                "users": USERS,
                "restorePoint": {
                    "type": "object",
                    "description": "an object with backupRef, or with instanceRef and time",
                    "minProperties": 1,
                    "properties": {
                        "backupRef": UUID,
                        "instanceRef": UUID,
                        "time": {
                            "type": "string",
                            "maxLength": 40,
                            "description": "a moment, as 2026-11-20T10:15:03Z",
                        },
                    },
                },
                "replica_of": UUID,
                "replica_count": {
                    "type": "integer",
                    "minimum": 1,
                    "maximum": 3,
                    "description": "a whole number from 1 to 3",
                },
                "availability_zone": TEXT,
                "nics": {
                    "type": "array",
                    "maxItems": 1,
                    "description": "an array of at most one network",
                    "items": _NIC,
                },
                "modules": {
                    "type": "array",
                    "description": "an array of objects that have an id",
                    "items": {
                        "type": "object",
                        "description": "an object that has an id",
                        "required": ["id"],
                        "properties": {"id": UUID},
                    },
                },
                "region_name": TEXT,
                "locality": {
                    "enum": ["affinity", "soft-affinity", "anti-affinity", "soft-anti-affinity"],
                    "description": "affinity, soft-affinity, anti-affinity or soft-anti-affinity",
                },
                "access": ACCESS,
                "configuration": TEXT,
            },
        },
    )
)

_CHANGES: dict[str, Any] = {
    "name": NAME,
    "replica_of": {
        "type": ["string", "null"],
        "maxLength": 255,
        "description": "null, to stop replication",
    },
    "configuration": {
        "anyOf": [TEXT, {"type": "null"}],
        "description": "the id of a configuration group, or null",
    },
    "datastore_version": TEXT,
}


def _update(more: dict[str, Any]) -> Check:
    return Check(
        envelope(
            "instance",
            {
                "type": "object",
                "description": "an object",
                "additionalProperties": False,
                "properties": {**_CHANGES, **more},
            },
        )
    )


PUT = _update({"access": {**ACCESS, "additionalProperties": False}})
PATCH = _update({"slave_of": _CHANGES["replica_of"]})

EMPTY = {"type": ["object", "null"], "description": "an empty object"}

RESTART = Check(envelope("restart", EMPTY))

ARCHIVE = Check(
    envelope(
        "archive",
        {
            "type": "object",
            "description": "an object with enabled",
            "required": ["enabled"],
            "additionalProperties": False,
            "properties": {"enabled": {"type": "boolean", "description": "true or false"}},
        },
    )
)

RESIZE = Check(
    envelope(
        "resize",
        {
            "type": "object",
            "description": "an object with either volume or flavorRef",
            "minProperties": 1,
            "maxProperties": 1,
            "additionalProperties": False,
            "properties": {
                "volume": {
                    "anyOf": [
                        {
                            "type": "object",
                            "required": ["size"],
                            "additionalProperties": False,
                            "properties": {"size": SIZE},
                        },
                        SIZE,
                    ],
                    "description": "an object with the size, a whole number of GiB of at least 1",
                },
                "flavorRef": FLAVOR_REF,
            },
        },
    )
)

RESET_STATUS = Check(envelope("reset_status", {**EMPTY, "description": "an object"}))
