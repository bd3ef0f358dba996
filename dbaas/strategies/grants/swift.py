"""Backups in OpenStack's Swift: grants are temporary URLs of a prefix (TempURL middleware).

Backups of a project are in its own account, where the service is a reseller's administrator. The
key that signs for a container follows from the master key and is set once, beside another that may
be its owner's.
"""

import hashlib
import hmac
import logging
import math
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode, urlsplit

import keystoneauth1.exceptions
from keystoneauth1.session import Session
from oslo_config import cfg
from swiftclient.client import Connection
from swiftclient.exceptions import ClientException

from dbaas.common import keystone
from dbaas.common.probes import Probe
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.messages import Grant
from dbaas.contract.secret import Secret
from dbaas.strategies.grants import keys
from dbaas.strategies.grants.base import Method, Place, Stored, silent

LOG = logging.getLogger(__name__)

NAME = "swift"
GROUP = "storage_swift"

_OURS: list[cfg.Opt] = [
    cfg.StrOpt("region_name", help="Region of the object store; empty: the only one there is."),
    cfg.StrOpt(
        "interface",
        default="internal",
        choices=["public", "internal", "admin"],
        help="Which of the object store's endpoints the services speak to.",
    ),
    cfg.StrOpt(
        "url",
        default="",
        help="URL of the object store as guests and tenants reach it, up to the account, like "
        "https://swift.example/v1. Empty: that of its public endpoint.",
    ),
    cfg.StrOpt(
        "account_prefix",
        default="AUTH_",
        help="What stands before a project's id in the name of its account: Swift's "
        "reseller_prefix.",
    ),
    cfg.StrOpt(
        "account",
        default="",
        help="Account for the backups of all projects, such as AUTH_ID; their containers are then "
        "called PROJECT.CONTAINER. Empty: each project's own, which the service's user may use "
        "when it has Swift's reseller_admin_role.",
    ),
    cfg.FloatOpt(
        "request_timeout",
        default=60.0,
        min=1.0,
        help="Seconds after which an object store that has not answered counts as away.",
    ),
]

# For the sample alone: keystoneauth registers its own, as soon as it knows the `auth_type`.
OPTS: list[cfg.Opt] = [
    *_OURS,
    cfg.StrOpt(
        "auth_section",
        help="Group with the credentials, such as openstack. The same options may be here instead: "
        "auth_type, auth_url, username, password and so on.",
    ),
    cfg.StrOpt("cafile", help="File with the certificates to trust, for services and guests."),
]

_LONGEST_CONTAINER = 256
"""Bytes (Swift, `max_container_name_length`)."""
_PAGE = 500
"""Objects that are deleted by one request."""
_KEYS = ("X-Container-Meta-Temp-URL-Key", "X-Container-Meta-Temp-URL-Key-2")
_REMEMBERED = 60.0
"""Seconds for which a container that had our key still has it: its owner may take it away."""
_NEEDED = {"sha256"}
_ACCOUNT_AND_PROJECT = ":"

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """The options, without those about credentials; `authority` is PEM."""

    interface: str = "public"
    region_name: str | None = None
    url: str = ""
    account_prefix: str = "AUTH_"
    account: str = ""
    request_timeout: float = 60.0
    cafile: str = ""
    insecure: bool = False
    authority: str = ""


def from_conf(conf: cfg.ConfigOpts, sealer: Sealer) -> "SwiftVault":
    keystone.register(conf, GROUP)
    conf.register_opts(_OURS, group=GROUP)
    options = conf[GROUP]
    settings = Settings(
        interface=options.interface,
        region_name=options.region_name or None,
        url=options.url.rstrip("/"),
        account_prefix=options.account_prefix,
        account=options.account,
        request_timeout=options.request_timeout,
        cafile=options.cafile or "",
        insecure=options.insecure,
        authority=_authority(options.cafile),
    )
    return SwiftVault(keystone.session(conf, GROUP, settings.request_timeout), settings, sealer)


def _authority(cafile: str | None) -> str:
    try:
        return Path(cafile).read_text() if cafile else ""
    except OSError as error:
        raise errors.Invalid(f"[{GROUP}] cafile: {error}") from error


