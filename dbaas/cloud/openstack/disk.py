"""Make a disk that a machine boots from, with neither a loop device nor a mounted disk.

The disk has one partition with the root, which begins after 1 MiB. In front of it is GRUB as
grub-bios-setup would put it there: its first program in the first sector, the second one behind.
"""

import struct
from collections.abc import Sequence
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands

SECTOR = 512
FIRST = 2048
"""Sector in which the partition begins."""

LABEL = "dbaas-root"
"""Of the root's file system: the boot loader's configuration and fstab name it."""

FEATURES = "^metadata_csum_seed,^orphan_file"
"""What GRUB cannot read is left out."""

TOOLS = ("mke2fs", "qemu-img", "unshare", "mount")
"""What the host must have."""

MAKE_TIMEOUT = 900.0

MERGED = """
set -eu
merged=$1 layers=$2
shift 2
mount -t tmpfs none "$merged"
mkdir "$merged/root"
mount -t overlay none -o "ro,lowerdir=$layers" "$merged/root"
exec "$@"
"""
"""Runs a program that finds several directories as one, in a mount namespace of its own."""


def make(layers: Sequence[Path], target: Path, size_gib: int) -> None:
    """Write a qcow2 of this size; `layers` are the root, the topmost directory first.

    Raise `Failed` where they do not fit.
    """
    raw = target.with_name(target.name + ".raw")
    merged = target.with_name(target.name + ".root")
    try:
        with raw.open("wb") as file:
            file.truncate(size_gib << 30)
        merged.mkdir(exist_ok=True)
        _fill(raw, size_gib, layers, merged)
        _make_bootable(raw, size_gib, layers[-1] / "boot/grub")
        commands.run(
            ["qemu-img", "convert", "-c", "-O", "qcow2", "-o", "compression_type=zstd",
             str(raw), str(target)],
            timeout=MAKE_TIMEOUT,
        )  # fmt: skip
    finally:
        raw.unlink(missing_ok=True)
        merged.rmdir()


def _fill(raw: Path, size_gib: int, layers: Sequence[Path], merged: Path) -> None:
    start = FIRST * SECTOR
    program = [
        "mke2fs", "-q", "-F", "-t", "ext4", "-L", LABEL, "-m", "0", "-O", FEATURES,
        "-E", f"offset={start},lazy_itable_init=1,lazy_journal_init=1",
        "-d", str(merged / "root"), str(raw), f"{((size_gib << 30) - start) >> 10}k",
    ]  # fmt: skip
    lower = ":".join(str(layer) for layer in layers)
    private = ["unshare", "--mount", "--propagation", "private"]
    commands.run(
        [*private, "sh", "-c", MERGED, "sh", str(merged), lower, *program], timeout=MAKE_TIMEOUT
    )


def _make_bootable(raw: Path, size_gib: int, grub: Path) -> None:
    sectors = (size_gib << 30) // SECTOR
    written = front((grub / "boot.img").read_bytes(), (grub / "core.img").read_bytes(), sectors)
    with raw.open("r+b") as file:
        file.write(written)


def front(boot: bytes, core: bytes, sectors: int) -> bytes:
    """Return what comes before the partition of a disk of so many sectors.

    grub/i386/pc/boot.h: the first program has at 0x5c in which sector the second one begins, and
    at 0x66 a jump that is taken out for disks. The second one has at the end of its first sector
    where the rest is: sector, number of sectors, and the segment that it is loaded to.
    """
    second = bytearray(core)
    rest = -(-len(core) // SECTOR) - 1
    if 1 + 1 + rest > FIRST:
        raise errors.Failed("the boot loader does not fit in front of the partition")
    struct.pack_into("<QHH", second, SECTOR - 12, 2, rest, 0x820)
    first = bytearray(boot[:SECTOR])
    struct.pack_into("<Q", first, 0x5C, 1)
    first[0x66:0x68] = b"\x90\x90"
    first[440:] = _partition_table(sectors)
    return bytes(first + second)


def _partition_table(sectors: int) -> bytes:
    """One bootable Linux partition to the end; addresses by head and cylinder are not used."""
    anywhere = b"\xfe\xff\xff"
    entry = struct.pack("<B3sB3sII", 0x80, anywhere, 0x83, anywhere, FIRST, sectors - FIRST)
    return bytes(6) + entry + bytes(48) + b"\x55\xaa"
