"""What a conductor shows Prometheus: what guests said, and what waits in the guests' bus."""

from collections.abc import Iterator

from dbaas.common.metrics import GaugeMetricFamily, Metric, Metrics
from dbaas.rpc.broker import Broker

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Seconds."""


class Figures:
    """Counters of one conductor: add those of all of them up."""

    def __init__(self, metrics: Metrics) -> None:
        self._events = metrics.counter(
            "dbaas_guest_events", "Messages of guests, by what became of them.", "kind"
        )
        self._batches = metrics.histogram(
            "dbaas_guest_batch_seconds", "Seconds until a batch of messages was written.", BOUNDS
        )

    def heard(self, kind: str, n: int = 1) -> None:
        """`kind`: `heartbeat`, `result`, `remark`; `stale`, a heartbeat that comes after a newer
        one; `refused`, or `ignored` in a quarantine."""
        if n:
            self._events.labels(kind).inc(n)

    def wrote(self, seconds: float) -> None:
        self._batches.observe(seconds)


def depths(broker: Broker) -> Iterator[Metric]:
    """Yield what waits in the bus, the same for every conductor; raise `Unavailable`."""
    family = GaugeMetricFamily(
        "dbaas_guest_bus_messages", "Messages that wait in the guests' bus.", labels=("queues",)
    )
    for queues, n in broker.depths().items():
        family.add_metric((queues,), n)
    yield family
