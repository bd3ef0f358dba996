"""What the calls of a cloud take, whichever it is: figures for Prometheus."""

import time
from collections.abc import Sequence
from typing import Any, cast

from dbaas.cloud.base import Cloud, Compute, Networks, Volumes
from dbaas.common.metrics import Histogram, Metrics
from dbaas.common.probes import Probe
from dbaas.contract import errors

BOUNDS = (0.005, 0.025, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""


class MeasuredCloud:
    """Another cloud, whose calls are timed and counted by their names and how they ended."""

    def __init__(self, cloud: Cloud, metrics: Metrics) -> None:
        self._cloud = cloud
        seconds = metrics.histogram(
            "dbaas_cloud_seconds",
            "Seconds that calls of the cloud took, by how each ended.",
            BOUNDS,
            *("call", "outcome"),
        )
        # A Protocol's methods are passed on by name, so that a new one is measured, too.
        self.compute = cast(Compute, _Measured(cloud.compute, seconds))
        self.volumes = cast(Volumes, _Measured(cloud.volumes, seconds))
        self.networks = cast(Networks, _Measured(cloud.networks, seconds))

    @property
    def settle_time(self) -> float:
        return self._cloud.settle_time

    @property
    def poll_interval(self) -> float:
        return self._cloud.poll_interval

    def probes(self) -> Sequence[Probe]:
        return self._cloud.probes()


class _Measured:
    def __init__(self, part: object, seconds: Histogram) -> None:
        self._part = part
        self._seconds = seconds

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._part, name)

        def timed(*arguments: Any, **named: Any) -> Any:
            began, outcome = time.monotonic(), "done"
            try:
                return call(*arguments, **named)
            except errors.Error as error:
                outcome = type(error).__name__
                raise
            finally:
                self._seconds.labels(name, outcome).observe(time.monotonic() - began)

        return timed
