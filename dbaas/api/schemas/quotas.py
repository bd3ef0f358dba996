"""The body of a change of quotas."""

from dbaas.api.schemas.check import Check

CHANGE = Check(
    {
        "type": "object",
        "required": ["quotas"],
        "additionalProperties": False,
        "description": "an object with the key quotas",
        "properties": {
            "quotas": {
                "type": "object",
                "description": "an object of limits by resource",
                "additionalProperties": {
                    "anyOf": [
                        {"type": "integer", "minimum": -1, "maximum": 2**31 - 1},
                        {"type": "string", "pattern": r"^(-1|[0-9]{1,9})\Z"},
                        {"type": "null"},
                    ],
                    "description": "a whole number of at least 0, or -1 for no limit",
                },
            }
        },
    }
)
