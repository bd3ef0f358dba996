"""Runs the API, or what it is compared with, as a process of its own, and reads what it takes."""

import base64
import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import bcrypt

from dbaas.common import certificates
from dbaas.manage.stack import processes
from dbaas.manage.stack.settings import ini
from tests.bench import wire
from tests.bus_server import BusServer

PASSWORD = "p4ss"
WORKERS, THREADS = 1, 8
PATIENCE = 30.0


@dataclass(frozen=True)
class Service:
    """A process that serves; `seconds` it took from its start to its first answer."""

    pid: int
    port: int
    seconds: float

    def cpu(self) -> float:
        """Return the CPU seconds that it and its descendants took so far."""
        nanoseconds = 0
        for pid in processes.family(self.pid):
            for task in Path(f"/proc/{pid}/task").iterdir():
                nanoseconds += int((task / "schedstat").read_text().split()[0])
        return nanoseconds / 1e9

    def memory(self) -> int:
        return processes.usage(self.pid).memory


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def cpu_of(service: Service, ask: Callable[[], object], times: int) -> float:
    """Return the CPU milliseconds that one request takes of the service."""
    before = service.cpu()
    for _ in range(times):
        ask()
    return 1000 * (service.cpu() - before) / times


def login(project: str) -> str:
    """Return the Authorization header of the only user of this project."""
    return "Basic " + base64.b64encode(f"{project}:{PASSWORD}".encode()).decode()


def configure(
    home: Path, catalog: str, bus: BusServer, projects: Sequence[str], **api: object
) -> Path:
    """Write the configuration of a deployment with these projects' users; return its file."""
    hashed = bcrypt.hashpw(PASSWORD.encode(), bcrypt.gensalt(4)).decode()
    users = home / "users.conf"
    users.write_text("".join(f"{name}:{hashed}:{name}:member\n" for name in projects))
    key = home / "master.key"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    authority = certificates.create_authority("bench")
    certificate, signing = home / "ca.crt", home / "ca.key"
    certificate.write_text(authority.cert_pem)
    signing.write_text(authority.key_pem.reveal())
    signing.chmod(0o600)
    file = home / "dbaas.conf"
    any_number = {f"http_{verb}_rate": 10**9 for verb in ("get", "post", "put", "delete")}
    any_number |= {f"max_{what}_per_tenant": -1 for what in ("instances", "ram", "volumes")}
    file.write_text(
        ini(
            {
                "DEFAULT": {"transport_url": bus.control_url, "cloud": "loopback"},
                "guest_bus": {"url": bus.url, "management_url": bus.management_url},
                "catalog": {"connection": catalog},
                "secrets": {
                    "master_key_file": key,
                    "authority_certificate_file": certificate,
                    "authority_key_file": signing,
                },
                "loopback": {"state_dir": home / "cloud", "pool": "127.77.0.0/16"},
                "api": {
                    "bind_host": "127.0.0.1",
                    "workers": WORKERS,
                    "threads": THREADS,
                    "auth_strategy": "http_basic",
                    "users_file": users,
                    **any_number,
                    **api,
                },
            }
        )
    )
    return file


@contextlib.contextmanager
def running(
    command: Sequence[str], port: int, path: str, log: Path, environment: Mapping[str, str] = {}
) -> Iterator[Service]:
    """Start this and give it as soon as it answers 200 at `path`; stop it when done."""
    began = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            [*command],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
        )
    try:
        while not _answers(port, path):
            assert process.poll() is None, f"{process.poll()}: {log.read_text()[-3000:]}"
            assert time.monotonic() < began + PATIENCE, log.read_text()[-3000:]
            time.sleep(0.005)
        yield Service(process.pid, port, time.monotonic() - began)
    finally:
        process.terminate()
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()


def _answers(port: int, path: str) -> bool:
    with contextlib.suppress(OSError), wire.link(port) as link:
        return link.ask(wire.request("GET", path)).status == 200
    return False
