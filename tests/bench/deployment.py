"""A control plane without an API: broker, catalog, conductor, task manager over an instant cloud.

Requests are accepted in this process by the real application; everything else is a process.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from oslo_config import cfg

from dbaas.api import app, options
from dbaas.api.offers import CloudOffers
from dbaas.catalog import datastores, unit
from dbaas.catalog.unit import Catalog
from dbaas.common import certificates, config, sealing
from dbaas.manage.stack import processes, settings
from dbaas.rpc.broker import Broker
from tests import bus_server, catalog_server
from tests.bench.cpu import cpu_seconds
from tests.bus_server import BusServer
from tests.catalog_server import CatalogServer
from tests.fakes.cloud import FakeCloud
from tests.rehearsal import Api

MANAGER, CONDUCTOR, GUESTS = "task manager", "conductor", "guests"
BROKER, CATALOG = "broker", "catalog"

_RATE = 10**9


class NoWakes:
    """Let the task manager find by itself what there is to do."""

    def wake(self, _operation_id: str) -> None: ...


@dataclass
class Deployment:
    home: Path
    server: CatalogServer
    catalog: Catalog
    api: Api
    bus: BusServer
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    looks: int = 0
    """Statements with which this process has looked how far the others are."""

    def start(self, name: str) -> None:
        """Start the task manager, the conductor or the guests."""
        with (self.home / f"{name}.log").open("ab") as log:
            self.started[name] = subprocess.Popen(
                self._command(name),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def stop(self, name: str) -> None:
        process = self.started.pop(name)
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def stop_all(self) -> None:
        for name in list(self.started):
            self.stop(name)

    def _command(self, name: str) -> list[str]:
        files = ["--config-file", str(self.home / "dbaas.conf")]
        contacts = str(self.contacts)
        if name == MANAGER:
            return [sys.executable, "-m", "tests.bench.instant_manager", contacts, *files]
        if name == CONDUCTOR:
            return [str(Path(sys.executable).parent / "dbaas-conductor"), *files]
        answers = str(self.answers)
        return [sys.executable, "-m", "tests.bench.instant_guests", contacts, self.bus.url, answers]

    @property
    def contacts(self) -> Path:
        """The socket at which the guests hear that they are born."""
        return self.home / "contacts"

    @property
    def answers(self) -> Path:
        return self.home / "answers"

    def cpu(self) -> dict[str, float]:
        """Return the CPU seconds that each process, with its children, has taken so far."""
        pids = {name: process.pid for name, process in self.started.items()}
        pids |= {BROKER: self.bus.pid, CATALOG: self.server.pid}
        return {
            name: sum(cpu_seconds(each) for each in processes.family(pid))
            for name, pid in pids.items()
        }

    def wait_for(self, query: str, value: int, seconds: float) -> None:
        """Return when the query gives `value`; show the logs if it does not in time."""
        deadline = time.monotonic() + seconds
        while (found := self.number(query)) != value:
            ended = [name for name, process in self.started.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                logs = "\n".join(path.read_text()[-3000:] for path in self.home.glob("*.log"))
                raise TimeoutError(f"{query}: {found} instead of {value}, {ended} ended\n{logs}")
            time.sleep(0.05)

    def number(self, query: str) -> int:
        return int(self.rows(query)[0][0])

    def statements(self) -> int:
        """Return how many statements the others have sent so far."""
        self.looks += 1
        return self.server.questions() - self.looks

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        self.looks += 1
        found = self.catalog.read(lambda one: one.exec_driver_sql(query).fetchall())
        return [tuple(row) for row in found]


@contextmanager
def running() -> Iterator[Deployment]:
    """Start broker, catalog, conductor and guests; the task manager is the caller's to start."""
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="dbaas-bench-")))
        bus = stack.enter_context(bus_server.running())
        server = stack.enter_context(catalog_server.running())
        conf = _configure(home, bus, server.fresh())
        catalog = Catalog(conf)
        stack.callback(catalog.close)
        catalog.run(lambda one: datastores.register(one, "mariadb", "11.8", "11.8", "mariadb", ""))
        Broker(bus.management_url).ensure_topology()
        api = Api(app.make(conf, catalog, CloudOffers(FakeCloud()), NoWakes()))
        deployment = Deployment(home, server, catalog, api, bus)
        stack.callback(deployment.stop_all)
        for name in (GUESTS, CONDUCTOR):
            deployment.start(name)
        while not deployment.contacts.exists():
            assert deployment.started[GUESTS].poll() is None
            time.sleep(0.05)
        yield deployment


def _configure(home: Path, bus: BusServer, catalog_url: str) -> cfg.ConfigOpts:
    authority = certificates.create_authority("bench")
    for name, text in (
        ("master.key", "ab" * 32),
        ("ca.crt", authority.cert_pem),
        ("ca.key", authority.key_pem.reveal()),
    ):
        (home / name).write_text(text)
        (home / name).chmod(0o600)
    file = home / "dbaas.conf"
    rates = {f"http_{verb}_rate": _RATE for verb in ("get", "post", "put", "delete")}
    file.write_text(
        settings.ini(
            {
                "DEFAULT": {"transport_url": bus.control_url},
                "catalog": {"connection": catalog_url},
                "guest_bus": {
                    "url": bus.url,
                    "management_url": bus.management_url,
                    "guest_host": "127.0.0.1",
                    "guest_port": bus.guest_port,
                    "ca_file": home / "ca.crt",
                },
                "secrets": {
                    "master_key_file": home / "master.key",
                    "authority_certificate_file": home / "ca.crt",
                    "authority_key_file": home / "ca.key",
                },
                "api": {
                    "auth_strategy": "noauth",
                    "max_instances_per_tenant": -1,
                    "max_volumes_per_tenant": -1,
                    **rates,
                },
            }
        )
    )
    return config.load(["--config-file", str(file)], [options, unit, sealing])
