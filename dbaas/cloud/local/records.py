"""The local provider's memory: a small JSON file per object, which any process may read and write.

A file is replaced in one step and is on the disk before the call returns, so a process may be
killed at any instant. What a lock covers is written where it is taken; the kernel releases the
locks of the dead.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dbaas.contract import errors
from dbaas.host import files

STRIPES = 64
"""Lock files per kind: a fixed number, since a lock file can never be removed safely."""

LEFTOVER_AGE = 60.0
"""Seconds after which a file that was being written is one whose writer was killed."""


class Records:
    """The objects of one kind. Names are the caller's, and become file names."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._locks = directory / "locks"
        self._locks.mkdir(parents=True, exist_ok=True)
        for file in files.leftovers(directory, age=LEFTOVER_AGE):
            file.unlink(missing_ok=True)

    def get(self, name: str) -> dict[str, Any] | None:
        try:
            text = self._path(name).read_text()
        except FileNotFoundError:
            return None
        return dict(json.loads(text))

    def all(self, names: Collection[str] | None = None) -> dict[str, dict[str, Any]]:
        """Return the objects of these names that are there, or all."""
        if names is None:
            names = sorted(path.stem for path in self._directory.glob("*.json"))
        found = ((name, self.get(name)) for name in names)
        return {name: record for name, record in found if record is not None}

    def put(self, name: str, record: Mapping[str, Any]) -> None:
        files.write(self._path(name), json.dumps(record, indent=1), mode=0o600)

    def remove(self, name: str) -> None:
        files.remove(self._path(name))

    def lock(self, name: str) -> AbstractContextManager[None]:
        """Hold what guards this object: no other process changes it meanwhile."""
        return files.lock(self._stripe(name))

    def is_locked(self, name: str) -> bool:
        """Tell whether somebody holds it, or another object of the same stripe: seldom wrong."""
        try:
            with files.lock(self._stripe(name), timeout=0, shared=True):
                return False
        except errors.Busy:
            return True

    def _stripe(self, name: str) -> Path:
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:2], "big") % STRIPES
        return self._locks / f"{number:02}"

    def _path(self, name: str) -> Path:
        if not name or "/" in name or name.startswith("."):
            raise errors.Invalid(f"{name!r} cannot be a name here")
        return self._directory / f"{name}.json"
