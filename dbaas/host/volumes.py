"""The data volume as the agent sees it: how full it is, and using what it has grown by."""

import fcntl
import os
import stat
import struct
from dataclasses import dataclass
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands, mounts

GEOMETRY = 0x80705864
"""XFS_IOC_FSGEOMETRY_V1 of xfs_fs.h: `_IOR('X', 100, struct xfs_fsop_geom_v1)`."""

ROUNDING = 1 << 20
"""Bytes at a device's end that XFS leaves unused when they make no allocation group."""

MIB = 1 << 20


@dataclass(frozen=True)
class Usage:
    """Bytes that files can have, and that they have."""

    total: int
    used: int


def usage(path: Path) -> Usage:
    """Return how full the file system is that `path` is on."""
    room = os.statvfs(path)
    return Usage(room.f_blocks * room.f_frsize, (room.f_blocks - room.f_bfree) * room.f_frsize)


def grow(path: Path, size: int) -> Usage:
    """Let the file system mounted at `path` use its device up to at least `size` bytes.

    Raise `Unavailable` while the device, or the file system that its owner grows, is still smaller.
    """
    if _size(path) < size - ROUNDING and _device_size(path) >= size - ROUNDING:
        commands.run(["xfs_growfs", "-d", str(path)], timeout=60.0)
    reached = _size(path)
    if reached < size - ROUNDING:
        raise errors.Unavailable(
            f"the volume has {reached // MIB} MiB so far, not the {size // MIB} MiB ordered"
        )
    return usage(path)


def _size(path: Path) -> int:
    """Return the whole file system's size in bytes, with what XFS keeps for itself."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        geometry = fcntl.ioctl(handle, GEOMETRY, bytes(112))
    except OSError:
        return usage(path).total
    finally:
        os.close(handle)
    (block_size,) = struct.unpack_from("=I", geometry, 0)
    (blocks,) = struct.unpack_from("=Q", geometry, 32)
    return int(block_size * blocks)


def _device_size(path: Path) -> int:
    """Return the size in bytes of the device below; 0 when there is none that we may open.

    In a namespace the device belongs to the host, which grows the file system itself.
    """
    device = _device(path)
    if device is None:
        return 0
    try:
        handle = os.open(device, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return 0
    try:
        return os.lseek(handle, 0, os.SEEK_END)
    finally:
        os.close(handle)


def _device(path: Path) -> Path | None:
    mount = mounts.at(path)
    if mount is None or not mount.source.exists() or not stat.S_ISBLK(mount.source.stat().st_mode):
        return None
    return mount.source
