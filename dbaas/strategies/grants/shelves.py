"""Objects in a directory: account, container and name of an object are its path there.

What begins with a dot is no object: it is being written. Whoever runs as root gives what he makes
to the directory's owner, whom the depot runs as.
"""

import os
import re
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import files
from dbaas.strategies.grants.base import Place

ARRIVING = ".arriving"
"""The directory below the root in which the depot writes what is not whole yet."""

CHECKSUM = "user.md5"
"""The attribute of a file that has its content's MD5 in hex, where the file system keeps any."""

_LONGEST = 255
"""Bytes of a name in Linux's file systems (limits.h, `NAME_MAX`)."""

_BAD = re.compile(r"^\.|[/\0]")


@dataclass(frozen=True)
class Shelves:
    """The storage directory."""

    root: Path

    def container(self, account: str, container: str) -> Path:
        """Return a container's directory; raise `Invalid` for names that no directory can have."""
        return self.root / _checked(account) / _checked(container)

    def path(self, account: str, container: str, key: str) -> Path:
        """Return an object's file, which is below its container whatever the name says."""
        words = [_checked(word) for word in key.split("/")]
        return self.container(account, container).joinpath(*words)

    def make(self, directory: Path) -> None:
        """Have the directory there, and what is above it, durably; its owner is the root's."""
        if directory.is_dir():
            return
        self.make(directory.parent)
        with suppress(FileExistsError):
            directory.mkdir(mode=0o700)
            self.own(directory)
            files.sync_directory(directory.parent)

    def own(self, path: Path) -> None:
        if os.geteuid() == 0:
            owner = self.root.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    def below(self, place: Place) -> Iterator[tuple[str, os.DirEntry[str]]]:
        """Yield the objects whose names begin with the prefix: the rest of each name, its file."""
        directory, begin = self._split(place)
        for entry in _entries(directory):
            if entry.name.startswith(begin):
                yield from _walk(entry, entry.name[len(begin) :])

    def clear(self, place: Place) -> None:
        """Remove what is below the prefix, durably, and what was begun there. May be repeated."""
        directory, begin = self._split(place)
        if not directory.is_dir():
            return
        if not begin:
            shutil.rmtree(directory)
            files.sync_directory(directory.parent)
            return
        for entry in _entries(directory):
            if entry.name.startswith(begin):
                _remove(entry)
        files.sync_directory(directory)

    def _split(self, place: Place) -> tuple[Path, str]:
        """Return the directory that all of it is in, and what names there begin with."""
        above, slash, begin = place.prefix.rpartition("/")
        if begin:
            _checked(begin)
        elif not slash:
            raise errors.Invalid("a place without a prefix would be the whole container")
        container = self.container(place.account, place.container)
        return container.joinpath(*map(_checked, above.split("/") if slash else ())), begin


def checksum(file: int | str) -> str:
    """Return what the file's content had as its MD5 when it came; empty where that is not kept."""
    with suppress(OSError):
        return os.getxattr(file, CHECKSUM).decode("ascii", errors="replace")
    return ""


def note_checksum(file: int, md5: str) -> None:
    with suppress(OSError):  # not every file system keeps attributes
        os.setxattr(file, CHECKSUM, md5.encode())


def _checked(word: str) -> str:
    try:
        length = len(word.encode())
    except UnicodeEncodeError as error:
        raise errors.Invalid("a name is text in Unicode") from error
    if not 0 < length <= _LONGEST or _BAD.search(word):
        raise errors.Invalid(
            f"{word[:64]!r} cannot be a part of a name here: it has 1 to {_LONGEST} bytes, no "
            "slash, and begins with no dot"
        )
    return word


def _entries(directory: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(directory) as found:
            return [entry for entry in found if not entry.name.startswith(".")]
    except (FileNotFoundError, NotADirectoryError):
        return []


def _walk(entry: os.DirEntry[str], name: str) -> Iterator[tuple[str, os.DirEntry[str]]]:
    if entry.is_file(follow_symlinks=False):
        yield name, entry
    elif entry.is_dir(follow_symlinks=False):
        for inner in _entries(Path(entry.path)):
            yield from _walk(inner, f"{name}/{inner.name}")


def _remove(entry: os.DirEntry[str]) -> None:
    if entry.is_dir(follow_symlinks=False):
        shutil.rmtree(entry.path)
    else:
        Path(entry.path).unlink(missing_ok=True)
