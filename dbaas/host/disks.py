"""The machine's disks: which of them is the data volume; formatting it once, mounting it.

A disk is formatted only if nothing at its ends says that it holds something: that is where file
systems, partition tables, volume managers and encryption have their signatures.
"""

import errno
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands, mounts

LABEL = "dbaas-volume"
"""Of the file system on a volume: XFS has room for twelve characters."""

MAKE_XFS = ("mkfs.xfs", "-q", "-K", "-m", "reflink=1", "-s", "size=4096")
"""XFS, since nothing else grows online on every kernel; reflinks make copies cheap. Its sectors are
as large as those of any disk to which a volume may be moved."""

MKFS_TIMEOUT = 120.0
MOUNT_TIMEOUT = 120.0
"""Seconds; the file system may have to read its log first."""

END = 1 << 20
"""Bytes at each end of a disk that are looked at."""

NOT_DISKS = ("dm-", "fd", "loop", "md", "nbd", "ram", "sr", "zram")
"""How the names of block devices begin that no volume is attached as."""

CLOUDS_OWN = (b"config-2", b"CONFIG-2", b"ephemeral", b"SWAPSPACE2")
"""What is on the disks that a cloud gives a server unasked: config drive, ephemeral disk, swap."""

PAUSE = 0.05
"""Seconds between two attempts to unmount."""


class Content(StrEnum):
    BLANK = "nothing"
    VOLUME = "the file system of a volume"
    UNFINISHED = "a volume's file system whose making was cut short"
    CLOUDS_OWN = "the cloud's own"
    USED = "in use by something else"
    OTHER = "something else"


@dataclass(frozen=True)
class Disk:
    """A whole disk, and what it holds; `number` is the device as `major:minor`."""

    path: Path
    content: Content
    uuid: str = ""
    """Of its file system, if that is a volume's."""
    number: str = ""


def attached() -> list[Path]:
    """Return the device files of the machine's disks; partitions are not disks."""
    return [
        Path("/dev") / block.name
        for block in sorted(Path("/sys/block").iterdir())
        if not block.name.startswith(NOT_DISKS) and (block / "size").read_text().strip() != "0"
    ]


def look(path: Path) -> Disk:
    """Return what is on this disk; raise `Unavailable` if it cannot be read, or has just gone."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            size = os.lseek(handle, 0, os.SEEK_END)
            head = os.pread(handle, END, 0)
            tail = os.pread(handle, END, max(0, size - END))
            device = os.fstat(handle).st_rdev
        finally:
            os.close(handle)
    except OSError as error:
        raise errors.Unavailable(f"{path.name} cannot be read: {error.strerror}") from error
    content, uuid = _recognised(head, tail)
    if content in (Content.BLANK, Content.OTHER) and _is_used(path):
        content = Content.USED
    return Disk(path, content, uuid, f"{os.major(device)}:{os.minor(device)}")


def _recognised(head: bytes, tail: bytes) -> tuple[Content, str]:
    """Return what these ends of a disk are those of, and the UUID of a volume's file system.

    struct xfs_dsb of xfs_format.h: UUID at 32, label at 108, "mkfs in progress" at 126.
    """
    if head[:4] == b"XFSB" and head[108:120] == LABEL.encode():
        content = Content.UNFINISHED if head[126] else Content.VOLUME
        return content, head[32:48].hex()
    if not (head.strip(b"\0") or tail.strip(b"\0")):
        return Content.BLANK, ""
    if any(mark in head for mark in CLOUDS_OWN):
        return Content.CLOUDS_OWN, ""
    return Content.OTHER, ""


def _is_used(path: Path) -> bool:
    """Tell whether it, or a partition of it, is mounted or part of something: open(2), O_EXCL."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_EXCL | os.O_CLOEXEC))
    except OSError as error:
        return error.errno == errno.EBUSY
    return False


def choose(disks: Sequence[Disk], uuid: str) -> Disk:
    """Return the volume: the disk with this file system, or, where `uuid` is empty, with any.

    Without such a one it is the blank disk. Raise `Unavailable` while there is none, and `Failed`
    where it cannot be told which it is, or where what is there is not to be touched.
    """
    found = [disk for disk in disks if disk.uuid and disk.uuid == (uuid or disk.uuid)]
    if not found and not uuid:
        found = [disk for disk in disks if disk.content is Content.BLANK]
    if len(found) > 1:
        raise errors.Failed(f"there are several volumes: {_names(found)}")
    if found:
        return found[0]
    others = [disk for disk in disks if disk.content is Content.OTHER]
    if others and not uuid:
        raise errors.Failed(f"the volume is not empty, and no volume of ours: {_names(others)}")
    raise errors.Unavailable("the volume is not attached")


def _names(disks: Sequence[Disk]) -> str:
    return ", ".join(disk.path.name for disk in disks)


def make_file_system(disk: Disk) -> Disk:
    """Format a blank disk, or one whose formatting was cut short; return what it is then.

    It ends with the agent that began it, so that two never format one disk.
    """
    again = ["-f"] if disk.content is Content.UNFINISHED else []
    program = ["setpriv", "--pdeathsig", "KILL", *MAKE_XFS, *again, "-L", LABEL, str(disk.path)]
    commands.run(program, timeout=MKFS_TIMEOUT)
    made = look(disk.path)
    if made.content is not Content.VOLUME:
        raise errors.Failed(f"{disk.path.name} does not keep what is written to it")
    return made


def mount(disk: Disk, at: Path) -> None:
    """Mount it there, unless it is; what is left there of a disk that has gone makes room."""
    there = mounts.at(at)
    if there is not None and there.number == disk.number:
        return
    if there is not None:
        commands.run(["umount", "--lazy", str(at)], timeout=MOUNT_TIMEOUT)
    at.mkdir(parents=True, exist_ok=True)
    options = ["-t", "xfs", "-o", "noatime,nodev,nosuid"]
    commands.run(["mount", *options, str(disk.path), str(at)], timeout=MOUNT_TIMEOUT)


def unmount(at: Path, patience: float) -> None:
    """Unmount what is there, if anything is; raise `Busy` if it is still used after `patience`."""
    deadline = time.monotonic() + patience
    while mounts.at(at) is not None:
        try:
            commands.run(["umount", str(at)], timeout=MOUNT_TIMEOUT)
        except errors.Failed as error:
            if time.monotonic() > deadline:
                raise errors.Busy("the volume is still used") from error
            time.sleep(PAUSE)