class SwiftVault:
    """Threads may share it: each call has a connection of its own."""

    name = NAME

    def __init__(self, session: Session, settings: Settings, sealer: Sealer) -> None:
        self._session = session
        self._settings = settings
        self._sealer = sealer
        self._keyed: dict[tuple[str, str], float] = {}

    def account(self, project_id: str) -> str:
        if self._settings.account:
            return f"{self._settings.account}{_ACCOUNT_AND_PROJECT}{project_id}"
        return f"{self._settings.account_prefix}{project_id}"

    def ensure(self, place: Place) -> None:
        account, container = _real(place)
        try:
            self._have_key(account, container)
        except errors.NotFound:
            headers = {_KEYS[0]: self._key(account, container).reveal()}
            self._ask(account, lambda swift: swift.put_container(container, headers=headers))
            self._have_key(account, container)  # somebody may have been as fast

    def _have_key(self, account: str, container: str) -> None:
        """Have our key at the container, beside one of its owner's; `NotFound` without container.

        Swift takes signatures under either key: `Conflict` when both are somebody else's.
        """
        key = self._key(account, container).reveal()
        there = self._ask(account, lambda swift: swift.head_container(container))
        if key not in (there.get(slot.lower()) for slot in _KEYS):
            free = next((slot for slot in _KEYS if not there.get(slot.lower())), None)
            if free is None:
                raise errors.Conflict(
                    f"Both keys for temporary URLs of the container {container} are in use: remove "
                    "one of them, or name another container."
                )
            self._ask(account, lambda swift: swift.post_container(container, {free: key}))
        self._keyed[account, container] = time.monotonic() + _REMEMBERED

    def location(self, place: Place, name: str) -> str:
        return self._url(place) + quote(name)

    def locate(self, url: str) -> tuple[Place, str]:
        account, container, *words = [*keys.parts(self._public, url), ""]
        if own := self._settings.account:
            project, _, container = container.partition(".")
            account = f"{account}{_ACCOUNT_AND_PROJECT}{project}" if account == own else ""
        prefix, name = keys.split("/".join(words[:-1]))
        place = Place(account, container, prefix)
        if not account:
            raise errors.Invalid(f"{url[:200]!r} is in no account for backups")
        _real(place)
        return place, name

    def grant(self, place: Place, method: Method, _names: Sequence[str], seconds: float) -> Grant:
        """Sign as Swift's manual says of prefixes ("TempURL", "Prefix-based")."""
        account, container = _real(place)
        if self._keyed.get((account, container), 0.0) < time.monotonic():
            self._have_key(account, container)  # a backup may be registered from anywhere
        until = math.ceil(time.time() + seconds)
        path = f"{urlsplit(self._public).path}/{account}/{container}/{place.prefix}"
        said = f"{method}\n{until}\nprefix:{path}".encode()
        key = self._key(account, container).reveal().encode()
        query = {
            "temp_url_sig": hmac.new(key, said, hashlib.sha256).hexdigest(),
            "temp_url_expires": until,
            "temp_url_prefix": place.prefix,
        }
        url = f"{self._url(place)}{{name}}?{urlencode(query, quote_via=quote, safe='/')}"
        return Grant(NAME, method, Secret(url), authority=self._settings.authority)

    def listing(self, place: Place) -> Mapping[str, Stored]:
        account, container = _real(place)

        def listed(swift: Any) -> Any:
            return swift.get_container(container, prefix=place.prefix, full_listing=True)[1]

        try:
            found = self._ask(account, listed)
        except errors.NotFound:
            return {}
        names = ((one["name"].removeprefix(place.prefix), one) for one in found)
        return {name: Stored(name, one["bytes"], one["hash"]) for name, one in names}

    def put(self, place: Place, name: str, content: bytes) -> None:
        account, container = _real(place)
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
        self._ask(
            account,
            lambda swift: swift.put_object(container, place.prefix + name, content, etag=md5),
        )

    def get(self, place: Place, name: str, limit: int) -> bytes:
        account, container = _real(place)

        def read(swift: Any) -> bytes:
            headers, body = swift.get_object(container, place.prefix + name, resp_chunk_size=65536)
            if int(headers["content-length"]) > limit:
                raise errors.Invalid(f"{name} has more than {limit} bytes")
            return b"".join(body)

        return self._ask(account, read)

    def size(self, place: Place, name: str) -> int:
        account, container = _real(place)
        headers = self._ask(
            account, lambda swift: swift.head_object(container, place.prefix + name)
        )
        return int(headers["content-length"])

    def delete(self, place: Place) -> None:
        self.remove(place, list(self.listing(place)))

    def remove(self, place: Place, names: Sequence[str]) -> None:
        """Delete many by one request where Swift has the middleware, then what is left by one."""
        account, container = _real(place)
        for begin in range(0, len(names), _PAGE):
            self._delete_at_once(account, container, place, names[begin : begin + _PAGE])
        left = self.listing(place).keys() & set(names) if names else ()
        for name in sorted(left):
            self._delete_one(account, container, place.prefix + name)

    def _delete_at_once(
        self, account: str, container: str, place: Place, names: Sequence[str]
    ) -> None:
        paths = [quote(f"/{container}/{place.prefix}{name}") for name in names]
        headers = {"Content-Type": "text/plain", "Accept": "application/json"}
        self._ask(
            account,
            lambda swift: swift.post_account(
                headers, query_string="bulk-delete", data="\n".join(paths).encode()
            ),
        )

    def _delete_one(self, account: str, container: str, key: str) -> None:
        try:
            self._ask(account, lambda swift: swift.delete_object(container, key))
        except errors.NotFound:
            LOG.debug("%s was deleted already, and is still listed", key)

    def groups(self, place: Place) -> Iterator[str]:
        real, name = _real(place)
        try:
            found = self._ask(
                real,
                lambda swift: swift.get_container(
                    name, prefix=place.prefix, delimiter="/", full_listing=True
                )[1],
            )
        except errors.NotFound:
            return
        for one in found:
            if "subdir" in one:
                yield one["subdir"].removeprefix(place.prefix).rstrip("/")

    def probe(self) -> Probe:
        return Probe(
            "backups: Swift",
            self._probe,
            f"Check the credentials of [{GROUP}]; give the service's user Swift's "
            "reseller_admin_role, or name an account of its own; have tempurl in the proxies' "
            "pipeline, with sha256 in allowed_digests and PUT in methods.",
        )

    def _probe(self) -> str:
        """See that temporary URLs are possible, and that any project's account may be used."""
        place = Place(self.account(uuid.uuid4().hex), "none", "")
        account, _ = _real(place)
        tempurl = self._ask(account, lambda swift: swift.get_capabilities()).get("tempurl")
        if tempurl is None:
            raise errors.Failed("Swift has no temporary URLs")
        if not set(tempurl.get("allowed_digests", _NEEDED)) >= _NEEDED:
            raise errors.Failed("Swift's temporary URLs may not be signed by sha256")
        if not {"PUT", "GET"} <= set(tempurl.get("methods", ())):
            raise errors.Failed("Swift's temporary URLs may not PUT and GET")
        try:
            self._ask(account, lambda swift: swift.head_account())
        except errors.NotFound:
            LOG.debug("Nobody has the account %s, and we could see that", account)
        return self._public

    @cached_property
    def _public(self) -> str:
        """The URL before accounts, as guests and tenants have it."""
        return self._settings.url or self._endpoint("public")

    @cached_property
    def _base(self) -> str:
        return self._endpoint(self._settings.interface)

    def _endpoint(self, interface: str) -> str:
        """Return the URL in Keystone's catalog without the account, which is ours there."""
        with _keystone():
            found = self._session.get_endpoint(
                service_type="object-store",
                interface=interface,
                region_name=self._settings.region_name,
            )
        if not found:
            raise errors.Unavailable("Keystone does not know where the object store is.")
        return str(found).rstrip("/").rpartition("/")[0]

    def _url(self, place: Place) -> str:
        account, container = _real(place)
        return f"{self._public}/{quote(account)}/{quote(container, safe='')}/{quote(place.prefix)}"

    def _key(self, account: str, container: str) -> Secret:
        return self._sealer.derived(f"swift {account}/{container}")

    def _ask(self, account: str, verb: Callable[[Any], T]) -> T:
        """Call Swift, with another token if the one at hand is of no use any more."""
        try:
            return self._tried(account, verb)
        except ClientException as error:
            if error.http_status != HTTPStatus.UNAUTHORIZED:
                raise _of_answer(error) from error
        self._session.invalidate()
        try:
            return self._tried(account, verb)
        except ClientException as error:
            raise _of_answer(error) from error

    def _tried(self, account: str, verb: Callable[[Any], T]) -> T:
        with _keystone():
            token = self._session.get_token()
        swift = Connection(
            preauthurl=f"{self._base}/{quote(account)}",
            preauthtoken=token,
            retries=0,
            timeout=self._settings.request_timeout,
            cacert=self._settings.cafile or None,
            insecure=self._settings.insecure,
        )
        try:
            return verb(swift)
        except OSError as error:
            LOG.warning("Swift: %s", error)
            raise silent("The object store", error) from error
        finally:
            swift.close()


