"""What the program that starts a guest is told."""

import json
from dataclasses import asdict, dataclass


@dataclass(frozen=True)
class Order:
    """What the program needs to know; every path is the host's but `volumes`' second halves."""

    record: str
    """The server's record; the guest is started only while it says `launch`."""
    launch: str
    """The identity of this start."""
    lock: str
    pid_file: str
    console: str
    network: str
    """The guest's network namespace, as a file."""
    groups: tuple[str, ...]
    """Files that a process writes itself into to join the control groups."""
    lower: tuple[str, ...]
    """Layers of the root file system, the topmost first."""
    upper: str
    work: str
    root: str
    volumes: tuple[tuple[str, str], ...]
    """Image file and mount point of each."""
    hostname: str
    shared_memory: int
    """Bytes that /dev/shm may hold."""
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...]
    ipv6: bool
    """Whether it has IPv6 addresses."""

    def to_json(self) -> bytes:
        return json.dumps(asdict(self)).encode()
