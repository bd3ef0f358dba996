"""What the agent needs of a database server, whichever it is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dbaas.contract import messages
from dbaas.contract.messages import Prepare
from dbaas.host.services import Process


@dataclass(frozen=True)
class Places:
    """Where a guest keeps what an engine needs."""

    volume: Path = Path("/var/lib/dbaas/volume")
    """The data volume: all that must outlive the server's own disk."""
    configuration: Path = Path("/etc/dbaas/engine")
    runtime: Path = Path("/run/dbaas")
    logs: Path = Path("/var/log/dbaas")
    templates: Path = Path("/usr/share/dbaas/templates")
    """Data directories that were initialised when the image was made, one per engine version."""
    address: str = "*"
    """Where database servers listen; `*`: at all addresses of IPv4 and, where there is it, IPv6."""
    alone: bool = True
    """The machine is the guest's own: the agent is root, database servers have accounts of theirs.
    Else the agent is some user of a machine, and runs them as itself."""


@dataclass(frozen=True)
class Signs:
    """How a database server answers right now."""

    answers: bool
    version: str = ""


class Attempt(Protocol):
    """One attempt at a command; an earlier one may have been cut short, by a crash for example."""

    @property
    def begun(self) -> bool:
        """Whether it was begun to act: what is found done since was done for this command."""

    def begin(self) -> None:
        """Note, durably, that all is checked, and that it is acted from here on."""


class Tenancy(Protocol):
    """What a tenant has inside a database server: databases, accounts and their rights.

    The verbs are those of `GuestAgent`, and promise what stands there. What was made in SQL counts
    as what was made here. The engine's own and the service's own is never shown, and whoever names
    it is told `Invalid`. Verbs that cannot tell their own work from another's take an attempt.
    """

    def list_databases(self, order: messages.Page) -> messages.DatabasePage: ...

    def create_databases(self, order: messages.Databases, attempt: Attempt) -> None: ...

    def delete_database(self, order: messages.DatabaseName, attempt: Attempt) -> None: ...

    def list_users(self, order: messages.Page) -> messages.UserPage: ...

    def show_user(self, order: messages.UserKey) -> messages.UserView: ...

    def create_users(self, order: messages.Users, attempt: Attempt) -> None: ...

    def change_users(self, order: messages.UserChanges, attempt: Attempt) -> None: ...

    def delete_user(self, order: messages.UserKey, attempt: Attempt) -> None: ...

    def grant_access(self, order: messages.Access) -> None: ...

    def revoke_access(self, order: messages.Access, attempt: Attempt) -> None: ...

    def enable_root(self, order: messages.RootPassword) -> None: ...

    def disable_root(self) -> None: ...


class Engine(Protocol):
    """One database server. Every verb may be repeated without harm, and after a crash half-way."""

    def install(self, order: Prepare) -> None:
        """Lay out data directory, configuration and certificate; data that is there stays.

        Raise `Invalid` for a setting that is refused, `Failed` when the image lacks a part.
        """

    def start(self, timeout: float) -> None:
        """Start it unless it runs; return once it answers.

        Raise `Failed`, with what it complained of, if it ends; `Unavailable` after `timeout`
        seconds: it may still be recovering then, and goes on.
        """

    def stop(self) -> None:
        """Let it end in good order; one that takes too long is killed."""

    def admit(self, order: Prepare) -> None:
        """Make the databases and users of `order`.

        Raise `Invalid` for a name, host, character set or collation that cannot be.
        """

    def tenancy(self) -> AbstractContextManager[Tenancy]:
        """Connect to what the tenant has inside; raise `Unavailable`, `Busy` or `Forbidden`."""

    def use_memory(self, memory_mib: int) -> bool:
        """Fit the configuration to this memory, and what runs as far as it goes.

        Return whether it has to be restarted for the rest.
        """

    def process(self) -> Process | None:
        """Return its process if it runs, whoever started it."""

    def signs(self) -> Signs:
        """Ask it for a sign of life; never raises, takes a few seconds at most."""

    @property
    def output(self) -> Path:
        """The file of what it says."""

    def check_data(self, check: Callable[[], None]) -> messages.DataCheck:
        """Read all of the tenant's tables to their ends; raise `Failed` naming one that cannot be.

        `check` is called between parts, and raises when it is not wanted any more.
        """
