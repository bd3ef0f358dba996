"""Typed values to JSON and back, strictly: a closed schema is what the type says, and no more.

Knows dataclasses, enums, `Secret`, tuples, lists, mappings with text keys, optional values, and the
plain values of JSON. Unknown keys, missing keys, wrong types and oversized text are `Invalid`, with
the path of what is wrong. A `Secret` travels as its text: whoever stores it passes `hide` (and
`show` to read it back), which turn it into something that may be stored.
"""

import dataclasses
import enum
import functools
import types
import typing
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from dbaas.contract import errors
from dbaas.contract.secret import Secret

T = TypeVar("T")
Json = Any
Hide = Callable[[Secret], Json]
Show = Callable[[Json], Secret]


def dump(value: object, hide: Hide = Secret.reveal) -> Json:
    """Return `value` as JSON values; every `Secret` in it goes through `hide`."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return value
    if isinstance(value, Secret):
        return hide(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: dump(getattr(value, field.name), hide)
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): dump(item, hide) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [dump(item, hide) for item in value]
    raise TypeError(f"{type(value).__name__} does not travel")


def load(kind: type[T], data: Json, show: Show | None = None, path: str = "") -> T:
    """Return `data` as a `kind`; raise `Invalid` naming the path of what does not fit."""
    return typing.cast(T, _load(kind, data, show or _plain_secret, path or kind.__name__))


def load_any(kind: Any, data: Json, show: Show | None = None, path: str = "value") -> Any:
    """As `load`, for a type that is no class: a union, `None`, a generic alias."""
    return _load(kind, data, show or _plain_secret, path)


def _plain_secret(data: Json) -> Secret:
    if not isinstance(data, str):
        raise errors.Invalid(f"must be text, not {_name(data)}")
    return Secret(data)


def _load(kind: Any, data: Json, show: Show, path: str) -> Any:
    if kind is Any:
        return data
    if kind is None or kind is type(None):
        if data is not None:
            raise errors.Invalid(f"{path} must be null")
        return None
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        return _load_union(kind, data, show, path)
    if origin is not None:
        return _load_generic(kind, origin, data, show, path)
    if kind is Secret:
        try:
            return show(data)
        except errors.Invalid as error:
            raise errors.Invalid(f"{path} {error.text}") from None
    if dataclasses.is_dataclass(kind):
        return _load_dataclass(kind, data, show, path)
    return _load_scalar(kind, data, path)


def _load_scalar(kind: Any, data: Json, path: str) -> Any:
    if issubclass(kind, enum.Enum):
        try:
            return kind(data)
        except ValueError:
            words = ", ".join(str(member.value) for member in kind)
            raise errors.Invalid(f"{path} must be one of {words}") from None
    if kind is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
        raise errors.Invalid(f"{path} must be {kind.__name__}, not {_name(data)}")
    return data


def _load_union(kind: Any, data: Json, show: Show, path: str) -> Any:
    options = typing.get_args(kind)
    if data is None and type(None) in options:
        return None
    failures = []
    for option in options:
        if option is type(None):
            continue
        try:
            return _load(option, data, show, path)
        except errors.Invalid as error:
            failures.append(error.text)
    raise errors.Invalid("; or ".join(failures) or f"{path} must be null")


def _load_generic(kind: Any, origin: Any, data: Json, show: Show, path: str) -> Any:
    arguments = typing.get_args(kind)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        if not isinstance(data, dict):
            raise errors.Invalid(f"{path} must be an object, not {_name(data)}")
        return {
            key: _load(arguments[1], item, show, f"{path}[{key!r}]") for key, item in data.items()
        }
    if not isinstance(data, list):
        raise errors.Invalid(f"{path} must be an array, not {_name(data)}")
    if origin is tuple and not (len(arguments) == 2 and arguments[1] is Ellipsis):
        raise TypeError(f"{kind} does not travel: only tuples of one type do")
    items = [_load(arguments[0], item, show, f"{path}[{index}]") for index, item in enumerate(data)]
    return tuple(items) if origin is tuple else items


def _load_dataclass(kind: Any, data: Json, show: Show, path: str) -> Any:
    if not isinstance(data, dict):
        raise errors.Invalid(f"{path} must be an object, not {_name(data)}")
    fields, required = _fields(kind)
    for key in data:
        if key not in fields:
            raise errors.Invalid(f"{path} has no {str(key)[:64]!r}")
    for key in required:
        if key not in data:
            raise errors.Invalid(f"{path} lacks {key!r}")
    return kind(
        **{key: _load(fields[key], item, show, f"{path}.{key}") for key, item in data.items()}
    )


@functools.cache
def _fields(kind: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    required = tuple(
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    return {field.name: hints[field.name] for field in fields}, required


def _name(data: Json) -> str:
    names = {dict: "an object", list: "an array", str: "text", bool: "a boolean"}
    if data is None:
        return "null"
    return names.get(type(data), "a number")
