"""Calls of OpenStack's services: one session, and the services' errors as ours.

A service's own words are for operators: they name hosts. A tenant reads which service refused, and
what the words say where they are known to be about the request.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus

import cinderclient.exceptions
import glanceclient.exc
import keystoneauth1.exceptions
import novaclient.exceptions
from keystoneauth1 import loading
from keystoneauth1.session import Session
from oslo_config import cfg

from dbaas.cloud.openstack import settings
from dbaas.contract import errors

LOG = logging.getLogger(__name__)

_ANSWERED = (
    keystoneauth1.exceptions.HttpError,
    novaclient.exceptions.ClientException,
    cinderclient.exceptions.ClientException,
    glanceclient.exc.HTTPException,
)
"""What carries the status of an answer."""

_QUOTA = ("quota", "no more ip", "no valid host", "exceeded", "insufficient")
"""What services say of a request that is fine but more than there is."""


def session(conf: cfg.ConfigOpts) -> Session:
    """Return a session with the service's own credentials; raise `Invalid` when there are none.

    It gets a new token when the old one ends, by itself. Threads may share it.
    """
    try:
        auth = loading.load_auth_from_conf_options(conf, settings.GROUP)
    except keystoneauth1.exceptions.MissingRequiredOptions as error:
        raise errors.Invalid(f"[{settings.GROUP}] {error}") from error
    if auth is None:
        raise errors.Invalid(f"[{settings.GROUP}] auth_type: say how to log in, as 'password'")
    made: Session = loading.load_session_from_conf_options(
        conf, settings.GROUP, auth=auth, timeout=conf[settings.GROUP].request_timeout
    )
    return made


@contextmanager
def calling(service: str) -> Iterator[None]:
    """Translate what a client raises.

    An answer that says nothing about the request is `Unavailable`: what it did is unknown.
    """
    try:
        yield
    except errors.Error:
        raise
    except _ANSWERED as error:
        raise _of_answer(service, error) from error
    except keystoneauth1.exceptions.ClientException as error:
        LOG.warning("%s: %s", service, error)
        raise errors.Unavailable(f"{service} does not answer.") from error
    except (glanceclient.exc.ClientException, OSError) as error:
        LOG.warning("%s: %s", service, error)
        raise errors.Unavailable(f"{service} does not answer.") from error


def status(error: Exception) -> int:
    """Return the HTTP status in a client's error, by whatever name it goes."""
    for name in ("http_status", "code"):
        if found := getattr(error, name, None):
            return int(found)
    return HTTPStatus.INTERNAL_SERVER_ERROR


def _of_answer(service: str, error: Exception) -> errors.Error:
    code, words = status(error), str(getattr(error, "message", None) or error)
    LOG.info("%s answered %d: %s", service, code, words)
    if any(word in words.lower() for word in _QUOTA) and code < HTTPStatus.INTERNAL_SERVER_ERROR:
        return errors.OverQuota(f"{service} has no room for it: {words}")
    match code:
        case HTTPStatus.UNAUTHORIZED:
            return errors.Unavailable(f"{service} does not accept the service's credentials.")
        case HTTPStatus.FORBIDDEN:
            return errors.Failed(f"{service} forbids it: {words}")
        case HTTPStatus.NOT_FOUND:
            return errors.NotFound(f"{service} does not have it: {words}")
        case HTTPStatus.CONFLICT:
            return errors.Conflict(f"{service} cannot do it now: {words}")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            return errors.OverQuota(f"{service} has no room for it: {words}")
        case HTTPStatus.REQUEST_TIMEOUT | HTTPStatus.TOO_MANY_REQUESTS:
            return errors.Unavailable(f"{service} is busy.")
        case _ if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return errors.Unavailable(f"{service} fails ({code}).")
    return errors.Invalid(f"{service} refuses it: {words}")
