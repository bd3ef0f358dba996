"""Checks a body against a schema, and says in one sentence per mistake what would be right.

A schema's `description` completes "must be ...". Plain values are repeated, passwords never are.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from dbaas.contract import errors

Schema = Mapping[str, Any]

_SECRET = "password"  # noqa: S105 # the key whose values are not repeated
_LONGEST = 2000
_NAMES_KEYS = ("required", "additionalProperties")


class Check:
    """A compiled schema."""

    def __init__(self, schema: Schema) -> None:
        self.schema = schema
        self._validator = Draft202012Validator(schema)

    def __call__(self, body: Any) -> None:
        """Raise `Invalid` naming everything that is wrong with `body`."""
        found = sorted(self._validator.iter_errors(body), key=lambda error: error.json_path)
        if found:
            texts = "; ".join(_text(error) for error in found[:10])
            raise errors.Invalid(f"Validation error: {texts[:_LONGEST]}")


def _text(error: ValidationError) -> str:
    path = _path(error.absolute_path)
    if error.validator in _NAMES_KEYS:
        return f"{path} {error.message}".strip()
    schema = error.schema if isinstance(error.schema, Mapping) else {}
    right = schema.get("description", f"of type {schema.get('type')}")
    return f"{path or 'the body'} must be {right}{_shown(error)}"


def _path(parts: Iterable[str | int]) -> str:
    first, *rest = [*parts] or [""]
    return f"{first}" + "".join(f"[{part!r}]" for part in rest)


def _shown(error: ValidationError) -> str:
    if _SECRET in error.absolute_path:
        return ""
    value = error.instance
    if isinstance(value, dict | list):
        return ", not an object" if isinstance(value, dict) else ", not this array"
    return f", not {repr(value)[:64]}"
