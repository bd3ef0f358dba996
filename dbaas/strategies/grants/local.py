"""Backups in a directory of the control plane's host, or one that it mounts.

Guests come to it through the depot, a process that serves the directory by HTTP: a grant is a URL
of the depot's with a signature. Here the directory itself is worked on.
"""

import http.client
import math
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

from oslo_config import cfg

from dbaas.common.probes import Probe
from dbaas.common.sealing import Sealer
from dbaas.contract import backups, errors
from dbaas.contract.messages import Grant
from dbaas.contract.secret import Secret
from dbaas.host import files
from dbaas.strategies.grants import keys, leave, shelves
from dbaas.strategies.grants.base import Method, Place, Stored
from dbaas.strategies.grants.shelves import Shelves

NAME = "local"
GROUP = "storage_local"
OPTS = [
    cfg.StrOpt(
        "directory",
        default="/var/lib/dbaas/backups",
        help="Directory in which backups are kept, on a disk or a network file system with room "
        "for them; it must be there. The depot runs as its owner.",
    ),
    cfg.StrOpt(
        "url",
        default="http://127.0.0.1:8780",
        help="URL of the depot, as guests reach it.",
    ),
]

_PROBED = Place("dbaas-probe", "dbaas-probe", "")
_PROBE_SECONDS = 10.0


def from_conf(conf: cfg.ConfigOpts, sealer: Sealer) -> "LocalVault":
    conf.register_opts(OPTS, group=GROUP)
    options = conf[GROUP]
    if urlsplit(options.url).scheme not in ("http", "https"):
        raise errors.Invalid(f"[{GROUP}] url: {options.url!r} is not a URL like http://HOST:PORT")
    return LocalVault(Path(options.directory), options.url, leave.key(sealer))


class LocalVault:
    """Threads, and processes of the same host, may share it."""

    name = NAME

    def __init__(self, directory: Path, url: str, key: Secret) -> None:
        self._shelves = Shelves(directory)
        self._url = url.rstrip("/")
        self._key = key

    def account(self, project_id: str) -> str:
        return project_id

    def ensure(self, place: Place) -> None:
        with self._there():
            self._shelves.make(self._shelves.container(place.account, place.container))

    def location(self, place: Place, name: str) -> str:
        return self._url + leave.url(place, name)

    def locate(self, url: str) -> tuple[Place, str]:
        account, container, *words = [*keys.parts(self._url + leave.ROOT, url), ""]
        prefix, name = keys.split("/".join(words[:-1]))
        self._shelves.path(account, container, prefix + name)
        return Place(account, container, prefix), name

    def grant(self, place: Place, method: Method, _names: Sequence[str], seconds: float) -> Grant:
        until = math.ceil(time.time() + seconds)
        url = self._url + leave.signed(self._key, place, method, until)
        return Grant(NAME, method, Secret(url))

    def listing(self, place: Place) -> Mapping[str, Stored]:
        with self._there():
            return {
                name: Stored(name, entry.stat().st_size, shelves.checksum(entry.path))
                for name, entry in self._shelves.below(place)
            }

    def put(self, place: Place, name: str, content: bytes) -> None:
        path = self._path(place, name)
        with self._there():
            if not self._shelves.container(place.account, place.container).is_dir():
                raise errors.NotFound(f"there is no container {place.container}")
            self._shelves.make(path.parent)
            files.write(path, content)
            self._shelves.own(path)

    def get(self, place: Place, name: str, limit: int) -> bytes:
        with self._there(), self._path(place, name).open("rb") as file:
            content = file.read(limit + 1)
        if len(content) > limit:
            raise errors.Invalid(f"{name} has more than {limit} bytes")
        return content

    def size(self, place: Place, name: str) -> int:
        with self._there():
            return self._path(place, name).stat().st_size

    def delete(self, place: Place) -> None:
        with self._there():
            self._shelves.clear(place)

    def remove(self, place: Place, names: Sequence[str]) -> None:
        with self._there():
            for name in names:
                self._path(place, name).unlink(missing_ok=True)

    def groups(self, place: Place) -> Iterator[str]:
        with self._there():
            directory = self._shelves.container(place.account, place.container) / place.prefix
            found = sorted(directory.iterdir()) if directory.is_dir() else []
        yield from (path.name for path in found if path.is_dir() and path.name[0] != ".")

    def probe(self) -> Probe:
        return Probe(
            "backups: the directory and the depot",
            self._probe,
            f"Make the directory of [{GROUP}] writable for the services, run `dbaas-depot` with "
            f"the same configuration, and have [{GROUP}] url lead to it.",
        )

    def _probe(self) -> str:
        """See that the depot has this directory, this key and about this time."""
        place, name = replace(_PROBED, prefix=backups.prefix(str(uuid.uuid4()))), backups.MANIFEST
        self.ensure(place)
        try:
            self.put(place, name, b"probe")
            url = self.grant(place, "GET", [name], _PROBE_SECONDS).url
            status = _fetch(url.reveal().replace("{name}", name) if url else "")
        finally:
            self.delete(place)
        if status != HTTPStatus.OK:
            raise errors.Failed(f"the depot at {self._url} answers {status}, not what is there")
        return f"{self._shelves.root}, {self._url}"

    def _path(self, place: Place, name: str) -> Path:
        return self._shelves.path(place.account, place.container, place.prefix + name)

    @contextmanager
    def _there(self) -> Iterator[None]:
        """Translate what the file system says; a directory that is gone is no empty one."""
        if not self._shelves.root.is_dir():
            raise errors.Unavailable("The storage of backups is not there.")
        try:
            yield
        except (FileNotFoundError, NotADirectoryError) as error:
            raise errors.NotFound(f"there is no object {Path(error.filename).name}") from error
        except PermissionError as error:
            raise errors.Forbidden("The storage of backups may not be written to.") from error
        except OSError as error:
            raise errors.Unavailable(f"The storage of backups fails: {error.strerror}") from error


def _fetch(url: str) -> int:
    """Return the status of the depot's answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.netloc, timeout=_PROBE_SECONDS)
    try:
        connection.request("GET", f"{parts.path}?{parts.query}")
        return connection.getresponse().status
    except (OSError, http.client.HTTPException) as error:
        raise errors.Unavailable(f"the depot at {parts.netloc} does not answer") from error
    finally:
        connection.close()
