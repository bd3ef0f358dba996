"""What the API counts of its requests."""

import os
from collections.abc import Callable

import pytest
from oslo_config import cfg
from prometheus_client.parser import text_string_to_metric_families

from dbaas.api import app
from dbaas.api.metrics import Figures, RequestFigures
from dbaas.catalog.unit import Catalog
from tests.unit.api.conftest import Api, Offers, Wakes

Samples = dict[tuple[str, ...], float]
FLAVORS = "/v1.0/{project}/flavors/{flavor}"


@pytest.fixture
def fresh(make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, catalog: Catalog) -> Api:
    """An application that nobody has asked anything yet."""
    wakes = Wakes()
    return Api(app.make(make_conf(catalog_url), catalog, Offers(), wakes), catalog, wakes)


def samples(text: str, name: str, *labels: str) -> Samples:
    """Return the values of a figure by these labels."""
    return {
        tuple(sample.labels[label] for label in labels): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def test_requests_are_counted_by_route_and_code(fresh: Api) -> None:
    fresh.ask("GET", "/flavors/1")
    fresh.ask("GET", "/flavors/1")
    fresh.ask("GET", "/flavors/none")
    fresh.ask("GET", "/nothing/here")
    fresh.simulate_get("/v1.0")
    answer = fresh.simulate_get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    counted = samples(answer.text, "dbaas_api_requests_total", "method", "route", "code")
    assert counted == {
        ("GET", FLAVORS, "200"): 2,
        ("GET", FLAVORS, "404"): 1,
        ("", "", "404"): 1,
        ("GET", "/v1.0", "200"): 1,
    }


def test_durations_are_counted_in_buckets_that_include_the_shorter_ones() -> None:
    figures = RequestFigures([("GET", "/a")])
    for seconds in (0.0001, 0.03, 0.05, 100.0):
        figures.count("GET", "/a", 200, seconds)
    text = text_of(figures)
    buckets = samples(text, "dbaas_api_request_seconds_bucket", "route", "le")
    expected = {"0.001": 1, "0.025": 1, "0.05": 3, "20.0": 3, "+Inf": 4}
    assert {le: buckets["/a", le] for le in expected} == expected
    assert samples(text, "dbaas_api_request_seconds_count", "route") == {("/a",): 4}
    assert samples(text, "dbaas_api_request_seconds_sum", "route")["/a",] == pytest.approx(100.0801)


def test_any_worker_answers_for_all() -> None:
    figures = RequestFigures([("GET", "/a")])
    pid = os.fork()
    if pid == 0:
        figures.count("GET", "/a", 503, 0.1)
        os._exit(0)
    os.waitpid(pid, 0)
    figures.count("GET", "/a", 503, 0.1)
    text = text_of(figures)
    assert samples(text, "dbaas_api_requests_total", "code") == {("503",): 2}


def test_what_clients_choose_is_in_no_label(fresh: Api) -> None:
    for n in range(20):
        fresh.ask("GET", f"/flavors/f{n}")
        fresh.ask("GET", f"/unheard-of-{n}")
        fresh.simulate_request("TRACE" if n % 2 else "PUT", "/")
    text = fresh.simulate_get("/metrics").text
    assert fresh.project not in text
    labels = samples(text, "dbaas_api_requests_total", "method", "route", "code")
    assert len(labels) <= 4, labels


def text_of(figures: RequestFigures) -> str:
    resource = Figures(figures)
    return resource._metrics.text().decode()
