"""Clocks are five minutes off, or step: time is the catalog's, so nobody notices."""

import time
from collections.abc import Callable

import pytest
from cryptography import x509

from tests.chaos import clocks, requests
from tests.chaos.ground import Ground
from tests.outcomes import Part, Tell

OFF = 300.0
"""Seconds."""
NOTICEABLE = OFF / 5
"""Seconds: who waits for a moment by the wrong clock waits for the whole step, or not at all; a
host that has other work is slower by less."""


def live(ground: Ground, step: Callable[[float], None]) -> float:
    """Have instances live their lives while a clock steps; return how many seconds that took."""
    began = time.monotonic()
    first = requests.create_instance(ground, "first")
    ground.wait_until_done([first], "ACTIVE")
    second = requests.create_instance(ground, "second")
    ground.sleep(0.3)
    step(-OFF)
    requests.restart_instance(ground, first)
    ground.wait_until_done([first, second], "ACTIVE")
    requests.create_database(ground, first)
    requests.resize_volume(ground, second)
    ground.sleep(0.2)
    step(OFF)
    ground.wait_until_done([first, second], "ACTIVE")
    requests.delete_instance(ground, first)
    step(-OFF)
    ground.wait_until_done([first], "GONE")
    for instance in (first, second):
        assert {ended.state for ended in ground.history(instance)} == {"succeeded"}
    ground.delete_all([second])
    return time.monotonic() - began


def warm_up(ground: Ground) -> None:
    """Wait until all services do their work, which they began a moment ago."""
    instance = requests.create_instance(ground, "first")
    ground.wait_until_done([instance], "ACTIVE")
    ground.delete_all([instance])


def test_nothing_takes_longer_when_the_services_clocks_step(ground: Ground, tell: Tell) -> None:
    usual = live(ground, lambda _seconds: None)
    with clocks.of_services(ground, OFF) as clock:
        warm_up(ground)
        shifted = live(ground, clock.step)
        clock.step(OFF)
        ground.sleep(1.5)
        key = {"Idempotency-Key": "of-another-time"}
        body = {"instance": requests.order("certified")}
        answer = ground.stack.request("POST", "instances", body, headers=key)
        instance = str(answer.body["instance"]["id"])
        ground.wait_until_done([instance], "ACTIVE")
        clock.step(-OFF)
        ground.sleep(1.5)
        again = ground.stack.request("POST", "instances", body, headers=key)
        assert again.body["instance"]["id"] == instance
        ground.wait_until_done([instance], "ACTIVE")
        assert_certificate_was_made_ahead_and_is_valid(ground, instance)
        ground.delete_all([instance])
    tell(
        Part.CLOCK,
        f"the services' clocks step by {OFF:.0f} s, forth and back, in the middle of operations",
        "creates, restarts, resizes and deletes finish in their usual time; certificates are valid,"
        " keys of requests known",
        max(0.0, shifted - usual),
    )
    ground.assert_nothing_left()
    assert shifted < usual + NOTICEABLE


@pytest.mark.thorough
def test_nothing_takes_longer_when_a_guests_clock_steps(ground: Ground, tell: Tell) -> None:
    instance = requests.create_instance(ground)
    ground.wait_until_done([instance], "ACTIVE")
    usual = changed(ground, instance)
    clock = clocks.of_guest(ground, instance, OFF)
    ground.wait_for(lambda: boot(ground, instance) > time.time(), "a start in the future")
    ground.wait_for(lambda: ground.shown(instance) == "ACTIVE", "its health")
    ahead = changed(ground, instance)
    clock.step(-OFF)
    ground.sleep(1.5)
    behind = changed(ground, instance)
    last = boot(ground, instance)
    clocks.of_guest(ground, instance, -OFF)
    ground.wait_for(lambda: boot(ground, instance) == last + 1, "the next start")
    ground.wait_for(lambda: ground.shown(instance) == "ACTIVE", "its health")
    late = changed(ground, instance)
    tell(
        Part.CLOCK,
        f"a guest's clock is {OFF:.0f} s ahead, steps back, and its agent starts again behind",
        "it is heard, and restarted and asked in the usual time",
        max(0.0, ahead - usual, behind - usual, late - usual),
    )
    ground.delete_all([instance])
    ground.assert_nothing_left()
    assert max(ahead, behind, late) < usual + NOTICEABLE


def changed(ground: Ground, instance: str) -> float:
    """Have the guest do something, and be heard; return how many seconds that took."""
    began = time.monotonic()
    requests.restart_instance(ground, instance)
    ground.wait_until_done([instance], "ACTIVE")
    requests.create_database(ground, instance)
    ground.wait_until_done([instance], "ACTIVE")
    with ground.stack.database(ground.details(instance)) as link, link.cursor() as cursor:
        cursor.execute("SELECT 1")
    return time.monotonic() - began


def boot(ground: Ground, instance: str) -> int:
    """Return the number of the agent's start as it was heard: a time at first, then one more."""
    row = ground.sql(f"SELECT boot FROM guest_health WHERE instance_id = '{instance}'")[0]
    return int(row["boot"])


def assert_certificate_was_made_ahead_and_is_valid(ground: Ground, instance: str) -> None:
    row = ground.sql(f"SELECT certificate, created_at FROM instances WHERE id = '{instance}'")[0]
    begins = x509.load_pem_x509_certificate(row["certificate"].encode()).not_valid_before_utc
    margin = (row["created_at"] - begins.replace(tzinfo=None)).total_seconds()
    assert 3600 - OFF - 60 < margin < 3600 - OFF + 60
    with ground.stack.database(ground.details(instance)) as link, link.cursor() as cursor:
        cursor.execute("SELECT 1")
