"""The system calls of Linux that Python's library does not have, each as one function.

The numbers of the calls that glibc 2.36 lacks (mount API: fsopen and its kin, since Linux 5.2) are
the same on every architecture. All raise `OSError` with the kernel's error.
"""

import ctypes
import fcntl
import os
import struct
from pathlib import Path

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18

_MNT_DETACH = 2
_FSOPEN, _FSCONFIG, _FSMOUNT, _MOVE_MOUNT = 430, 431, 432, 429
_FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 1, 6
_MOVE_MOUNT_F_EMPTY_PATH = 4
_MOUNT_ATTR_NOSUID, _MOUNT_ATTR_NODEV, _MOUNT_ATTR_NOATIME = 2, 4, 16
_AT_FDCWD = -100

_PR_SET_PDEATHSIG = 1
_PR_CAPBSET_DROP = 24
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITY_VERSION_3 = 0x20080522

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_SET_CAPACITY = 0x4C07
_LOOP_SET_DIRECT_IO = 0x4C08
_LO_FLAGS_AUTOCLEAR = 4
_LO_FLAGS_DIRECT_IO = 16
_LOOP_MAJOR = 7
_LOOP_ATTEMPTS = 50

_XFS_IOC_FSGEOMETRY_V1 = 0x80705864  # _IOR('X', 100, 112 bytes)
_XFS_IOC_FSGROWFSDATA = 0x4010586E  # _IOW('X', 110, 16 bytes)

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def setns(handle: int, kind: int) -> None:
    """Move the calling thread into the namespace behind `handle`."""
    _checked(_libc.setns(ctypes.c_int(handle), ctypes.c_int(kind)), "setns")


def mount(source: str, target: str, kind: str, flags: int = 0, data: str = "") -> None:
    result = _libc.mount(
        source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), data.encode()
    )
    _checked(result, f"mount {target}")


def detach(target: str) -> None:
    """Unmount now as far as names go, and wholly when its last user is gone."""
    _checked(_libc.umount2(target.encode(), _MNT_DETACH), f"umount {target}")


def pivot_root(new: str, old: str) -> None:
    _checked(_libc.pivot_root(new.encode(), old.encode()), "pivot_root")


def prepared_xfs(device: str) -> int:
    """Return a handle of the device's file system, mounted nowhere yet."""
    context = _checked(_libc.syscall(_FSOPEN, b"xfs", 0), "fsopen xfs")
    try:
        _fsconfig(context, _FSCONFIG_SET_STRING, b"source", device.encode())
        _fsconfig(context, _FSCONFIG_CMD_CREATE, None, None)
        attributes = _MOUNT_ATTR_NOSUID | _MOUNT_ATTR_NODEV | _MOUNT_ATTR_NOATIME
        return _checked(_libc.syscall(_FSMOUNT, context, 0, attributes), f"fsmount {device}")
    finally:
        os.close(context)


def _fsconfig(context: int, command: int, key: bytes | None, value: bytes | None) -> None:
    _checked(_libc.syscall(_FSCONFIG, context, command, key, value, 0), f"fsconfig {key!r}")


def attach(mounted: int, target: str) -> None:
    """Put what `prepared_xfs` returned at a path of the caller's own root."""
    result = _libc.syscall(
        _MOVE_MOUNT, mounted, b"", _AT_FDCWD, target.encode(), _MOVE_MOUNT_F_EMPTY_PATH
    )
    _checked(result, f"move_mount {target}")


def die_with_parent(signal: int) -> None:
    """Ask for `signal` when the parent dies; 0 takes it back."""
    _checked(_libc.prctl(_PR_SET_PDEATHSIG, signal, 0, 0, 0), "prctl")


def adopt_orphans() -> None:
    """Be the parent of all descendants whose own has ended, in the place of process 1."""
    _checked(_libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0), "prctl")


def limit_capabilities(kept: frozenset[int]) -> None:
    """Keep these capabilities (numbers of capabilities(7)) and never get another."""
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in range(last + 1):
        if number not in kept:
            _checked(_libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0), f"drop capability {number}")
    bits = sum(1 << number for number in kept)
    low, high = bits & 0xFFFFFFFF, bits >> 32
    header = struct.pack("=Ii", _CAPABILITY_VERSION_3, 0)
    _checked(_libc.capset(header, struct.pack("=6I", low, low, 0, high, high, 0)), "capset")
    _checked(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "no_new_privs")


def filter_calls(program: bytes) -> None:
    """Have the kernel run this filter (8 bytes an instruction) on every later system call."""
    instructions = ctypes.create_string_buffer(program, len(program))
    whole = struct.pack("@HP", len(program) // 8, ctypes.addressof(instructions))
    _checked(_libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, whole, 0, 0), "seccomp")


def loop_device(image: str) -> int:
    """Return a handle of a loop device over the file; it goes away with its last user.

    Direct I/O, where the file's own file system has it: data is cached once, in the guest's memory,
    and written a few times faster. The device's sectors may then be of 4096 bytes.

    The layout is struct loop_config of linux/loop.h (Linux 5.8): one that is wrong by a word would
    silently lose the flag that frees the device.
    """
    backing = os.open(image, os.O_RDWR | os.O_CLOEXEC)
    try:
        flags = _LO_FLAGS_AUTOCLEAR | _LO_FLAGS_DIRECT_IO
        info = struct.pack("=5Q4I64s64s32s2Q", *(0,) * 8, flags, b"", b"", b"", 0, 0)
        config = struct.pack("=2I", backing, 0) + info + bytes(64)
        for _ in range(_LOOP_ATTEMPTS):
            handle = _free_loop_device()
            try:
                fcntl.ioctl(handle, _LOOP_CONFIGURE, config)
            except BlockingIOError:
                os.close(handle)
            except OSError as error:
                os.close(handle)
                if error.errno != 16:  # EBUSY: somebody else was faster
                    raise
            else:
                return handle
        raise OSError(16, "no loop device is free")
    finally:
        os.close(backing)


def _free_loop_device() -> int:
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        number = fcntl.ioctl(control, _LOOP_CTL_GET_FREE)
    finally:
        os.close(control)
    path = f"/dev/loop{number}"
    if not Path(path).exists():
        os.mknod(path, 0o60660, os.makedev(_LOOP_MAJOR, number))
    return os.open(path, os.O_RDWR | os.O_CLOEXEC)


def loop_devices(image: Path) -> list[str]:
    """Return the names, like `loop3`, of the devices over this file."""
    found = []
    whole = os.path.realpath(image)
    for backing in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            over = backing.read_text().strip()
        except OSError:  # it went away in between
            continue
        if over == whole:
            found.append(backing.parts[3])
    return found


def loop_resized(device: str) -> None:
    """Tell a loop device that its file has another size."""
    handle = os.open(f"/dev/{device}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.ioctl(handle, _LOOP_SET_CAPACITY)
    finally:
        os.close(handle)


def grow_xfs(directory: int, size: int) -> None:
    """Grow the mounted XFS that the open directory is on to `size` bytes; never shrinks it.

    struct xfs_fsop_geom_v1 begins with block size, real-time extent size, group blocks, number of
    groups, log blocks, sector size, inode size and the inodes' percentage, then data blocks.
    """
    geometry = fcntl.ioctl(directory, _XFS_IOC_FSGEOMETRY_V1, bytes(112))
    block, *_, inode_percent, blocks = struct.unpack_from("=8IQ", geometry)
    if size // block > blocks:
        order = struct.pack("=QI4x", size // block, inode_percent)
        fcntl.ioctl(directory, _XFS_IOC_FSGROWFSDATA, order)
