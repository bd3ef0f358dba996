"""Start one guest: a program of its own, so that the guest is nobody's child and in no one's way.

It reads an `Order` as JSON on its input and has the guest's first process running when it ends with
0. Nothing that it makes outlives the guest's processes: mounts are in a mount namespace that nobody
else is in, loop devices free themselves with the last mount.

Whoever ordered it may be killed at any instant, and this program too:

- it takes the guest's launch lock and then looks whether the server is still to be started, so an
  order that comes late does nothing;
- the first process waits until its number is on disk, and dies with this program until then.

It runs without Python's site packages, and imports little: every millisecond of its start is one of
the guest's.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import stat
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

from dbaas.cloud.local import kernel, processes, seccomp
from dbaas.host import files

TYPE_CHECKING = False  # the module typing would take five milliseconds
if TYPE_CHECKING:
    from dbaas.cloud.local.orders import Order

CAPABILITIES = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "NET_BIND_SERVICE": 10,
}
"""All that root has in a guest: enough to run an engine as its own user. Above all none to mount,
load, trace, make devices, open files by handle, set the clock or the network."""

READ_ONLY = ("/proc/sys", "/proc/sysrq-trigger", "/proc/irq", "/proc/bus", "/proc/fs")
HIDDEN = ("/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/latency_stats", "/proc/acpi")
"""Root in a guest is root's user id outside, and these belong to it."""

_SANE = kernel.MS_NOSUID | kernel.MS_NODEV


def main() -> int:
    order: Order = json.load(sys.stdin, object_hook=lambda fields: SimpleNamespace(**fields))
    try:
        with files.lock(Path(order.lock)):
            record = json.loads(Path(order.record).read_text())
            if record.get("launch") != order.launch:
                raise ProcessLookupError("the server is not to be started any more")
            _start(order)
    except OSError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _start(order: Order) -> None:
    os.setsid()
    os.umask(0o022)
    volumes = [(_prepared(image), at) for image, at in order.volumes]
    for group in order.groups:
        Path(group).write_text("0")
    network = os.open(order.network, os.O_RDONLY | os.O_CLOEXEC)
    kernel.setns(network, kernel.CLONE_NEWNET)
    kernel.unshare(
        kernel.CLONE_NEWNS
        | kernel.CLONE_NEWPID
        | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWIPC
        | kernel.CLONE_NEWCGROUP
    )
    go_read, go_write = os.pipe()
    said_read, said_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(go_write)
        _first_process(order, volumes, go_read, said_write)
    os.close(go_read)
    os.close(said_write)
    processes.remember(Path(order.pid_file), child)
    os.write(go_write, b"g")
    os.close(go_write)
    if said := os.read(said_read, 1000):  # nothing is said when the guest's program has begun
        os.waitpid(child, 0)
        raise OSError(said.decode())


def _prepared(image: str) -> int:
    """Return a handle of the volume's file system, as large as its image is now."""
    device = kernel.loop_device(image)
    try:
        mounted = kernel.prepared_xfs(str(Path(f"/proc/self/fd/{device}").readlink()))
    finally:
        os.close(device)
    directory = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mounted)
    kernel.grow_xfs(directory, Path(image).stat().st_size)
    os.close(directory)
    return mounted


def _first_process(
    order: Order, volumes: list[tuple[int, str]], go: int, said: int
) -> None:  # pragma: no cover  # becomes the guest
    try:
        kernel.die_with_parent(signal.SIGKILL)
        if not os.read(go, 1):  # the parent died before it wrote our number down
            os._exit(1)
        _make_root(order)
        for mounted, at in volumes:
            Path(at).mkdir(parents=True, exist_ok=True)
            kernel.attach(mounted, at)
            os.close(mounted)
        _make_proc_and_dev(order)
        _become(order)
    except BaseException as error:  # noqa: BLE001  # there is nobody above to catch it
        os.write(said, str(error).encode()[:1000])
    os._exit(1)


def _make_root(order: Order) -> None:
    """Enter the guest's root; from here on every path, link and name is the guest's own."""
    kernel.mount("none", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
    layers = f"lowerdir={':'.join(order.lower)},upperdir={order.upper},workdir={order.work}"
    console = os.open(order.console, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600)
    for handle in (1, 2):
        os.dup2(console, handle)
    os.close(console)
    kernel.mount("overlay", order.root, "overlay", 0, layers)
    os.chdir(order.root)
    kernel.pivot_root(".", ".")
    kernel.detach(".")  # the old root, which lies on top of the new one
    os.chdir("/")


def _make_proc_and_dev(order: Order) -> None:
    kernel.mount("proc", "/proc", "proc", _SANE | kernel.MS_NOEXEC)
    Path("/proc/sys/kernel/hostname").write_text(order.hostname)
    _limit_ipv6(order)
    kernel.mount("devpts", "/dev/pts", "devpts", kernel.MS_NOSUID, "newinstance,ptmxmode=0666")
    kernel.mount("shm", "/dev/shm", "tmpfs", _SANE, f"mode=1777,size={order.shared_memory}")  # noqa: S108
    kernel.mount("run", "/run", "tmpfs", _SANE, "mode=755,size=64m")
    for path in HIDDEN:
        with suppress(FileNotFoundError):
            if stat.S_ISDIR(Path(path).stat().st_mode):
                kernel.mount("none", path, "tmpfs", _SANE | kernel.MS_RDONLY, "size=0")
            else:
                kernel.mount("/dev/null", path, "", kernel.MS_BIND)
    for path in READ_ONLY:
        with suppress(FileNotFoundError):
            kernel.mount(path, path, "", kernel.MS_BIND | kernel.MS_REC)
            flags = kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | kernel.MS_NOEXEC
            kernel.mount("none", path, "", flags | _SANE)


def _limit_ipv6(order: Order) -> None:
    """Have it without IPv6, or with the addresses that it was given and no others."""
    interfaces = Path("/proc/sys/net/ipv6/conf")
    if interfaces.is_dir():  # a kernel with IPv6
        if not order.ipv6:
            (interfaces / "all/disable_ipv6").write_text("1")
        for interface in interfaces.iterdir():
            for source in ("accept_ra", "autoconf", "accept_redirects"):
                (interface / source).write_text("0")


def _become(order: Order) -> None:
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for number in signal.valid_signals():
        with suppress(OSError, ValueError):
            signal.signal(number, signal.SIG_DFL)
    os.setgroups([])
    kernel.limit_capabilities(frozenset(CAPABILITIES.values()))
    if filtered := seccomp.program(os.uname().machine):
        kernel.filter_calls(filtered)
    null = os.open("/dev/null", os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    kernel.die_with_parent(0)
    os.execve(order.command[0], order.command, dict(order.environment))  # noqa: S606  # no shell
