"""The data volume as the agent has it: found, formatted once, mounted, let go of, taken again.

Where whoever made the guest mounts the volume, nothing of that is the agent's: it only remembers
whether the volume is to be used.
"""

import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from dbaas.contract import codec
from dbaas.host import disks, files, mounts, volumes
from dbaas.host.disks import Content
from dbaas.host.volumes import Usage

LOG = logging.getLogger(__name__)

PATIENCE = 20.0
"""Seconds for which a volume may still be used after its database server has ended."""


@dataclass(frozen=True)
class Record:
    """What outlives the agent: which volume it is, and whether it was let go of."""

    uuid: str = ""
    released: bool = False


class Volume:
    """One guest's data volume."""

    def __init__(
        self, path: Path, record: Path, attached: Callable[[], Sequence[Path]] | None = None
    ) -> None:
        """`path`: where its files are; `attached`: gives the disks among which it is to be found,
        None where it is mounted without our doing."""
        self._path = path
        self._file = record
        self._attached = attached
        self._record = Record()
        if record.exists():
            self._record = codec.load(Record, json.loads(record.read_bytes()))

    @property
    def released(self) -> bool:
        """Whether it was let go of, and not taken again: nothing may use it."""
        return self._record.released

    @property
    def is_there(self) -> bool:
        """Whether its files can be used now."""
        return not self.released and (self._attached is None or mounts.at(self._path) is not None)

    def take(self) -> None:
        """Have it mounted, and formatted if it never was. May be repeated.

        Raise `Unavailable` while it is not attached, `Failed` if it is no volume of ours.
        """
        if self._attached is not None:
            self._mount(self._attached())
        self._remember(replace(self._record, released=False))

    def release(self) -> None:
        """Let go of it, so that it can be detached; raise `Busy` while something uses it."""
        self._remember(replace(self._record, released=True))
        if self._attached is not None:
            disks.unmount(self._path, PATIENCE)

    def usage(self) -> Usage:
        """Return how full it is; zeros while it is not mounted."""
        if self._attached is not None and mounts.at(self._path) is None:
            return Usage(0, 0)
        return volumes.usage(self._path)

    def _mount(self, attached: Sequence[Path]) -> None:
        disk = disks.choose([disks.look(path) for path in attached], self._record.uuid)
        if disk.content is not Content.VOLUME:
            LOG.info("formatting %s", disk.path.name)
            disk = disks.make_file_system(disk)
        self._remember(replace(self._record, uuid=disk.uuid))
        disks.mount(disk, self._path)
        LOG.info("the volume is %s", disk.path.name)

    def _remember(self, record: Record) -> None:
        if record != self._record:
            files.write(self._file, json.dumps(codec.dump(record)), mode=0o600)
            self._record = record
