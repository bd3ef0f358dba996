"""What a request costs the API, beside a bare application that answers the same bytes.

python -m tests.bench.api_requests [--catalogs 1000 10000 100000] [--requests 100]

Statements are counted by the catalog's server, CPU time by the kernel for the service's processes,
in turn for the API and for the bare application (`tests.bench.bare`, the same WSGI server, the same
catalog); median and least of five rounds are shown. Catalog and broker are the program's own, and
nobody claims what is accepted, so every statement is the API's.
"""

import argparse
import contextlib
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, repeat
from pathlib import Path

from tests import bus_server, catalog_server
from tests.bench import apis, report, rows, wire
from tests.bench.apis import Service
from tests.bus_server import BusServer
from tests.catalog_server import CatalogServer
from tests.chaos import requests

SMALL, LARGE, WORK = "small", "large", "work"
"""The projects: of 20 instances, of 4,000, and the one that instances are made and deleted in."""
ROUNDS = 5
AT_ONCE = 32
BURST = 1000


@dataclass(frozen=True)
class Ground:
    """What is measured, and on what."""

    server: CatalogServer
    url: str
    api: Service
    bare: Service
    times: int
    """Requests in a round."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--catalogs", type=int, nargs="+", default=[1000, 10_000, 100_000])
    parser.add_argument("--requests", type=int, default=100)
    asked = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="dbaas-bench-") as home,
        catalog_server.running() as server,
        bus_server.running() as bus,
    ):
        url = server.fresh()
        rows.offer(url)
        for size in sorted(asked.catalogs):
            deleted = 2 * (ROUNDS + 1) * asked.requests
            large = min(4000, size // 2)
            rows.fill(url, size + deleted, {SMALL: 20, LARGE: large, WORK: deleted})
            with _services(Path(home), url, bus) as (api, bare):
                ground = Ground(server, url, api, bare, asked.requests)
                report.show(f"what a request costs, {size} instances", [*_costs(ground)])
                report.show(f"lists of 20, {AT_ONCE} at once", [*_bursts(ground)])


@contextlib.contextmanager
def _services(home: Path, url: str, bus: BusServer) -> Iterator[tuple[Service, Service]]:
    port, other = apis.free_port(), apis.free_port()
    conf = apis.configure(home, url, bus, [SMALL, LARGE, WORK], bind_port=port)
    command = [sys.executable, "-m", "dbaas.api.service", "--config-file", str(conf)]
    threads = str(apis.THREADS)
    bare = [sys.executable, "-m", "tests.bench.bare", url, str(other), threads]
    with (
        apis.running(command, port, "/healthcheck", home / "api.log") as api,
        apis.running(bare, other, "/healthcheck", home / "bare.log") as compared,
    ):
        yield api, compared


def _costs(ground: Ground) -> Iterator[report.Row]:
    one = rows.ids(ground.url, SMALL)[0]
    for name, project, path, is_compared in (
        ("list of 20", SMALL, "instances", True),
        ("list of 20 of many", LARGE, "instances", True),
        ("show", SMALL, f"instances/{one}", True),
        ("details of 20", SMALL, "instances/detail", False),
        ("operations", WORK, "operations", False),
        ("datastores", SMALL, "datastores", False),
        ("flavors", SMALL, "flavors", False),
        ("limits", SMALL, "limits", False),
    ):
        sent = wire.request("GET", f"/v1.0/{project}/{path}", apis.login(project))
        if is_compared:
            same = {_answer(ground.api, sent), _answer(ground.bare, sent)}
            assert len(same) == 1, f"the bare application answers something else: {same}"
        yield {"request": name, **_cost(ground, repeat(sent), 200, compare=is_compared)}
    path = f"/v1.0/{WORK}/instances"
    body = {"instance": requests.order("bench")}
    create = repeat(wire.request("POST", path, apis.login(WORK), body))
    yield {"request": "create", **_cost(ground, create, 200, compare=True)}
    ids = rows.ids(ground.url, WORK)
    deletes = iter([wire.request("DELETE", f"{path}/{id_}", apis.login(WORK)) for id_ in ids])
    yield {"request": "delete", **_cost(ground, deletes, 202, compare=True)}


def _answer(service: Service, sent: bytes) -> wire.Answer:
    with wire.link(service.port) as link:
        return link.ask(sent)


def _cost(ground: Ground, sent: Iterator[bytes], status: int, *, compare: bool) -> report.Row:
    """Measure in turn, so that both meet the same neighbours; a first round is for warming up."""
    measured: list[float] = []
    compared: list[float] = []
    counted: list[float] = []
    for _ in range(ROUNDS + 1):
        before = ground.server.questions()
        measured.append(_cpu(ground.api, islice(sent, ground.times), status))
        # What it takes to look at the counter is in it: a few statements in a round.
        counted.append((ground.server.questions() - before) / ground.times)
        if compare:
            compared.append(_cpu(ground.bare, islice(sent, ground.times), status))
    row: report.Row = {"statements": int(min(counted)), **_told("CPU ms", measured)}
    return row | _told("bare CPU ms", compared) | {"load": os.getloadavg()[0]}


def _told(name: str, values: Sequence[float]) -> report.Row:
    """The least is what it takes where nobody else is; the median, what it took here."""
    if not values:
        return {name: "", f"least {name}": ""}
    return {name: statistics.median(values[1:]), f"least {name}": min(values)}


def _cpu(service: Service, sent: Iterator[bytes], status: int) -> float:
    """Send these; return the CPU milliseconds that one takes of the service."""
    those = [*sent]
    with wire.link(service.port) as link:
        before = service.cpu()
        for each in those:
            answer = link.ask(each)
            assert answer.status == status, answer
        return 1000 * (service.cpu() - before) / len(those)


def _bursts(ground: Ground) -> Iterator[report.Row]:
    for who, service in (("API", ground.api), ("bare", ground.bare)):
        for project in (SMALL, LARGE):
            sent = wire.request("GET", f"/v1.0/{project}/instances", apis.login(project))
            burst = wire.at_once(service.port, sent, BURST, AT_ONCE)
            yield {
                "who": who,
                "project": project,
                "per second": burst.rate,
                "p50 s": wire.quantile(burst.answers, 0.5),
                "p99 s": wire.quantile(burst.answers, 0.99),
            }


if __name__ == "__main__":
    main()
