"""Checks Keystone's tokens, through keystonemiddleware.

Only a process that asks Keystone imports this: keystonemiddleware takes a quarter of a second. Of
what a token says, user, project and roles are used, and never its service catalog.
"""

import copy
import io
import threading
import warnings
from collections.abc import Mapping
from http import HTTPStatus
from time import monotonic
from typing import Any

import falcon
from oslo_config import cfg

from dbaas.api.auth import Identity
from dbaas.contract import errors

with warnings.catch_warnings():
    # webob imports cgi, which is deprecated from Python 3.11 on; later ones have it from PyPI.
    warnings.simplefilter("ignore", DeprecationWarning)
    from keystonemiddleware import auth_token, opts

GROUP = "keystone_authtoken"

_EXPLAINED = {
    "auth_section": "Section that holds auth_type and what belongs to it, instead of this one.",
    "auth_type": "How this service itself comes into Keystone: mostly password.",
    "cafile": "File with the certificates to trust, where Keystone's is not of a known authority.",
    "http_connect_timeout": "Seconds to wait for an answer of Keystone. Without it: 5.",
    "http_request_max_retries": "How often to ask again a Keystone that cannot be connected to.",
    "insecure": "Do not check Keystone's certificate: for tests only.",
    "interface": "Which of Keystone's endpoints is used: public, internal or admin.",
    "memcache_secret_key": "The secret for memcache_security_strategy.",
    "memcache_security_strategy": "What is in memcached is plain (None), signed (MAC), or signed "
    "and encrypted (ENCRYPT).",
    "memcached_servers": "HOST:PORT of the memcached servers by which all APIs share what Keystone "
    "said of tokens; it needs python-memcached. Without any, each worker asks about each token "
    "itself, once.",
    "region_name": "Region in which Keystone's endpoint is looked up.",
    "service_token_roles": "Roles that another service needs to act for a user whose token has "
    "expired meanwhile.",
    "service_token_roles_required": "Whether services need one of those roles at all. Leave it on.",
    "service_type": "This service's type in Keystone's catalog, for application credentials with "
    "access rules. Without it: database.",
    "token_cache_time": "Seconds for which Keystone is not asked about a token again: so long does "
    "a revoked one still work, but never longer than it is good for. -1: it is asked each time.",
    "www_authenticate_uri": "URL of Keystone as users know it: who has no token is sent there.",
}
"""What an operator may want to set, of the many options of keystonemiddleware."""


def _explained(option: cfg.Opt) -> cfg.Opt:
    ours = copy.copy(option)
    ours.help = _EXPLAINED[option.name]
    return ours


# For the sample alone: keystonemiddleware registers its own, as soon as it knows the `auth_type`.
OPTS: list[cfg.Opt] = [
    *(
        _explained(option)
        for _, listed in opts.list_auth_token_opts()
        for option in listed
        if option.name in _EXPLAINED
    ),
    cfg.StrOpt("auth_url", help="URL of Keystone, with auth_type = password."),
    cfg.StrOpt("username", help="Name of the user as whom tokens are checked: the service's own."),
    cfg.StrOpt("password", secret=True, help="The password of that user."),
    cfg.StrOpt("user_domain_name", help="Name of the domain that the user is in."),
    cfg.StrOpt("project_name", help="Name of the project in which the user has the role service."),
    cfg.StrOpt("project_domain_name", help="Name of the domain that the project is in."),
]

_DEFAULTS = {"service_type": "database", "http_connect_timeout": 5}
"""Where ours differ: otherwise a Keystone that hangs would hang every request."""

MOST_TOKENS = 10_000
"""Tokens that one process remembers: one or two kilobytes each, more with a long catalog."""

_CACHE = "dbaas.tokens"
_PASSED = (
    "HTTP_X_AUTH_TOKEN",
    "HTTP_X_SERVICE_TOKEN",
    "PATH_INFO",
    "QUERY_STRING",
    "REQUEST_METHOD",
    "SERVER_NAME",
    "SERVER_PORT",
    "wsgi.url_scheme",
)


