"""Reads a request's body: a JSON object of a sane size, with nothing that cannot be kept."""

import json
from typing import Any, NoReturn

import falcon

from dbaas.contract import errors

MAX_BYTES = 1024 * 1024


def read(req: falcon.Request) -> dict[str, Any]:
    """Return the body; raise `Invalid`, or falcon's 413 and 415."""
    raw = raw_text(req)
    if not raw:
        raise errors.Invalid("The request has no body: a JSON object is required.")
    media_type = (req.content_type or "").partition(";")[0].strip().lower()
    if media_type != falcon.MEDIA_JSON:
        raise falcon.HTTPUnsupportedMediaType(
            description=f"The Content-Type {media_type[:64]!r} is not supported: use "
            f"{falcon.MEDIA_JSON}."
        )
    try:
        body = json.loads(raw, parse_constant=_no_constant)
        if "\\u" in raw:
            json.dumps(body, ensure_ascii=False).encode()  # refuses half of a surrogate pair
    except RecursionError:
        raise errors.Invalid("The body is nested too deeply.") from None
    except ValueError as error:
        raise errors.Invalid(f"The body is not valid JSON: {error}.") from None
    if not isinstance(body, dict):
        raise errors.Invalid("The body must be a JSON object.")
    return body


def read_if_any(req: falcon.Request) -> dict[str, Any]:
    """Return the body, or an empty one where there is none; raise as `read` does."""
    return read(req) if raw_text(req) else {}


def with_list(body: dict[str, Any], singular: str) -> dict[str, Any]:
    """Return the body with a list under the plural, where a client sent one object.

    openstacksdk sends a single item as an object, under the singular or under the plural.
    """
    plural = f"{singular}s"
    if singular in body and plural not in body:
        body = {plural if key == singular else key: value for key, value in body.items()}
    if isinstance(body.get(plural), dict):
        body = {**body, plural: [body[plural]]}
    return body


def raw_text(req: falcon.Request) -> str:
    """Return the body's text; it can be read again and again."""
    text = req.context.get("body")
    if isinstance(text, str):
        return text
    if (req.content_length or 0) > MAX_BYTES:
        raise _too_large()
    raw = req.bounded_stream.read(MAX_BYTES + 1)
    if len(raw) > MAX_BYTES:
        raise _too_large()
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise errors.Invalid("The body is not valid UTF-8.") from None
    req.context.body = text
    return text


def _too_large() -> falcon.HTTPError:
    return falcon.HTTPContentTooLarge(
        description=f"The body is larger than {MAX_BYTES} bytes, which is the most."
    )


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number")
