"""Process 1 of the box: gives it mounts of its own, then becomes its supervisor.

`python -m tests.openstack.osbox.first NETWORK PID_FILE`.
"""

import os
import socket
import subprocess
import sys
from pathlib import Path

from dbaas.cloud.local import kernel
from dbaas.host import files
from tests.openstack.osbox import addresses, cinder, libvirt, place, shared
from tests.openstack.osbox.place import HOME

_NAMES = f"""\
127.0.0.1 localhost osbox
{addresses.GATEWAY} api.osbox
::1 localhost ip6-localhost
"""

_RUN = ("lock", "netns", "libvirt", "sudo", "nova", "user")
"""Directories that programs expect in /run."""


def main(network: str, pid_file: str) -> None:
    """Make the namespaces; return here, and go on in a child that is in them."""
    kernel.setns(os.open(network, os.O_RDONLY | os.O_CLOEXEC), kernel.CLONE_NEWNET)
    kernel.unshare(
        kernel.CLONE_NEWNS | kernel.CLONE_NEWUTS | kernel.CLONE_NEWIPC | kernel.CLONE_NEWPID
    )
    if pid := os.fork():
        files.write(Path(pid_file), str(pid))
        return
    os.setsid()
    os.umask(0o022)
    socket.sethostname("osbox")
    _mount_all()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    supervisord = [sys.executable, "-m", "supervisor.supervisord", "--nodaemon", "--silent"]
    os.execv(sys.executable, [*supervisord, "-c", str(HOME.supervisor_configuration)])


def _mount_all() -> None:
    _mount("--make-rprivate", "/")
    _mount("-t", "proc", "proc", "/proc")
    _mount("-t", "sysfs", "sysfs", "/sys")  # it shows the interfaces of who mounts it
    _mount("-t", "tmpfs", "-o", "mode=755", "osbox-run", "/run")
    for name in _RUN:
        Path("/run", name).mkdir()
    for ours, theirs in (
        (HOME.settings / "swift", "/etc/swift"),
        (HOME.settings / "libvirt", "/etc/libvirt"),
        (libvirt.servers(), "/etc/libvirt/qemu"),
        (place.state("libvirt", "lib"), "/var/lib/libvirt"),
        (HOME.cache, "/var/cache/libvirt"),
        (place.state("libvirt", "log"), "/var/log/libvirt"),
    ):
        Path(theirs).mkdir(parents=True, exist_ok=True)
        _mount("--bind", str(ours), theirs)
    for name, text in (("hosts", _NAMES), ("resolv.conf", "nameserver 127.0.0.1\n")):
        _mount("--bind", str(shared.write_text(name, text)), f"/etc/{name}")
    lower = f"lowerdir={place.programs()}:/usr/sbin"
    _mount("-t", "overlay", "-o", lower, "osbox-sbin", "/usr/sbin")
    _mount("-o", "loop,discard,noatime", str(cinder.make_export()), str(cinder.export()))
    _hide_accelerator()


def _hide_accelerator() -> None:
    """libvirt must find it unusable: else it asks qemu what it can anew for every guest."""
    if Path("/dev/kvm").exists():
        _mount("--bind", str(shared.write_text("no-kvm", "")), "/dev/kvm")
        _mount("-o", "remount,bind,ro", "/dev/kvm")


def _mount(*words: str) -> None:
    subprocess.run(["mount", *words], check=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
