"""What every resource does: check the policy, read, answer."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import falcon

from dbaas.api import pages
from dbaas.api.middleware import identity
from dbaas.api.services import Services
from dbaas.common.context import Context
from dbaas.contract import errors


def allowed(req: falcon.Request, services: Services, rule: str) -> Context:
    """Return who asks; raise `Forbidden` unless the policy allows `rule`."""
    who = identity(req)
    services.policy.check(who, rule)
    return who


def administrator(req: falcon.Request) -> Context:
    """Return who asks; management calls of others are 401, as clients know it."""
    who = identity(req)
    if not who.is_admin:
        raise falcon.HTTPUnauthorized(description="User does not have admin privileges.")
    return who


def whose(who: Context) -> str | None:
    """Return the project whose objects `who` sees; None: every project's."""
    return None if who.is_admin else who.project_id


def project_asked(req: falcon.Request, who: Context, what: str) -> str:
    """Return the project whose `what` are asked for: that of `who`, if the request names none.

    Raises `Invalid`; `Forbidden` for another project, unless an administrator asks.
    """
    project_id = pages.project_id(req) or who.project_id
    if project_id != who.project_id and not who.is_admin:
        raise errors.Forbidden(f"Only administrators see the {what} of other projects.")
    return project_id


def existing_id(text: str) -> str:
    """Return the id of a path; raise `NotFound` for what no id looks like."""
    if not pages.ID.fullmatch(text):
        raise errors.NotFound(f"Resource {text[:255]} cannot be found.")
    return text


def answer(
    resp: falcon.Response, body: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK
) -> None:
    resp.status = status
    resp.data = json.dumps(body).encode()


def nothing(resp: falcon.Response) -> None:
    """204: it is done, and there is nothing to say."""
    resp.status = HTTPStatus.NO_CONTENT


def accepted(resp: falcon.Response) -> None:
    """202 without a body."""
    resp.status = HTTPStatus.ACCEPTED
    resp.data = b""
    resp.content_type = falcon.MEDIA_JSON
