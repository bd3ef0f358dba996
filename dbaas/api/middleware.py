"""What happens to every request: its id, its path, and who it is from."""

import logging
import re
import time
import uuid
from dataclasses import replace

import falcon

from dbaas.api import paths
from dbaas.api.auth import Authenticator
from dbaas.api.policy import Policy
from dbaas.common import context
from dbaas.common.context import Context

LOG = logging.getLogger(__name__)

_OPEN = frozenset(("/", "/healthcheck", "/metrics", "/openapi.json", "/v1.0", "/v1.0/"))
"""The paths that need no authentication."""

OPERATION = "x-dbaas-operation"
"""The header that says which operation a request began."""

_GLOBAL_ID = re.compile(r"req-[0-9A-Fa-f-]{8,64}")
_EXTRA_SLASHES = re.compile(r"(/v1\.0/[^/]+)//+")
_VENDOR = re.compile(r"application/vnd\.openstack\.trove\+json\s*;\s*version=\"?([^\s;,\"]+)")


def identity(req: falcon.Request) -> Context:
    """Return who sent the request; only on paths that need authentication."""
    who = req.context.who
    assert isinstance(who, Context)  # noqa: S101 # for the type checker: falcon's is untyped
    return who


class Requests:
    """Gives every request an id, and its path the form that the routes have."""

    def process_request(self, req: falcon.Request, resp: falcon.Response) -> None:
        req.context.started = time.perf_counter()
        req.context.request_id = f"req-{uuid.uuid4()}"
        req.context.who = None
        req.context.operation_id = None
        resp.set_header("x-openstack-request-id", req.context.request_id)
        context.log_under(req.context.request_id)
        given = req.get_header("x-openstack-request-id")
        if given is not None and _GLOBAL_ID.fullmatch(given):
            LOG.info("also known as %s", given)
        raw = req.env.get("RAW_URI") or req.env.get("REQUEST_URI") or ""
        path = paths.with_slashes_kept(_versioned(req), raw)
        req.path = _EXTRA_SLASHES.sub(r"\1/", path, count=1)

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        if req.context.operation_id is not None:
            resp.set_header(OPERATION, req.context.operation_id)
        LOG.info(
            "%s %s %s %.1f ms",
            req.method,
            req.path,
            resp.status_code,
            1e3 * (time.perf_counter() - req.context.started),
        )


def _versioned(req: falcon.Request) -> str:
    """Return the path, with the version that the Accept header names where it has none."""
    asked = _VENDOR.search(req.accept)
    if asked is None or req.path in _OPEN or req.path.startswith("/v1.0/"):
        return req.path
    if asked[1] not in ("1.0", "v1.0"):
        raise falcon.HTTPNotAcceptable(
            description=f"Version {asked[1][:32]!r} of the API is not offered: version 1.0 is."
        )
    return f"/v1.0{req.path}"


class Identities:
    """Finds out who sent a request, and refuses another project's path."""

    def __init__(self, authenticator: Authenticator, policy: Policy) -> None:
        self._authenticator = authenticator
        self._policy = policy

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        if req.path in _OPEN:
            return
        project_id = _project(req.path)
        found = self._authenticator.identify(req, project_id)
        if req.path.startswith("/v1.0/") and found.project_id != project_id:
            # Also for administrators: they name other projects' objects under their own path.
            raise falcon.HTTPForbidden(
                description=f"The path is that of project {project_id[:64]!r}, which is not yours: "
                f"use /v1.0/{found.project_id}."
            )
        who = Context(
            found.user_id,
            found.project_id,
            found.roles,
            request_id=req.context.request_id,
            client_ip=req.remote_addr,
        )
        req.context.who = replace(who, is_admin=self._policy.is_admin(who))
        context.log_as(who)
        if req.path.endswith("/") or "//" in req.path:
            raise falcon.HTTPRouteNotFound  # rather than a route with an empty id in it


def _project(path: str) -> str:
    parts = path.split("/", 3)
    return parts[2] if len(parts) > 2 else ""