def _real(place: Place) -> tuple[str, str]:
    """Return the account and the container that Swift knows; raise `Invalid` for an odd name."""
    account, _, project = place.account.partition(_ACCOUNT_AND_PROJECT)
    container = f"{project}.{place.container}" if project else place.container
    if not place.container or "/" in container or "\0" in container:
        raise errors.Invalid("the name of a container is not empty, and has no slash and no NUL")
    if len(container.encode()) > _LONGEST_CONTAINER:
        raise errors.Invalid(f"the name of a container has up to {_LONGEST_CONTAINER} bytes")
    if container in (".", ".."):
        raise errors.Invalid("a container is not called '.' or '..'")
    return account, container


class _keystone:  # noqa: N801  # a context, used like a function
    """Translates what Keystone's client raises."""

    def __enter__(self) -> None: ...

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, keystoneauth1.exceptions.Unauthorized):
            raise errors.Forbidden("Keystone does not accept the service's credentials.") from error
        if isinstance(error, keystoneauth1.exceptions.ClientException | OSError):
            LOG.warning("Keystone: %s", error)
            raise silent("Keystone", error) from error


def _of_answer(error: ClientException) -> errors.Error:
    code = error.http_status or 0
    LOG.info("Swift answered %d: %s", code, error)
    match code:
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return errors.Forbidden("The object store forbids it to the service.")
        case HTTPStatus.NOT_FOUND:
            return errors.NotFound("the object store does not have it")
        case HTTPStatus.REQUEST_ENTITY_TOO_LARGE | HTTPStatus.INSUFFICIENT_STORAGE:
            return errors.OverQuota("The object store has no room for it.")
        case HTTPStatus.BAD_REQUEST | HTTPStatus.PRECONDITION_FAILED:
            return errors.Invalid("the object store refuses the request")
    return errors.Unavailable(f"The object store fails ({code}).")
