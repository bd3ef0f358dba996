"""Under whose name the broker, the catalog and the depot run: not root's where that is possible."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

CATALOG_UID = 63306
"""A number that no package takes (Debian policy 9.2.2): mariadb-server-core brings no user."""

DEPOT_UID = 63307


@dataclass(frozen=True)
class Account:
    """A user and group that a program runs as, and that its files belong to."""

    uid: int
    gid: int

    def command(self, command: list[str]) -> list[str]:
        """Return the command line that runs `command` under this account, without privileges."""
        if self.uid == os.geteuid():
            return command
        return [
            "setpriv", f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups",
            "--inh-caps=-all", "--no-new-privs", "--", *command,
        ]  # fmt: skip

    def make_directory(self, path: Path) -> Path:
        """Make sure that the directory is there, and only this account's."""
        path.mkdir(mode=0o700, exist_ok=True)
        os.chown(path, self.uid, self.gid)
        return path

    def own(self, path: Path) -> None:
        os.chown(path, self.uid, self.gid)


def for_broker(directory: Path) -> Account:
    """Return the account of the distribution's package."""
    if os.geteuid() != 0:
        return _own()
    try:
        user = pwd.getpwnam("rabbitmq")
    except KeyError:
        return _own()
    return Account(user.pw_uid, user.pw_gid) if _is_open(directory) else _own()


def for_catalog(directory: Path) -> Account:
    root = os.geteuid() == 0
    return Account(CATALOG_UID, CATALOG_UID) if root and _is_open(directory) else _own()


def for_depot(directory: Path) -> Account:
    """Return who owns the directory of backups: the depot becomes him by itself."""
    root = os.geteuid() == 0
    return Account(DEPOT_UID, DEPOT_UID) if root and _is_open(directory) else _own()


def _own() -> Account:
    return Account(os.geteuid(), os.getegid())


def _is_open(directory: Path) -> bool:
    """Tell whether others can pass through to it; they cannot below /root, for one."""
    return all(path.stat().st_mode & stat.S_IXOTH for path in (directory, *directory.parents))
