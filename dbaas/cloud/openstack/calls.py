"""Calls of OpenStack's services: one session, and the services' errors as ours.

A service's own words are for operators: they name hosts. A tenant reads which service refused, and
what the words say where they are known to be about the request.
"""

import email.utils
import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

import cinderclient.exceptions
import glanceclient.exc
import keystoneauth1.exceptions
import novaclient.exceptions
from keystoneauth1.session import Session
from oslo_config import cfg

from dbaas.cloud.openstack import settings
from dbaas.common import keystone
from dbaas.contract import errors

LOG = logging.getLogger(__name__)

SERVICES, CONNECTIONS = 10, 64
"""How many services are spoken to, and how many connections to each are kept for the next call."""

_ANSWERED = (
    keystoneauth1.exceptions.HttpError,
    novaclient.exceptions.ClientException,
    cinderclient.exceptions.ClientException,
    glanceclient.exc.HTTPException,
)
"""What carries the status of an answer."""

_SILENT = (
    keystoneauth1.exceptions.ClientException,
    glanceclient.exc.ClientException,
    glanceclient.exc.BaseException,
    OSError,
)
"""What is raised when there was no answer, or none that could be read."""

_QUOTA = ("quota", "no more ip", "no valid host", "exceeded", "insufficient")
"""What services say of a request that is fine but more than there is."""

_ASKS_FOR_PATIENCE = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)


def session(conf: cfg.ConfigOpts) -> Session:
    """Return a session with the service's own credentials; raise `Invalid` when there are none.

    Threads may share it. An answer that says when to come again is raised as `Unavailable`: the
    services' clients would not tell.
    """
    made = keystone.session(conf, settings.GROUP, conf[settings.GROUP].request_timeout)
    made.session.hooks["response"].append(_expect_no_pause)
    adapters: Iterable[Any] = made.session.adapters.values()
    for adapter in adapters:
        adapter.init_poolmanager(SERVICES, CONNECTIONS)
    return made


def _expect_no_pause(answer: Any, **_: Any) -> None:
    said = answer.headers.get("Retry-After")
    if said and answer.status_code in _ASKS_FOR_PATIENCE:
        LOG.warning("%s answered %d: come again in %s", answer.url, answer.status_code, said)
        answer.close()
        raise errors.Unavailable("The cloud is busy.", after=_seconds(said))


def _seconds(said: str) -> float:
    """Return the seconds that a `Retry-After` gives, as a number or a date; none for nonsense."""
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(said).timestamp() - time.time())
    except ValueError:
        return 0.0


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
    except keystoneauth1.exceptions.CatalogException as error:
        LOG.warning("%s: %s", service, error)
        raise errors.Unavailable(f"Keystone does not know where {service} is.") from error
    except _SILENT as error:
        LOG.warning("%s: %s", service, error)
        raise errors.Unavailable(f"{service} does not answer.") from error


def next_page(links: Iterable[Mapping[str, str]]) -> Mapping[str, Any] | None:
    """Return what to ask for to get the page after an answer with these links; None at the end.

    Of a link only what it asks for is used: its host may be one that we do not see.
    """
    following = (urlsplit(link["href"]) for link in links if link["rel"] == "next")
    return next((parse_qs(one.query) for one in following), None)


def _status(error: Exception) -> int:
    """Return the HTTP status in a client's error, by whatever name it goes.

    The class of an error has the status that it is for, and the error the one that there was.
    """
    found = (getattr(error, name, None) for name in ("code", "http_status"))
    return next((code for code in found if isinstance(code, int)), 500)


def _words(error: Exception) -> str:
    """Return what the service said; keystoneauth does not know where Neutron says it."""
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        return str(error.response.json()["NeutronError"]["message"])  # type: ignore[attr-defined] # if any
    return str(getattr(error, "message", None) or error)


def _of_answer(service: str, error: Exception) -> errors.Error:
    code, words = _status(error), _words(error)
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
