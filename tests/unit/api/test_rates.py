"""Limits of requests a minute, by project and kind of request."""

import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from oslo_config import cfg

from dbaas.api import app, rates
from dbaas.api.rates import RULES, Rates
from dbaas.catalog.unit import Catalog
from dbaas.contract import errors
from tests.unit.api.conftest import Api, Offers, Wakes

POST, PUT, DELETE, GET, MANAGEMENT = RULES


@pytest.fixture
def few(make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str) -> cfg.ConfigOpts:
    return make_conf(catalog_url, http_get_rate=3, http_post_rate=60, http_mgmt_post_rate=2)


@pytest.fixture
def limited(few: cfg.ConfigOpts, catalog: Catalog) -> Api:
    wakes = Wakes()
    return Api(app.make(few, catalog, Offers(), wakes), catalog, wakes)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Give a function that lets seconds pass; none do otherwise."""
    now = [time.monotonic()]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])

    def go(seconds: float) -> None:
        now[0] += seconds

    return go


def test_what_is_too_much_is_refused_in_the_words_that_clients_know(
    limited: Api, clock: Callable[[float], None]
) -> None:
    for _ in range(3):
        assert limited.ask("GET", "/flavors").status_code == 200
    answer = limited.ask("GET", "/flavors")
    assert answer.status_code == 413
    assert answer.headers["retry-after"] == "20"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    assert answer.json == {
        "overLimit": {
            "code": 413,
            "message": "This request was rate-limited.",
            "details": "Only 3 GET request(s) can be made to * every minute.",
            "retryAfter": "20",
        }
    }
    clock(19.5)
    assert limited.ask("GET", "/flavors").headers["retry-after"] == "1"
    clock(0.6)
    assert limited.ask("GET", "/flavors").status_code == 200
    assert limited.ask("GET", "/flavors").status_code == 413


def test_a_minute_later_all_of_it_is_there_again_and_no_more(
    few: cfg.ConfigOpts, clock: Callable[[float], None]
) -> None:
    made = Rates(few.api)
    assert [made.take("p", GET) > 0 for _ in range(4)] == [False, False, False, True]
    clock(600.0)
    assert [made.take("p", GET) > 0 for _ in range(4)] == [False, False, False, True]


def test_projects_and_verbs_do_not_share(few: cfg.ConfigOpts) -> None:
    made = Rates(few.api)
    for _ in range(4):
        made.take("p", GET)
    assert made.take("p", GET) > 0
    assert made.take("q", GET) == 0
    assert made.take("p", DELETE) == 0


def test_patch_and_what_needs_no_authentication_are_unlimited(limited: Api) -> None:
    path = f"/instances/{uuid.uuid4()}"
    for _ in range(300):
        assert limited.ask("PATCH", path, {"instance": {"name": "x1"}}).status_code == 404
    for _ in range(5):
        assert limited.simulate_get("/healthcheck").status_code == 200


def test_posts_to_management_have_a_limit_beside_that_of_all_posts(limited: Api) -> None:
    path = f"/mgmt/instances/{uuid.uuid4()}/action"
    statuses = [limited.ask("POST", path, {"stop": {}}).status_code for _ in range(3)]
    assert 413 not in statuses[:2]
    answer = limited.ask("POST", path, {"stop": {}})
    assert answer.status_code == 413
    assert "Only 2 POST request(s) can be made to */mgmt" in answer.json["overLimit"]["details"]
    assert limited.ask("POST", "/instances", {}).status_code == 400


def test_limits_show_what_is_left(limited: Api) -> None:
    limited.ask("GET", "/flavors")
    shown = limited.ask("GET", "/limits").json["limits"]
    assert {(rate["verb"], rate["uri"]): rate["remaining"] for rate in shown[1:]} == {
        ("GET", "*"): 1,
        ("POST", "*"): 60,
        ("PUT", "*"): 200,
        ("DELETE", "*"): 200,
        ("POST", "*/mgmt"): 2,
    }
    assert {rate["value"] for rate in shown[1:]} == {2, 3, 60, 200}


def test_services_of_one_host_count_in_one_file(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, tmp_path: Path
) -> None:
    conf = make_conf(catalog_url, http_get_rate=3, rates_file=str(tmp_path / "rates"))
    one, other = Rates(conf.api), Rates(conf.api)
    assert [service.take("p", GET) for service in (one, other, one)] == [0.0, 0.0, 0.0]
    assert other.take("p", GET) > 0


def test_a_file_that_cannot_be_stops_the_service(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, tmp_path: Path
) -> None:
    conf = make_conf(catalog_url, rates_file=str(tmp_path / "none" / "rates"))
    with pytest.raises(errors.Invalid, match="rates_file"):
        Rates(conf.api)


def test_a_file_from_before_the_hosts_start_limits_nobody(
    few: cfg.ConfigOpts, clock: Callable[[float], None]
) -> None:
    made = Rates(few.api)
    for _ in range(4):
        made.take("p", GET)
    clock(-1000.0)
    assert made.take("p", GET) == 0


def test_more_projects_than_there_is_place_for_are_served(
    few: cfg.ConfigOpts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rates, "SETS", 2)
    made = Rates(few.api)
    assert not any(made.take(str(n), GET) for n in range(100))
