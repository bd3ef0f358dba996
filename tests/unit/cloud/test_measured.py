"""Calls of any cloud are timed by their names and ends."""

import pytest
from prometheus_client.parser import text_string_to_metric_families

from dbaas.cloud.base import PortOrder
from dbaas.cloud.measured import MeasuredCloud
from dbaas.common.metrics import Metrics
from dbaas.contract import errors
from tests.fakes.cloud import FakeCloud


def test_each_call_is_passed_on_and_counted_by_its_end() -> None:
    cloud, metrics = FakeCloud(), Metrics()
    measured = MeasuredCloud(cloud, metrics)
    made = measured.networks.create_port(PortOrder("p"))
    assert cloud.networks.find_port("p") == made
    with pytest.raises(errors.Conflict):
        measured.networks.create_port(PortOrder("p"))
    counted = {
        (sample.labels["call"], sample.labels["outcome"]): sample.value
        for family in text_string_to_metric_families(metrics.text().decode())
        for sample in family.samples
        if sample.name == "dbaas_cloud_seconds_count"
    }
    assert counted == {("create_port", "done"): 1, ("create_port", "Conflict"): 1}


def test_what_is_known_of_the_cloud_stays_so() -> None:
    cloud = FakeCloud()
    measured = MeasuredCloud(cloud, Metrics())
    assert measured.settle_time == cloud.settle_time
    assert measured.poll_interval == cloud.poll_interval
    assert measured.probes() == cloud.probes()
