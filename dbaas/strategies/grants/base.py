"""The control half of storage: what a task manager may do with backups' objects, wherever they are.

It has the credentials. Guests get grants: leave to PUT or GET what is below one prefix, for a time.
Verbs that write may be repeated. Everywhere `Unavailable` says that the storage does not answer,
`Forbidden` that it refuses what is configured.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from dbaas.common.probes import Probe
from dbaas.contract import errors
from dbaas.contract.messages import Grant

Method = Literal["PUT", "GET"]


@dataclass(frozen=True)
class Place:
    """Where the objects of one backup are: their names begin with `prefix`.

    It ends in `/`, but for a foreign backup of one object: there it is the begin of its name.
    `account`: whose storage it is, in the storage's own terms; it follows from the project, and is
    kept, since an operator may change how.
    """

    account: str
    container: str
    prefix: str


@dataclass(frozen=True)
class Stored:
    """An object as the storage has it: name below the prefix, size in bytes.

    `md5` in hex, empty where the storage does not know it.
    """

    name: str
    size: int
    md5: str = ""


class Vault(Protocol):
    """One storage strategy, as the control plane has it."""

    @property
    def name(self) -> str:
        """As it is registered, and as grants and backups say."""

    def account(self, project_id: str) -> str:
        """Return whose storage a project's backups are in."""

    def ensure(self, place: Place) -> None:
        """Have the container there; `Invalid` for a name that cannot be one."""

    def location(self, place: Place, name: str) -> str:
        """Return the object's full URL, as it is shown to tenants."""

    def locate(self, url: str) -> tuple[Place, str]:
        """Return where an object is that a tenant names by its URL, and its name there.

        `Invalid` for what is no URL of this storage. Whether it is the tenant's own account is for
        the caller to see.
        """

    def grant(self, place: Place, method: Method, names: Sequence[str], seconds: float) -> Grant:
        """Give leave for that long; at least for these names below the prefix.

        It asks nobody, or at most once for a container's key.
        """

    def listing(self, place: Place) -> Mapping[str, Stored]:
        """Return what there is below the prefix, by name; nothing where there is no container."""

    def put(self, place: Place, name: str, content: bytes) -> None:
        """Store a small object; it is there, whole, when this returns."""

    def get(self, place: Place, name: str, limit: int) -> bytes:
        """Return a small object; `NotFound`, or `Invalid` for one of more than `limit` bytes."""

    def size(self, place: Place, name: str) -> int:
        """Return an object's size in bytes; `NotFound`."""

    def delete(self, place: Place) -> None:
        """Delete all that is below the prefix, and nothing else; nothing there is fine."""

    def remove(self, place: Place, names: Sequence[str]) -> None:
        """Delete these objects below the prefix; one that is not there is fine."""

    def groups(self, place: Place) -> Iterator[str]:
        """Yield what names below the prefix begin with, up to a slash: a container's backups."""

    def probe(self) -> Probe:
        """Return what an operator has to have set up for it."""


def silent(what: str, error: Exception) -> errors.Unavailable:
    """Return what is said where `what` does not answer, or is not who it should be."""
    if "CERTIFICATE_VERIFY_FAILED" in str(error):  # libraries wrap what OpenSSL calls so
        return errors.Unavailable(f"{what} shows a certificate that is not trusted: see cafile.")
    return errors.Unavailable(f"{what} does not answer.")
