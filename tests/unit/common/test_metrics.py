"""Where a process shows its figures."""

import socket
import urllib.request
from collections.abc import Iterator

import pytest
from oslo_config import cfg

from dbaas.common import metrics
from dbaas.common.metrics import GaugeMetricFamily, Metric, Metrics
from dbaas.contract import errors


def configured(port: int) -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf.register_opts(metrics.OPTS, group=metrics.GROUP)
    conf([], default_config_files=[])
    conf.set_override("bind_port", port, group=metrics.GROUP)
    return conf


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def test_figures_are_shown_where_the_operator_wants_them() -> None:
    made, port = Metrics(), free_port()
    made.counter("dbaas_things", "Things.", "kind").labels("good").inc(3)
    end = made.serve(configured(port))
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            assert b'dbaas_things_total{kind="good"} 3.0' in answer.read()
    finally:
        end()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10)


def test_without_a_port_they_are_shown_nowhere() -> None:
    Metrics().serve(configured(0))()


def test_a_port_that_another_has_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(errors.Invalid, match=rf"\[metrics\] 127.0.0.1:{port}: "):
            Metrics().serve(configured(port))


def test_what_cannot_be_looked_up_is_left_out() -> None:
    made = Metrics()

    def look() -> Iterator[Metric]:
        yield GaugeMetricFamily("dbaas_first", "It is there.", value=1)
        raise errors.Unavailable("the rest is not")

    made.looked_up(look)
    made.counter("dbaas_others", "Others.").inc()
    text = made.text().decode()
    assert "dbaas_first 1.0" in text
    assert "dbaas_others_total 1.0" in text
