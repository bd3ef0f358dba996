"""Figures for Prometheus: what a process counts, and where it shows that.

A label has few values, all known in advance: kinds, states, routes. Never an id, a project or a
name that a tenant chose.
"""

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from oslo_config import cfg
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4, start_http_server
from prometheus_client.registry import Collector

from dbaas.contract import errors

__all__ = [
    "GROUP",
    "MEDIA_TYPE",
    "OPTS",
    "Counter",
    "CounterMetricFamily",
    "GaugeMetricFamily",
    "Histogram",
    "HistogramMetricFamily",
    "Metric",
    "Metrics",
]

GROUP = "metrics"
OPTS = [
    cfg.StrOpt(
        "bind_host",
        default="127.0.0.1",
        help="Address at which a task manager or a conductor shows its figures for Prometheus. "
        "Anybody who can connect may read them. The API shows its own on its own port.",
    ),
    cfg.PortOpt(
        "bind_port",
        default=0,
        help="TCP port for that; 0: nowhere. Each process of a host needs its own, so set it in "
        "files that only one of them reads, as dbaas-conductor.conf beside dbaas.conf.",
    ),
]

MEDIA_TYPE = CONTENT_TYPE_PLAIN_0_0_4

LOG = logging.getLogger(__name__)


class Metrics:
    """The figures of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(name, text, labels, registry=self._registry)

    def histogram(self, name: str, text: str, buckets: Sequence[float], *labels: str) -> Histogram:
        return Histogram(name, text, labels, buckets=buckets, registry=self._registry)

    def looked_up(self, look: Callable[[], Iterable[Metric]]) -> None:
        """Add what is looked up whenever somebody asks; while it is not there, it is left out."""
        self._registry.register(_LookedUp(look))

    def text(self) -> bytes:
        """Return all of it as Prometheus reads it, of the media type `MEDIA_TYPE`."""
        return generate_latest(self._registry)

    def serve(self, conf: cfg.ConfigOpts) -> Callable[[], None]:
        """Show them where the configuration says; return what ends that.

        Raises `Invalid` when somebody else has the port.
        """
        options = conf[GROUP]
        if not options.bind_port:
            return _nothing
        try:
            server, thread = start_http_server(
                options.bind_port, options.bind_host, registry=self._registry
            )
        except OSError as error:
            raise errors.Invalid(
                f"[metrics] {options.bind_host}:{options.bind_port}: {error.strerror}"
            ) from error
        return lambda: _end(server, thread)


class _LookedUp(Collector):
    def __init__(self, look: Callable[[], Iterable[Metric]]) -> None:
        self._look = look

    def describe(self) -> Iterable[Metric]:
        return ()  # else it would be looked up now, to learn its names

    def collect(self) -> Iterator[Metric]:
        try:
            yield from self._look()
        except errors.Error as error:
            LOG.warning("Some figures are not there now: %s", error.text)


def _nothing() -> None: ...


def _end(server: Any, thread: threading.Thread) -> None:
    server.shutdown()
    server.server_close()
    thread.join()
