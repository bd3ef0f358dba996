"""What a task manager shows Prometheus: of its own work, and of the whole catalog.

The counters are of one process: add them up. What is of the catalog is the same in each process:
take any.
"""

import threading
import time
from collections.abc import Iterator

from dbaas.catalog import figures
from dbaas.catalog.unit import Catalog
from dbaas.common.metrics import GaugeMetricFamily, Metric, Metrics
from dbaas.contract.operations import Operation, State

STEP_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
OPERATION_BOUNDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0, 7200.0)
"""Seconds."""

FRESH = 5.0
"""Seconds for which what was counted in the catalog is not counted again."""


class OwnWork:
    """Counts operations and steps of this process, as a listener of its runner."""

    def __init__(self, metrics: Metrics) -> None:
        self._operations = metrics.counter(
            "dbaas_operations", "Operations that ended, or were parked.", "kind", "state"
        )
        self._durations = metrics.histogram(
            "dbaas_operation_seconds",
            "Seconds from accepting an operation until it ended or was parked.",
            OPERATION_BOUNDS,
            *("kind", "state"),
        )
        self._steps = metrics.counter(
            "dbaas_steps", "Runs of steps, by how each ended.", "kind", "step", "outcome"
        )
        self._step_durations = metrics.histogram(
            "dbaas_step_seconds",
            "Seconds for which a step kept a worker busy, in one run.",
            STEP_BOUNDS,
            *("kind", "step"),
        )

    def ran(self, op: Operation, step: str, seconds: float, outcome: str) -> None:
        self._steps.labels(op.kind, step, outcome).inc()
        self._step_durations.labels(op.kind, step).observe(seconds)

    def stopped(self, op: Operation, state: State) -> None:
        self._operations.labels(op.kind, state.value).inc()
        self._durations.labels(op.kind, state.value).observe(op.age)


class Whole:
    """Counts in the catalog, but not for everybody who asks at once."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._lock = threading.Lock()
        self._known: figures.Figures | None = None
        self._until = 0.0

    def collect(self) -> Iterator[Metric]:
        """Yield the figures; raise `Unavailable` when the catalog is away."""
        known = self._counted()
        yield _gauge(
            "dbaas_open_operations",
            "Operations that have not ended.",
            ("kind", "state"),
            known.operations,
        )
        yield GaugeMetricFamily(
            "dbaas_overdue_seconds",
            "Seconds for which the oldest operation that is due has been waiting for a worker.",
            value=known.overdue,
        )
        yield _gauge(
            "dbaas_instances",
            "Instances by status.",
            ("status",),
            {(status,): n for status, n in known.instances.items()},
        )
        yield _gauge(
            "dbaas_guests",
            "Guests by what they last said of their engine.",
            ("health",),
            {(health,): n for health, n in known.guests.items()},
        )
        yield GaugeMetricFamily(
            "dbaas_silent_guests",
            f"Guests that were not heard of for {figures.SILENT} seconds.",
            value=known.silent,
        )
        yield _gauge(
            "dbaas_quota_in_use",
            "What all projects together have of a resource.",
            ("resource",),
            {(resource,): n for resource, n in known.quotas.items()},
        )
        archives = known.archives
        yield GaugeMetricFamily("dbaas_archives", "Archives that are on.", value=archives.live)
        yield _gauge(
            "dbaas_archives_in_trouble",
            "Archives that are on, but wait to be stored for too long (behind), cannot be stored "
            "now (faulty), or lost something (ended).",
            ("trouble",),
            {
                ("behind",): archives.behind,
                ("faulty",): archives.faulty,
                ("ended",): archives.ended,
            },
        )
        yield GaugeMetricFamily(
            "dbaas_archive_lag_seconds",
            "Seconds since the oldest commit that is not archived, of the archive that is worst.",
            value=archives.lag,
        )

    def _counted(self) -> figures.Figures:
        with self._lock:
            if self._known is None or self._until < time.monotonic():
                self._known = self._catalog.read(figures.everything)
                self._until = time.monotonic() + FRESH
            return self._known


def _gauge(
    name: str, text: str, labels: tuple[str, ...], values: dict[tuple[str, ...], int]
) -> Metric:
    family = GaugeMetricFamily(name, text, labels=labels)
    for key, value in values.items():
        family.add_metric(key, value)
    return family
