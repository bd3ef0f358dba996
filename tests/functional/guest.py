"""A guest of a stack, as its host sees it: its processes, its files, who it is on the bus."""

import os
import signal
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import amqp
import requests

from dbaas.catalog import guests
from dbaas.catalog.records import GuestIdentity
from dbaas.catalog.unit import Catalog
from dbaas.cloud.local.cloud import LocalCloud
from dbaas.common import config, sealing
from dbaas.contract.operations import LedgerKind
from dbaas.contract.secret import Secret
from dbaas.manage.stack import credentials
from dbaas.manage.stack.guests import provider
from dbaas.rpc.broker import Broker
from tests.functional.stack import Stack

AGENT = b"dbaas.guestagent"
SERVER = b"mariadbd"


@dataclass(frozen=True)
class Guest:
    stack: Stack
    instance_id: str

    @property
    def cloud(self) -> LocalCloud:
        cloud = provider(self.stack.plan)
        assert isinstance(cloud, LocalCloud)
        return cloud

    def name(self, kind: LedgerKind) -> str:
        """Return the name of what the instance has of this kind."""
        where = f"instance_id = '{self.instance_id}' AND kind = '{kind}' AND gone_at IS NULL"
        return str(self.stack.sql(f"SELECT name FROM ledger WHERE {where}")[0]["name"])

    def processes(self, word: bytes) -> list[int]:
        """Return the pids, as the host counts, of its programs with this word in their command."""
        space = Path(f"/proc/{self._first_process()}/ns/pid").readlink()
        return [pid for pid in _all_processes() if _is_in(pid, space) and word in _command(pid)]

    def kill(self, word: bytes) -> None:
        for pid in self.processes(word):
            os.kill(pid, signal.SIGKILL)

    def run(self, *command: str) -> str:
        """Run a program in the guest, as its root; return what it prints."""
        pid = str(self._first_process())
        within = ["nsenter", "-t", pid, "--mount", "--pid", "--net", "--uts", "--", *command]
        done = subprocess.run(within, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def identity(self) -> GuestIdentity:
        """Return who it is on the bus, with its secrets, from the catalog."""
        conf = config.load(
            ["--config-file", str(self.stack.configuration)], list(config.option_modules())
        )
        catalog, sealer = Catalog(conf), sealing.from_conf(conf)
        try:
            return catalog.read(lambda unit: guests.get(unit, sealer, self.instance_id))
        finally:
            catalog.close()

    def _first_process(self) -> int:
        return self.cloud.compute.pid(self.name(LedgerKind.SERVER))


def connection(stack: Stack, user: str, password: Secret) -> amqp.Connection:
    """Connect to the guests' bus as a guest does; raise `amqp.AccessRefused`."""
    plan = stack.plan
    authority = str(credentials.authority_files(plan)[0])
    made = amqp.Connection(
        f"{plan.bridge_address}:{plan.ports.guests}",
        userid=user,
        password=password.reveal(),
        virtual_host="guest",
        ssl={"ca_certs": authority, "cert_reqs": ssl.CERT_REQUIRED},
        connect_timeout=10,
        login_method="PLAIN",
    )
    made.connect()
    return made


@contextmanager
def management(stack: Stack) -> Iterator[Broker]:
    lines = stack.configuration.read_text().splitlines()
    url = next(line for line in lines if line.startswith("management_url")).partition(" = ")[2]
    broker = Broker(url)
    try:
        yield broker
    finally:
        broker.close()


def services(stack: Stack, word: bytes) -> list[int]:
    """Return the pids of the stack's own programs with this word in their command."""
    return [pid for pid in stack.processes() if word in _command(pid)]


def _all_processes() -> list[int]:
    return [int(path.name) for path in Path("/proc").glob("[0-9]*")]


def _is_in(pid: int, space: Path) -> bool:
    try:
        return Path(f"/proc/{pid}/ns/pid").readlink() == space
    except OSError:  # it has ended meanwhile
        return False


def _command(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def figure(stack: Stack, program: str, name: str, label: str) -> int:
    """Return what a program of the stack shows Prometheus under this name and only label."""
    url = f"http://127.0.0.1:{stack.plan.metrics[program]}/metrics"
    lines = requests.get(url, timeout=10).text.splitlines()
    found = [line for line in lines if line.startswith(f"{name}{{") and f'"{label}"' in line]
    return int(float(found[0].rpartition(" ")[2])) if found else 0
