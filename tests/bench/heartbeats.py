"""How many heartbeats one conductor takes, and what each costs: a table, and JSON on the last line.

    python -m tests.bench.heartbeats [GUESTS [HEARTBEATS]]

On a broker and a catalog of its own. The heartbeats lie in the event queues when the conductor
begins, so it always has work; rates are not limited, as they would be for so few guests.
"""

import json
import resource
import sys
import threading
import time
import uuid
from collections.abc import Sequence

import amqp

from dbaas.catalog import guests, unit
from dbaas.catalog.records import GuestIdentity
from dbaas.catalog.unit import Catalog
from dbaas.common.sealing import Sealer
from dbaas.conductor.rates import Rates
from dbaas.conductor.rebuilding import rebuild
from dbaas.conductor.service import Conductor
from dbaas.contract import codec
from dbaas.contract.messages import Health, ServiceStatus
from dbaas.contract.secret import Secret
from dbaas.rpc import envelope
from dbaas.rpc.broker import Broker
from dbaas.rpc.envelope import Header
from dbaas.rpc.guests import Event, EventConsumer, address
from tests import bus_server, catalog_server
from tests.bench import report

HEALTH = Health(ServiceStatus.HEALTHY, 10**9, 10**8, "11.8.2-MariaDB", 123.4)


class Measured(Conductor):
    """Stops when it has taken as many events as there are."""

    def expect(self, count: int, stop: threading.Event) -> None:
        self._left, self._stop = count, stop

    def take(self, events: Sequence[Event]) -> None:
        super().take(events)
        self._left -= len(events)
        if self._left <= 0:
            self._stop.set()


def main() -> None:
    guest_count = int(sys.argv[1]) if len(sys.argv) > 1 else 400
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 30_000
    Rates.LIMIT = Rates.FLOOD = float("inf")
    with (
        bus_server.running() as bus,
        catalog_server.running() as server,
        server.opened() as catalog,
    ):
        sealer = Sealer(bytes(32))
        broker = Broker(bus.management_url)
        keys = _make_guests(catalog, sealer, guest_count)
        began = time.perf_counter()
        rebuild(catalog, sealer, broker)
        rebuilding = time.perf_counter() - began
        _publish(bus.url, keys, count)
        conductor = Measured(catalog, sealer, broker, lambda _operation: None)
        stop = threading.Event()
        conductor.expect(count, stop)
        statements, cpu, began = server.questions(), time.process_time(), time.perf_counter()
        conductor.run(EventConsumer(bus.url), 500, 0.05, stop)
        seconds = time.perf_counter() - began
        figures = {
            "guests": guest_count,
            "heartbeats": count,
            "heartbeats_per_second": round(count / seconds),
            "cpu_ms_per_1000": round((time.process_time() - cpu) / count * 1e6, 1),
            "statements_each": round((server.questions() - statements) / count, 4),
            "rebuilding_ms_per_guest": round(rebuilding / guest_count * 1000, 1),
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
        }
    rows = [{"figure": name, "value": value} for name, value in figures.items()]
    report.show("heartbeats of one conductor", rows)


def _make_guests(catalog: Catalog, sealer: Sealer, count: int) -> dict[str, Secret]:
    """Return the event keys of so many guests, that the catalog knows."""
    keys = {str(uuid.uuid4()): envelope.new_key() for _ in range(count)}

    def write(u: unit.Unit) -> None:
        u.exec_driver_sql("SET SESSION foreign_key_checks=0")  # no instance is needed here
        for name, key in keys.items():
            identity = GuestIdentity(
                instance_id=name,
                state=guests.INTRODUCED,
                user=f"g-{name}",
                password=Secret("secret"),
                key_id="k1",
                command_key=envelope.new_key(),
                event_key=key,
            )
            guests.add(u, sealer, identity)

    catalog.run(write)
    return keys


def _publish(url: str, keys: dict[str, Secret], count: int) -> None:
    where = address(url)
    connection = amqp.Connection(
        host=f"{where.host}:{where.port}",
        userid=where.user,
        password=where.password.reveal(),
        virtual_host=where.vhost,
    )
    connection.connect()
    channel = connection.channel()
    body = json.dumps(codec.dump(HEALTH)).encode()
    names = list(keys)
    for n in range(count):
        name = names[n % len(names)]
        header = Header(1, name, "k1", "up", "", 0, 1, n // len(names) + 1, time.time(), "hb")
        message = amqp.Message(envelope.seal(keys[name], header, body), delivery_mode=1)
        channel.basic_publish(message, f"evt.{name}", f"evt.{name}.hb")
    connection.close()


if __name__ == "__main__":
    main()