class Tokens:
    """What Keystone said of tokens, for one process; it looks like a client of memcached.

    keystonemiddleware's own has one store for each thread, and walks through all of it whenever it
    is asked. With `memcached_servers`, all processes share what they know and this is not used.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, bytes]] = {}
        self._lock = threading.Lock()

    def get(self, key: str) -> bytes | None:
        until, value = self._known.get(key, (0.0, None))
        return value if until > monotonic() else None

    def set(self, key: str, value: bytes, time: float) -> None:
        """Remember it for `time` seconds; the parameters have the names that memcached's have."""
        now = monotonic()
        with self._lock:
            if len(self._known) >= MOST_TOKENS:
                fresh = {name: item for name, item in self._known.items() if item[0] > now}
                self._known = fresh if len(fresh) < MOST_TOKENS else {}
            self._known[key] = (now + time, value)


class Keystone:
    """Has keystonemiddleware look at each request's token, and no more of the request."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        """Connect to nothing yet; raise `Invalid` saying what is wrong with the options."""
        for group, listed in opts.list_auth_token_opts():
            conf.register_opts(listed, group=group)
        for name, value in _DEFAULTS.items():
            conf.set_default(name, value, group=GROUP)
        own = {"oslo_config_config": conf, "cache": _CACHE, "delay_auth_decision": False}
        try:
            self._middleware = auth_token.AuthProtocol(_let_in, own)
        except cfg.Error:
            raise
        except Exception as error:  # of several libraries: of plugins, of caches
            raise errors.Invalid(f"[{GROUP}]: {error}") from error
        section = conf[GROUP]
        if not (section.auth_type or section.auth_section):
            raise errors.Invalid(
                f"[{GROUP}] auth_type is not set: auth_strategy=keystone needs it, as password "
                "with auth_url, username, password, user_domain_name, project_name and "
                "project_domain_name"
            )
        self._tokens = None if section.memcached_servers else Tokens()

    def identify(self, req: falcon.Request, _project_id: str) -> Identity:
        """Raise `Unavailable` when Keystone cannot be asked."""
        environ = {name: req.env[name] for name in _PASSED if name in req.env}
        environ |= {"wsgi.input": io.BytesIO(), "SCRIPT_NAME": "", _CACHE: self._tokens}
        said: list[Any] = []

        def start_response(status: str, headers: list[tuple[str, str]], *_: object) -> None:
            said[:] = [int(status[:3]), headers]

        try:
            self._middleware(environ, start_response)
        except Exception as error:
            raise errors.Unavailable("Keystone cannot be asked about the token.") from error
        status, headers = said
        if status == HTTPStatus.NO_CONTENT:
            return _identity(environ)
        if status == HTTPStatus.UNAUTHORIZED:
            raise falcon.HTTPUnauthorized(
                description="A valid token of Keystone is required, in the header X-Auth-Token.",
                challenges=[value for name, value in headers if name == "WWW-Authenticate"],
            )
        raise errors.Unavailable("Keystone does not answer: the token cannot be checked now.")


def _let_in(_environ: Mapping[str, Any], start_response: Any) -> list[bytes]:
    """What keystonemiddleware guards: it is reached with a valid token only."""
    start_response("204 No Content", [])
    return []


def _identity(environ: Mapping[str, Any]) -> Identity:
    """Return who it is, by the headers that keystonemiddleware has set."""
    project_id = environ.get("HTTP_X_PROJECT_ID")
    if not project_id:
        raise falcon.HTTPForbidden(
            description="The token is not for a project: ask Keystone for one that is."
        )
    roles = environ.get("HTTP_X_ROLES", "")
    return Identity(environ["HTTP_X_USER_ID"], project_id, tuple(roles.split(",")))
