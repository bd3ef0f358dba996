"""Volumes of the local provider: sparse files with an XFS in them, which grow while in use."""

import os
import time
import uuid
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from dbaas.cloud.base import Volume, VolumeOrder, VolumeState
from dbaas.cloud.local import kernel, processes
from dbaas.cloud.local.records import Records
from dbaas.cloud.local.settings import LAUNCH_LOCK, PID_FILE, Settings, expect_zone
from dbaas.contract import errors
from dbaas.host import commands, disks, files

GIB = 1024**3

RELEASE_TIMEOUT = 20.0
"""Seconds that the kernel gets to let go of a loop device after its last user has gone."""


class LocalVolumes:
    """Each is `volumes/<name>.xfs` under the state directory, and its record."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._directory = settings.state_dir / "volumes"
        self._records = Records(self._directory)

    def find_volume(self, name: str) -> Volume | None:
        return self.volumes([name]).get(name)

    def volumes(self, names: Collection[str] | None = None) -> dict[str, Volume]:
        records = self._records.all(names)
        return {name: self._volume(name, record) for name, record in records.items()}

    def create_volume(self, order: VolumeOrder) -> Volume:
        if order.size_gib < 1:
            raise errors.Invalid("a volume has at least 1 GiB")
        expect_zone(self._settings.availability_zone, order.availability_zone)
        with self._records.lock(order.name):
            if self._records.get(order.name):
                raise errors.Conflict(f"the volume {order.name} exists")
            record: dict[str, Any] = {
                "id": str(uuid.uuid4()),
                "size_gib": order.size_gib,
                "server": None,
                "made": False,
            }
            self._records.put(order.name, record)
            self._make(order)
            record["made"] = True
            self._records.put(order.name, record)
        return self._volume(order.name, record)

    def _make(self, order: VolumeOrder) -> None:
        image = self.image(order.name)
        handle = os.open(image, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.ftruncate(handle, order.size_gib * GIB)
        finally:
            os.close(handle)
        commands.run([*disks.MAKE_XFS, "-f", str(image)], timeout=disks.MKFS_TIMEOUT)

    def extend_volume(self, name: str, size_gib: int) -> Volume:
        """Grow the file, its loop device and the file system on it, each if it is too small.

        The record is last: one that was interrupted is done again from the start.
        """
        with self._records.lock(name):
            record = self._existing(name)
            if size_gib < record["size_gib"]:
                raise errors.Invalid(f"{name} has {record['size_gib']} GiB and cannot shrink")
            if not record["made"]:
                raise errors.Busy(f"{name} is not made yet")
            with self._no_start_of(record["server"]):
                os.truncate(self.image(name), size_gib * GIB)
                for device in kernel.loop_devices(self.image(name)):
                    kernel.loop_resized(device)
                    self._grow(record, device, size_gib * GIB)
            record["size_gib"] = size_gib
            self._records.put(name, record)
        return self._volume(name, record)

    def _no_start_of(self, server: str | None) -> AbstractContextManager[None]:
        """Keep the server from mounting it meanwhile: a start grows what it mounts."""
        if server is None or not self._settings.server_dir(server).is_dir():
            return nullcontext()
        return files.lock(self._settings.server_dir(server) / LAUNCH_LOCK)

    def _grow(self, record: Mapping[str, Any], device: str, size: int) -> None:
        """Reach the mounted file system through the guest's first process.

        The guest chooses what is at its mount point, so it is used only if it is the very device.
        """
        pid = processes.running(self._settings.server_dir(record["server"]) / PID_FILE)
        if pid is None:
            return
        handle = os.open(f"/proc/{pid}/root{record['at']}", os.O_RDONLY | os.O_DIRECTORY)
        try:
            number = Path(f"/sys/block/{device}/dev").read_text().strip()
            found = os.fstat(handle).st_dev
            if number != f"{os.major(found)}:{os.minor(found)}":
                raise errors.Failed("the guest has something else where its volume should be")
            kernel.grow_xfs(handle, size)
        finally:
            os.close(handle)

    def delete_volume(self, name: str) -> None:
        with self._records.lock(name):
            record = self._records.get(name)
            if record is None:
                return
            if record["server"] is not None:
                raise errors.Busy(f"{name} is attached to {record['server']}")
            self.wait_until_released(name)
            self.image(name).unlink(missing_ok=True)
            self._records.remove(name)

    def image(self, name: str) -> Path:
        return self._directory / f"{name}.xfs"

    def attach(self, name: str, server: str, at: str) -> None:
        """Give the volume to the server, which finds it at the path `at` when it starts."""
        with self._records.lock(name):
            record = self._existing(name)
            if record["server"] not in (None, server) or not record["made"]:
                raise errors.Conflict(f"the volume {name} cannot be attached now")
            self._records.put(name, record | {"server": server, "at": at})

    def detach(self, name: str, server: str) -> None:
        """Take the volume from the server, which does not run. May be repeated."""
        with self._records.lock(name):
            record = self._records.get(name)
            if record is not None and record["server"] == server:
                self._records.put(name, record | {"server": None, "at": ""})

    def wait_until_released(self, name: str) -> None:
        """Return when no loop device is over the image: two at once would destroy it."""
        deadline = time.monotonic() + RELEASE_TIMEOUT
        while kernel.loop_devices(self.image(name)):
            if time.monotonic() > deadline:
                raise errors.Busy(f"the kernel still uses the volume {name}")
            time.sleep(0.002)

    def _existing(self, name: str) -> dict[str, Any]:
        record = self._records.get(name)
        if record is None:
            raise errors.NotFound(f"there is no volume {name}")
        return record

    def _volume(self, name: str, record: Mapping[str, Any]) -> Volume:
        if record["server"] is not None:
            state = VolumeState.IN_USE
        elif record["made"]:
            state = VolumeState.AVAILABLE
        else:  # its maker is at work, or was killed
            at_work = self._records.is_locked(name)
            state = VolumeState.CREATING if at_work else VolumeState.ERROR
        interrupted = state is VolumeState.ERROR
        return Volume(name, record["id"], state, record["size_gib"], record["server"], interrupted)
