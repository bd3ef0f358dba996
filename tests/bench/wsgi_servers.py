"""The WSGI servers that could serve the API, side by side; those that are installed.

python -m tests.bench.wsgi_servers [NAME ...]

Each serves the same application with eight threads, in turn, on a catalog and a broker that are the
program's own; "ours" is `dbaas-api`, which is gunicorn with a worker of ours. "cut off" counts the
requests that were under way, or came, when the server was told to stop, and got no answer: a slow
one, on connections that were made for them, and on kept ones. A connection that is refused is none
of them, since a proxy then asks another server.
"""

import os
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from tests import bus_server, catalog_server
from tests.bench import apis, report, rows, wire
from tests.bench.apis import Service
from tests.catalog_server import CatalogServer
from tests.chaos import requests

APPLICATION = "tests.bench.hosted:application"
PROJECT = "small"
THREADS = str(apis.THREADS)
REQUESTS = 1500
SLOW_SECONDS = 1.5
MIB = 1 << 20
ROOT = Path(__file__).parents[2]

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "ours": ("dbaas-api", "--config-file", "{conf}"),
    "gunicorn": (
        *("gunicorn", "-k", "gthread", "--threads", THREADS, "-w", "1", "--preload"),
        *("--keep-alive", "75", "-b", "127.0.0.1:{port}", APPLICATION),
    ),
    "uwsgi": (
        *("uwsgi", "--http11-socket", "127.0.0.1:{port}", "--module", APPLICATION),
        *("--threads", THREADS, "--die-on-term", "--disable-logging", "--need-app"),
    ),
    "granian": (
        *("granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", "{port}"),
        *("--workers", "1", "--blocking-threads", THREADS, APPLICATION),
    ),
    "waitress": (
        "waitress-serve",
        "--listen=127.0.0.1:{port}",
        f"--threads={THREADS}",
        APPLICATION,
    ),
    "cheroot": ("cheroot", APPLICATION, "--bind", "127.0.0.1:{port}", "--threads", THREADS),
}


def main() -> None:
    names = sys.argv[1:] or [*COMMANDS]
    with (
        tempfile.TemporaryDirectory(prefix="dbaas-bench-") as made,
        catalog_server.running() as server,
        bus_server.running() as bus,
    ):
        url = server.fresh()
        rows.offer(url)
        rows.fill(url, 1000, {PROJECT: 20})
        found = []
        for name in names:
            program = Path(sys.executable).parent / COMMANDS[name][0]
            if shutil.which(program) is None:
                continue
            port = apis.free_port()
            conf = apis.configure(Path(made), url, bus, [PROJECT], bind_port=port)
            rest = [word.format(port=port, conf=conf) for word in COMMANDS[name][1:]]
            with apis.running(
                [str(program), *rest],
                port,
                "/healthcheck",
                Path(made, f"{name}.log"),
                {"DBAAS_BENCH_CONF": str(conf), "PYTHONPATH": str(ROOT)},
            ) as service:
                row = {"server": name, **_measure(service)}
                row |= _stop(service, server, url)
                sys.stderr.write(f"{row}\n")  # it takes a while: show that it goes on
                found.append(row)
    report.show("the API under WSGI servers", found)


def _measure(service: Service) -> report.Row:
    login = apis.login(PROJECT)
    paths = {"hello": "/healthcheck", "list of 20": f"/v1.0/{PROJECT}/instances"}
    row: report.Row = {"start s": service.seconds}
    with wire.link(service.port) as link:
        for name, path in paths.items():
            sent = wire.request("GET", path, login)
            row[f"{name} CPU ms"] = apis.cpu_of(service, partial(link.ask, sent), REQUESTS)
    burst = wire.at_once(service.port, sent, REQUESTS, 32)
    row |= {"32 at once /s": burst.rate, "p99 s": wire.quantile(burst.answers, 0.99)}
    row["cut off"] = burst.cut
    with wire.link(service.port) as link:
        assert link.ask(_create()).status == 200
    time.sleep(2.0)  # the broker's library is loaded by then
    return row | {"PSS MiB": service.memory() / MIB}


def _create() -> bytes:
    body = {"instance": requests.order("bench")}
    return wire.request("POST", f"/v1.0/{PROJECT}/instances", apis.login(PROJECT), body)


@dataclass
class _Tenants:
    """Ask without a pause, until nobody answers."""

    port: int
    cut: Counter[str] = field(default_factory=Counter)
    sent: bytes = wire.request("GET", f"/v1.0/{PROJECT}/instances", apis.login(PROJECT))

    def ask_anew(self) -> None:
        with suppress(ConnectionRefusedError):
            while True:
                link = wire.Link(self.port)
                self._ask(link, "new")
                link.close()

    def ask_on(self) -> None:
        with suppress(ConnectionRefusedError):
            while True:
                link = wire.Link(self.port)
                while self._ask(link, "kept") and not link.closing:
                    pass
                link.close()

    def create(self) -> None:
        link = wire.Link(self.port)
        try:
            answer = link.ask(_create())
        except OSError:
            self.cut["slow"] += 1
        else:
            self.cut["slow"] += answer.status != 200
        link.close()

    def _ask(self, link: wire.Link, kind: str) -> bool:
        try:
            link.ask(self.sent)
        except OSError:
            self.cut[kind] += 1
            return False
        return True


def _stop(service: Service, server: CatalogServer, url: str) -> report.Row:
    """Tell it to stop while tenants ask, one of whom waits for a row that is locked."""
    tenants = _Tenants(service.port)
    work = [*[tenants.ask_anew] * 3, *[tenants.ask_on] * 3]
    with server.connect(url.rpartition("/")[2]) as lock, lock.cursor() as cursor:
        cursor.execute("BEGIN")
        cursor.execute("SELECT * FROM quota_usages FOR UPDATE")
        threads = [threading.Thread(target=each, daemon=True) for each in (*work, tenants.create)]
        for thread in threads:
            thread.start()
        time.sleep(1.0)
        began = time.monotonic()
        os.kill(service.pid, signal.SIGTERM)
        time.sleep(SLOW_SECONDS)
        cursor.execute("ROLLBACK")
    for thread in threads:
        thread.join(60)
    return {
        "stop s": time.monotonic() - began,
        **{f"{kind} cut off": tenants.cut[kind] for kind in ("slow", "new", "kept")},
    }


if __name__ == "__main__":
    main()
