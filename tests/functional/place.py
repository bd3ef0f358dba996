"""A place of its own for a whole stack: a network namespace, and a look at what was left there."""

import json
import os
import secrets
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbaas.cloud.local import kernel

OUTSIDE = f"/proc/self/fd/{os.open('/proc/self/ns/net', os.O_RDONLY | os.O_CLOEXEC)}"
"""The network that the tests were started in, for what has to be fetched from elsewhere.

Not that of process 1, which may be out of reach where a container shares the host's processes.
"""


@contextmanager
def network_namespace() -> Iterator[Path]:
    """Make a network namespace with a loopback interface and nothing else; give its file."""
    name = f"t{secrets.token_hex(5)}"
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        subprocess.run(["ip", "-n", name, "link", "set", "lo", "up"], check=True)
        yield Path("/run/netns") / name
    finally:
        subprocess.run(["ip", "netns", "delete", name], check=True)


@contextmanager
def inside(namespace: Path | str) -> Iterator[None]:
    """Have the main thread, and whatever it starts meanwhile, in this network namespace.

    A namespace belongs to a thread, and a new thread or process gets its creator's: so the tests
    make requests, open sockets and run programs as if nothing were special.
    """
    assert threading.current_thread() is threading.main_thread()
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    there = os.open(namespace, os.O_RDONLY | os.O_CLOEXEC)
    try:
        kernel.setns(there, kernel.CLONE_NEWNET)
        yield
    finally:
        kernel.setns(here, kernel.CLONE_NEWNET)
        os.close(here)
        os.close(there)


def interfaces() -> set[str]:
    """Return the names of the interfaces of the namespace that we are in."""
    listed = json.loads(_output("ip", "-json", "link"))
    return {str(link["ifname"]) for link in listed}


def firewall() -> str:
    return _output("nft", "list", "tables").strip()


def loop_devices_on(directory: Path) -> list[str]:
    """Return the files below the directory that a loop device is still on."""
    devices = json.loads(_output("losetup", "--json", "--list") or '{"loopdevices": []}')
    files = [str(device["back-file"]) for device in devices["loopdevices"]]
    return [file for file in files if file.startswith(f"{directory}/")]


def mounts_of(directory: Path) -> list[str]:
    """Return the mounts of the directory, in any process's mount namespace."""
    found = set()
    for table in Path("/proc").glob("[0-9]*/mountinfo"):
        try:
            lines = table.read_text().splitlines()
        except OSError:
            continue
        found |= {line for line in lines if f"{directory}/" in line}
    return sorted(found)


def _output(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout
