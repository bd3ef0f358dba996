"""Pages of long lists: `limit` and `marker` in, the link to the next page out."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlencode

import falcon

from dbaas.api import views
from dbaas.api.auth import PROJECT
from dbaas.contract import errors

ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
"""How this service writes ids; what looks otherwise names nothing."""

MANAGED = 1000
"""Rows that one page of a list for administrators has at most."""

_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)
_NAME = re.compile(r"[^\x00-\x1f\x7f]{1,512}")


@dataclass(frozen=True)
class Page:
    limit: int
    marker: str
    """What the last item of the page before is known by; empty on the first one."""


def asked(req: falcon.Request, most: int) -> Page:
    """Return the page that is asked for, of `most` items at most; raise `Invalid`."""
    marker = _one(req, "marker")
    if marker and not ID.fullmatch(marker):
        raise errors.Invalid(
            f"marker must be the id of the last item of the page before, not {marker[:64]!r}."
        )
    return Page(_limit(req, most, most), marker)


def asked_by_name(req: falcon.Request, most: int) -> Page:
    """As `asked`, for items that are known by a name."""
    marker = _one(req, "marker")
    if marker and not _NAME.fullmatch(marker):
        raise errors.Invalid(
            f"marker must be the name of the last item of the page before, not {marker[:64]!r}."
        )
    return Page(_limit(req, most, most), marker)


def asked_by_offset(req: falcon.Request, usual: int) -> tuple[int, int]:
    """Return limit and offset, for a list whose marker is the number of items before."""
    marker = _one(req, "marker")
    if marker and not _NUMBER.fullmatch(marker):
        raise errors.Invalid(
            f"marker must be the number of items before the page, not {marker[:64]!r}."
        )
    return _limit(req, MANAGED, usual), int(marker or 0)


def _limit(req: falcon.Request, most: int, usual: int) -> int:
    text = _one(req, "limit")
    if "limit" not in req.params:
        return usual
    if not _NUMBER.fullmatch(text) or int(text) < 1:
        raise errors.Invalid(f"limit must be a whole number of at least 1, not {text[:64]!r}.")
    return min(int(text), most)


def _one(req: falcon.Request, name: str) -> str:
    values = req.get_param_as_list(name) or [""]
    return values[-1]


def next_link(req: falcon.Request, limit: int, marker: str) -> list[dict[str, str]]:
    """Return the `links` of a list after which another page follows."""
    query = {name: value for name, value in req.params.items() if name not in ("limit", "marker")}
    encoded = urlencode({"limit": limit, "marker": marker, **query}, doseq=True)
    href = f"https://{views.host(req)}{quote(req.path)}?{encoded}"
    return [{"rel": "next", "href": href}]


def instance_id(req: falcon.Request) -> str | None:
    """Return the id of the instance that the list is limited to; raise `Invalid` for no id."""
    return _known(req, "instance_id", ID, "the id of an instance")


def project_id(req: falcon.Request) -> str | None:
    """Return the id of the project that the list is limited to; raise `Invalid` for no id."""
    return _known(req, "project_id", PROJECT, "the id of a project")


def _known(req: falcon.Request, name: str, shape: re.Pattern[str], what: str) -> str | None:
    if name not in req.params:
        return None
    text = _one(req, name)
    if not shape.fullmatch(text):
        raise errors.Invalid(f"{name} must be {what}, not {text[:64]!r}.")
    return text


def flag(req: falcon.Request, name: str) -> bool | None:
    """Return a parameter that is true or false, None if it is not there; raise `Invalid`."""
    if name not in req.params:
        return None
    text = _one(req, name).lower()
    if text not in ("true", "false"):
        raise errors.Invalid(f"{name} must be true or false, not {text[:64]!r}.")
    return text == "true"
