"""Who a request is from, by the strategy that the operator chose.

keystone: a token, see `api/keystone.py`.
http_basic: a users file with bcrypt hashes. One check of a hash costs 50 ms and more on purpose, so
a password that was right is remembered for a minute, under a digest keyed anew in every process.
"""

import hashlib
import hmac
import re
import secrets
import threading
import time
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import bcrypt
import falcon
from oslo_config import cfg

from dbaas.api import options
from dbaas.contract import errors

REMEMBERED = 60.0
"""Seconds for which a password that was right is not checked again."""

PROJECT = re.compile(r"[A-Za-z0-9_-]{1,64}")
_USER = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_HASH = re.compile(r"\$2[aby]\$\d\d\$[./A-Za-z0-9]{53}")
_NOBODY = b"$2b$12$d8B0lmOzT/DCGaWVB/4LU.nOVknxrRvj1DXbsDZqExQKCm/67/9he"
"""Checked for names that nobody has, so that an answer takes as long as for others."""
_CHALLENGE = 'Basic realm="dbaas", charset="UTF-8"'


@dataclass(frozen=True)
class Identity:
    user_id: str
    project_id: str
    roles: tuple[str, ...]


class Authenticator(Protocol):
    """Tells who sent a request."""

    def identify(self, req: falcon.Request, project_id: str, /) -> Identity:
        """Return who it is; raise `falcon.HTTPUnauthorized`. `project_id` is the path's."""


def authenticator(conf: cfg.ConfigOpts) -> Authenticator:
    """Return the one that is configured; raise `Invalid` saying what is wrong with it."""
    section = conf[options.GROUP]
    if section.auth_strategy == "noauth":
        return Trusting()
    if section.auth_strategy == "http_basic":
        if not section.users_file:
            raise errors.Invalid("[api] users_file is not set: auth_strategy=http_basic needs it")
        return Basic(Path(section.users_file))
    from dbaas.api.keystone import Keystone  # slow to import: see there

    return Keystone(conf)


class Trusting:
    """Believes what the headers `X-User-Id`, `X-Project-Id` and `X-Roles` say: for tests only."""

    def identify(self, req: falcon.Request, project_id: str) -> Identity:
        roles = req.get_header("X-Roles") or "member"
        project_id = req.get_header("X-Project-Id") or project_id
        user_id = req.get_header("X-User-Id") or "anybody"
        if not PROJECT.fullmatch(project_id) or not _USER.fullmatch(user_id):
            raise falcon.HTTPUnauthorized(
                description="The user's id and the project's id are up to 64 letters and digits."
            )
        return Identity(user_id, project_id, tuple(roles.split(",")))


class Basic:
    """Checks name and password against a users file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._key = secrets.token_bytes(32)
        self._known: dict[bytes, tuple[float, Identity]] = {}
        self._locks = tuple(threading.Lock() for _ in range(64))
        self._reload = threading.Lock()
        self._state: tuple[int, int, int] | None = None
        self._users: dict[str, tuple[bytes, Identity]] = {}
        self._fresh_users()

    def identify(self, req: falcon.Request, _project_id: str) -> Identity:
        name, password = _credentials(req)
        users = self._fresh_users()
        digest = hmac.digest(self._key, b"\0".join((name.encode(), password)), hashlib.sha256)
        # One check at a time for one password: a burst of requests would else check it in each.
        with self._locks[digest[0] % len(self._locks)]:
            known = self._known.get(digest)
            if known is not None and known[0] > time.monotonic():
                return known[1]
            hashed, identity = users.get(name, (_NOBODY, None))
            if not _matches(password, hashed) or identity is None:
                raise _unauthorized("The user name or the password is wrong.")
            self._remember(digest, identity)
        return identity

    def _remember(self, digest: bytes, identity: Identity) -> None:
        now = time.monotonic()
        if len(self._known) > 10_000:
            self._known = {key: item for key, item in self._known.items() if item[0] > now}
        self._known[digest] = (now + REMEMBERED, identity)

    def _fresh_users(self) -> dict[str, tuple[bytes, Identity]]:
        """Return the users, read again if the file changed; a changed file forgets everybody."""
        try:
            status = self._path.stat()
            state = (status.st_mtime_ns, status.st_size, status.st_ino)
            if state != self._state:
                with self._reload:
                    self._users = parse_users(self._path.read_text())
                    self._known = {}
                    self._state = state
        except OSError as error:
            raise errors.Unavailable(f"The users file cannot be read: {error.strerror}.") from error
        return self._users


def parse_users(text: str) -> dict[str, tuple[bytes, Identity]]:
    """Return the users of a file by name; raise `Invalid` naming the line that is wrong."""
    users = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        parts = line.strip().split(":")
        if len(parts) != 4:
            raise errors.Invalid(
                f"line {number} of the users file is not NAME:BCRYPT:PROJECT:ROLES"
            )
        name, hashed, project_id, roles = parts
        if not _USER.fullmatch(name):
            raise errors.Invalid(f"line {number} of the users file: {name!r} is no user name")
        if not _HASH.fullmatch(hashed):
            raise errors.Invalid(f"line {number} of the users file: no bcrypt hash of a password")
        if not PROJECT.fullmatch(project_id):
            raise errors.Invalid(f"line {number} of the users file: {project_id!r} is no project")
        given = tuple(role.strip() for role in roles.split(",") if role.strip())
        users[name] = (hashed.encode(), Identity(name, project_id, given))
    return users


def _credentials(req: falcon.Request) -> tuple[str, bytes]:
    header = req.get_header("Authorization")
    if header is None:
        raise _unauthorized("A user name and a password are required.")
    scheme, _, encoded = header.partition(" ")
    try:
        name, separator, password = b64decode(encoded, validate=True).partition(b":")
        if scheme.lower() == "basic" and separator:
            return name.decode(), password
    except (Base64Error, ValueError):
        pass
    raise _unauthorized("The Authorization header is not that of HTTP basic authentication.")


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:  # longer than bcrypt can tell apart
        return False


def _unauthorized(text: str) -> falcon.HTTPUnauthorized:
    return falcon.HTTPUnauthorized(description=text, challenges=[_CHALLENGE])
