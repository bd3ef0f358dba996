"""The three interfaces between processes, on one page.

`GuestAgent`: what a flow may order the agent inside one instance to do. `TaskManager`: what wakes a
task manager. `Events`: what a guest may say to the conductor.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar, get_type_hints

from dbaas.contract import messages

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True)
class Verb:
    """One command as both sides know it: at most one value in, one out."""

    name: str
    takes: Any
    """Type of its one argument, or None."""
    gives: Any
    deadline: float
    """Seconds after which nobody waits for its answer any more."""


def command(*, deadline: float) -> Callable[[F], F]:
    """Mark a method of an interface as a command that is answered within `deadline` seconds."""

    def mark(method: F) -> F:
        method.deadline = deadline  # type: ignore[attr-defined] # an attribute of a function
        return method

    return mark


class GuestAgent(Protocol):
    """What a flow may order the agent inside one instance to do. Every verb may be repeated."""

    @command(deadline=600.0)
    def introduce(self, order: messages.Introduction) -> None:
        """Become who `order` says; the answer comes under the new key: that is the proof."""

    @command(deadline=600.0)
    def prepare(self, order: messages.Prepare) -> messages.Prepared:
        """Make the database server: data directory, configuration, accounts; start it."""

    @command(deadline=180.0)
    def restart(self) -> messages.Health:
        """Stop and start the database server; return its health once it answers."""

    @command(deadline=120.0)
    def grow_volume(self, order: messages.VolumeGrowth) -> messages.VolumeSize:
        """Let the file system use its grown volume; raise `Unavailable` while that is small."""

    @command(deadline=180.0)
    def release_volume(self) -> None:
        """Stop the database server, and let go of its volume so that it can be detached.

        It stays stopped, whatever happens to agent or guest, until `take_volume` or `restart`.
        """

    @command(deadline=180.0)
    def take_volume(self) -> messages.Health:
        """Mount the volume that was attached again, and start the database server on it.

        Raise `Unavailable` while it is not attached.
        """

    @command(deadline=30.0)
    def list_databases(self, order: messages.Page) -> messages.DatabasePage:
        """Return the tenant's databases, also those made in SQL; never the engine's own."""

    @command(deadline=30.0)
    def create_databases(self, order: messages.Databases) -> None:
        """Make databases, all or none; raise `Conflict` naming one that exists."""

    @command(deadline=30.0)
    def delete_database(self, order: messages.DatabaseName) -> None:
        """Delete a database with its data; raise `NotFound`."""

    @command(deadline=30.0)
    def list_users(self, order: messages.Page) -> messages.UserPage:
        """Return the tenant's accounts, also those made in SQL; never the service's own."""

    @command(deadline=30.0)
    def show_user(self, order: messages.UserKey) -> messages.UserView:
        """Return one account; raise `NotFound`."""

    @command(deadline=30.0)
    def create_users(self, order: messages.Users) -> None:
        """Make accounts, all or none; raise `Conflict` naming one that exists."""

    @command(deadline=30.0)
    def change_users(self, order: messages.UserChanges) -> None:
        """Change accounts, all or none; raise `NotFound`, or `Conflict` for a taken name."""

    @command(deadline=30.0)
    def delete_user(self, order: messages.UserKey) -> None:
        """Delete an account; raise `NotFound`."""

    @command(deadline=30.0)
    def grant_access(self, order: messages.Access) -> None:
        """Give every right on databases; raise `NotFound` for an account that is not there."""

    @command(deadline=30.0)
    def revoke_access(self, order: messages.Access) -> None:
        """Take the rights; raise `NotFound` for an account, or a right, that is not there."""

    @command(deadline=30.0)
    def enable_root(self, order: messages.RootPassword) -> None:
        """Let the tenant in as the engine's administrator, with this password from now on."""

    @command(deadline=30.0)
    def disable_root(self) -> None:
        """Let nobody in as the engine's administrator any more."""

    @command(deadline=180.0)
    def use_memory(self, order: messages.Memory) -> messages.Health:
        """Fit the engine's configuration to this memory, restarting it only where it must be."""

    @command(deadline=6 * 3600.0)
    def take_backup(self, order: messages.BackupOrder) -> messages.StoredBackup:
        """Stream a backup into the storage that `order` grants, while the engine goes on serving.

        Its progress is in the heartbeats. Other commands run meanwhile. Raise `Unavailable` when
        the storage is away, or its grant has run out and no other came.
        """

    @command(deadline=30.0)
    def renew_grant(self, order: messages.GrantRenewal) -> None:
        """Go on with this grant; a command that does not run any more needs none."""

    @command(deadline=120.0)
    def archive(self, order: messages.ArchiveOrder) -> None:
        """Store what the engine logs, as it logs it, whatever happens to agent, engine or guest.

        How far that is, is in the heartbeats. Raise `Conflict` before there is a database server.
        """

    @command(deadline=1800.0)
    def merge_archive(self, order: messages.MergeOrder) -> messages.Segment:
        """Fetch objects of an archive, and store what is in them as one; they stay.

        Raise `Failed` naming one that is damaged, missing or another's.
        """

    @command(deadline=6 * 3600.0)
    def restore_backup(self, order: messages.RestoreOrder) -> messages.Restored:
        """Lay out a data directory for `prepare` to go on with; data that is there is replaced.

        Every segment is verified before it counts. Raise `Failed` naming the one that is damaged,
        missing or another backup's; nothing is left then.
        """

    @command(deadline=6 * 3600.0)
    def check_data(self) -> messages.DataCheck:
        """Read all of the tenant's tables; raise `Failed` naming one that cannot be read."""

    @command(deadline=30.0)
    def ping(self) -> messages.Health:
        """Answer, with how the database server is now."""

    @command(deadline=30.0)
    def cancel(self, order: messages.Cancel) -> messages.Cancelled:
        """Make sure that a command does not run any more, and say what became of it."""


class TaskManager(Protocol):
    """What wakes a task manager: a hint, never the only copy of anything."""

    def wake(self, operation_id: str) -> None: ...


def verbs(interface: type) -> dict[str, Verb]:
    """Return the commands that `interface` declares, by name."""
    return {
        name: _verb(name, method)
        for name, method in vars(interface).items()
        if hasattr(method, "deadline")
    }


def _verb(name: str, method: Any) -> Verb:
    hints = get_type_hints(method)
    gives = hints.pop("return")
    takes = next(iter(hints.values()), None)
    return Verb(name, takes, gives, method.deadline)


GUEST_VERBS = verbs(GuestAgent)

EVENTS = ("hb", "result", "log")
"""What a guest may say: a heartbeat, the result of a command, a line for the log."""
