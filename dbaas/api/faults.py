"""Errors as HTTP answers: one table of statuses, one envelope for all of them."""

import json
import logging
import math
import uuid
from collections.abc import Mapping
from http import HTTPStatus

import falcon

from dbaas.catalog import idempotency
from dbaas.contract import errors

LOG = logging.getLogger(__name__)

STATUS: Mapping[type[errors.Error], HTTPStatus] = {
    errors.Invalid: HTTPStatus.BAD_REQUEST,
    errors.Unsupported: HTTPStatus.NOT_IMPLEMENTED,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.Conflict: HTTPStatus.CONFLICT,
    idempotency.OtherRequest: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.OverQuota: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.Busy: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.Failed: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""An error has the status of its class, or of the nearest one above it."""

KEYS: Mapping[int, str] = {
    400: "badRequest",
    401: "unauthorized",
    403: "forbidden",
    404: "itemNotFound",
    405: "badMethod",
    406: "notAcceptable",
    409: "conflict",
    413: "overLimit",
    415: "badMediaType",
    422: "unprocessableEntity",
    501: "notImplemented",
    503: "serviceUnavailable",
}
"""The envelope's key by status; anything else is an `instanceFault`."""

NO_SUCH_ROUTE = "The resource could not be found."


def install(app: "falcon.App[falcon.Request, falcon.Response]") -> None:
    """Let `app` answer every error in the envelope."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _http)
    app.add_error_handler(falcon.HTTPMethodNotAllowed, _no_such_route)
    app.add_error_handler(falcon.HTTPRouteNotFound, _no_such_route)
    app.add_error_handler(errors.Error, _ours)


def write(resp: falcon.Response, status: int, message: str) -> None:
    """Make `resp` a fault."""
    envelope = {KEYS.get(status, "instanceFault"): {"code": status, "message": message}}
    resp.status = HTTPStatus(status)
    resp.data = json.dumps(envelope).encode()
    resp.content_type = falcon.MEDIA_JSON


def _ours(
    req: falcon.Request, resp: falcon.Response, error: errors.Error, _fields: Mapping[str, object]
) -> None:
    status = next(STATUS[kind] for kind in type(error).__mro__ if kind in STATUS)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR and status != HTTPStatus.NOT_IMPLEMENTED:
        LOG.error("%s %s: %s", req.method, req.path, error.text, exc_info=error)
    if isinstance(error, errors.Unavailable) and error.after:
        resp.set_header("Retry-After", str(math.ceil(error.after)))
    write(resp, status, error.text)


def _http(
    _req: falcon.Request,
    resp: falcon.Response,
    error: falcon.HTTPError,
    _fields: Mapping[str, object],
) -> None:
    if error.headers:
        resp.set_headers(dict(error.headers))
    write(resp, error.status_code, error.description or error.title or "")


def _no_such_route(
    _req: falcon.Request,
    resp: falcon.Response,
    _error: falcon.HTTPError,
    _fields: Mapping[str, object],
) -> None:
    # A method that a path does not know is 404, as clients are used to.
    write(resp, HTTPStatus.NOT_FOUND, NO_SUCH_ROUTE)


def _unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, _fields: Mapping[str, object]
) -> None:
    name = uuid.uuid4()
    LOG.error("unexpected, as %s: %s %s", name, req.method, req.path, exc_info=error)
    message = (
        "Internal Server Error. Please keep this ID to help us figure out what went wrong: "
        f"({name})."
    )
    write(resp, HTTPStatus.INTERNAL_SERVER_ERROR, message)
