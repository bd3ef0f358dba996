"""Counts requests, by all workers of this service together, and answers with that.

Routes, methods and statuses are known when the service starts: so each has its place in memory
that the workers share, and any of them can answer for all.
"""

import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from itertools import accumulate

import falcon

from dbaas.common.metrics import (
    MEDIA_TYPE,
    CounterMetricFamily,
    HistogramMetricFamily,
    Metric,
    Metrics,
)
from dbaas.common.shared import Shared

BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0)
"""Seconds."""

_NO_ROUTE = ("", "")
"""What matched no route, or was refused before that was looked for."""

_STATUSES = {status.value: place for place, status in enumerate(HTTPStatus)}
_BUCKETS = len(BOUNDS) + 1
_SUM = len(_STATUSES) + _BUCKETS
_ROW = _SUM + 1
"""Of a route: requests by status, then by duration, then the sum of the durations."""


class RequestFigures:
    """How many requests there were of each kind, and how long they took."""

    def __init__(self, routes: Iterable[tuple[str, str]]) -> None:
        """`routes`: methods and paths; before the fork."""
        self._places = {
            route: place for place, route in enumerate(dict.fromkeys((_NO_ROUTE, *routes)))
        }
        self._shared = Shared(len(self._places) * _ROW)

    def count(self, method: str, path: str, status: int, seconds: float) -> None:
        at = self._places.get((method, path), 0) * _ROW
        by_status = at + _STATUSES.get(status, _STATUSES[500])
        by_duration = at + len(_STATUSES) + bisect_left(BOUNDS, seconds)
        with self._shared.locked() as numbers:
            numbers[by_status] += 1.0
            numbers[by_duration] += 1.0
            numbers[at + _SUM] += seconds

    def collect(self) -> Iterator[Metric]:
        with self._shared.locked() as shared:
            numbers = list(shared)
        requests = CounterMetricFamily(
            "dbaas_api_requests", "Requests that were answered.", labels=("method", "route", "code")
        )
        seconds = HistogramMetricFamily(
            "dbaas_api_request_seconds", "Seconds until the answer.", labels=("method", "route")
        )
        bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
        for route, place in self._places.items():
            row = numbers[place * _ROW : (place + 1) * _ROW]
            for status, n in _STATUSES.items():
                if row[n]:
                    requests.add_metric((*route, str(status)), row[n])
            counts = list(accumulate(row[len(_STATUSES) : _SUM]))
            if counts[-1]:
                seconds.add_metric(route, list(zip(bounds, counts, strict=True)), row[_SUM])
        yield requests
        yield seconds


class Measuring:
    """Counts every answer; it comes after the middleware that notes when a request began."""

    def __init__(self, figures: RequestFigures) -> None:
        self._figures = figures

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: object, _succeeded: bool
    ) -> None:
        seconds = time.perf_counter() - req.context.started
        self._figures.count(req.method, req.uri_template or "", resp.status_code, seconds)


class Figures:
    """Answers with them."""

    def __init__(self, figures: RequestFigures) -> None:
        self._metrics = Metrics()
        self._metrics.looked_up(figures.collect)

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        resp.data = self._metrics.text()
        resp.content_type = MEDIA_TYPE
