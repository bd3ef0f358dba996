"""Volumes without root: directories. Nothing holds them to their size."""

import shutil
import uuid
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from dbaas.cloud.base import Volume, VolumeOrder, VolumeState
from dbaas.cloud.local.records import Records
from dbaas.cloud.local.settings import expect_zone
from dbaas.cloud.loopback.settings import Settings
from dbaas.contract import errors


class LoopbackVolumes:
    """Each is `volumes/<name>` under the state directory, and its record."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = settings.state_dir / "volumes"
        self._records = Records(self._directory)

    def find_volume(self, name: str) -> Volume | None:
        return self.volumes([name]).get(name)

    def volumes(self, names: Collection[str] | None = None) -> dict[str, Volume]:
        records = self._records.all(names)
        return {name: _volume(name, record) for name, record in records.items()}

    def create_volume(self, order: VolumeOrder) -> Volume:
        if order.size_gib < 1:
            raise errors.Invalid("a volume has at least 1 GiB")
        expect_zone(self._settings.availability_zone, order.availability_zone)
        with self._records.lock(order.name):
            if self._records.get(order.name):
                raise errors.Conflict(f"the volume {order.name} exists")
            with suppress(FileNotFoundError):  # of a maker that was killed before the record
                shutil.rmtree(self.path(order.name))
            self.path(order.name).mkdir(mode=0o700)
            record = {"id": str(uuid.uuid4()), "size_gib": order.size_gib, "server": None}
            self._records.put(order.name, record)
        return _volume(order.name, record)

    def extend_volume(self, name: str, size_gib: int) -> Volume:
        record = self._existing(name)
        if size_gib < record["size_gib"]:
            raise errors.Invalid(f"{name} has {record['size_gib']} GiB and cannot shrink")
        if size_gib > record["size_gib"]:
            raise errors.Unsupported(
                "Volumes cannot grow here: without root they are directories, as large as the disk "
                "that they are on."
            )
        return _volume(name, record)

    def delete_volume(self, name: str) -> None:
        with self._records.lock(name):
            record = self._records.get(name)
            if record is None:
                return
            if record["server"] is not None:
                raise errors.Busy(f"{name} is attached to {record['server']}")
            with suppress(FileNotFoundError):
                shutil.rmtree(self.path(name))
            self._records.remove(name)

    def path(self, name: str) -> Path:
        return self._directory / name

    def attach(self, name: str, server: str) -> None:
        with self._records.lock(name):
            record = self._existing(name)
            if record["server"] not in (None, server):
                raise errors.Conflict(f"the volume {name} cannot be attached now")
            self._records.put(name, record | {"server": server})

    def detach(self, name: str, server: str) -> None:
        """Take the volume from the server, which does not run. May be repeated."""
        with self._records.lock(name):
            record = self._records.get(name)
            if record is not None and record["server"] == server:
                self._records.put(name, record | {"server": None})

    def _existing(self, name: str) -> dict[str, Any]:
        record = self._records.get(name)
        if record is None:
            raise errors.NotFound(f"there is no volume {name}")
        return record


def _volume(name: str, record: Mapping[str, Any]) -> Volume:
    state = VolumeState.IN_USE if record["server"] is not None else VolumeState.AVAILABLE
    return Volume(name, record["id"], state, record["size_gib"], record["server"])
