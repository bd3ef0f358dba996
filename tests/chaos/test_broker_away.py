"""Accepting a request needs no broker; what was accepted is done when it is back."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.chaos import broker_faults, requests
from tests.chaos.ground import Ground
from tests.chaos.load import Load
from tests.outcomes import Part, Tell

ANSWER_SECONDS = 5.0
"""It takes some milliseconds; a wait for the broker would take 20 s and more."""

AWAY_SECONDS = 3.0

Fault = Callable[[Ground], AbstractContextManager[None]]


@pytest.mark.parametrize(
    "fault",
    [
        broker_faults.stopped,
        pytest.param(broker_faults.refused, marks=pytest.mark.thorough),
        broker_faults.without_guests_vhost,
        pytest.param(broker_faults.out_of_memory, marks=pytest.mark.thorough),
        pytest.param(broker_faults.closing_connections, marks=pytest.mark.thorough),
        pytest.param(broker_faults.frozen, marks=pytest.mark.thorough),
        pytest.param(broker_faults.out_of_disk, marks=pytest.mark.thorough),
        pytest.param(broker_faults.cut_off, marks=pytest.mark.thorough),
        pytest.param(broker_faults.without_control_vhost, marks=pytest.mark.thorough),
    ],
)
def test_requests_are_answered_at_once_and_each_is_done_once(
    ground: Ground, tell: Tell, fault: Fault
) -> None:
    assert_work_goes_on(ground, tell, fault, AWAY_SECONDS)


@pytest.mark.thorough
@pytest.mark.parametrize("fault", [broker_faults.stopped, broker_faults.cut_off])
def test_nothing_is_lost_while_the_broker_is_away_for_a_minute(
    ground: Ground, tell: Tell, fault: Fault
) -> None:
    assert_work_goes_on(ground, tell, fault, 60.0)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("what", "path"),
    [
        ("queue", "queues/guest/agent.{}"),
        ("exchange", "exchanges/guest/evt.{}"),
        ("user", "users/g-{}"),
    ],
)
def test_what_somebody_removes_of_a_guest_is_made_again(
    ground: Ground, tell: Tell, what: str, path: str
) -> None:
    instance = requests.create_instance(ground)
    ground.wait_until_done([instance], "ACTIVE")
    broker_faults.call(ground, "DELETE", path.format(instance))
    removed = time.monotonic()
    requests.restart_instance(ground, instance)
    ground.wait_until_done([instance], "ACTIVE")
    broker_faults.wait_until_heard(ground, instance, removed)
    tell(
        Part.BROKER,
        f"a guest's {what} is deleted",
        "it is made again, the guest comes back, and a restart that was asked for is done",
        time.monotonic() - removed,
    )
    assert ground.not_done_once(instance) == []
    ground.delete_all([instance])
    ground.assert_nothing_left()


def assert_work_goes_on(ground: Ground, tell: Tell, fault: Fault, seconds: float) -> None:
    standing = requests.create_instance(ground, "standing")
    ground.wait_until_done([standing], "ACTIVE")
    load = Load(ground, standing)
    with load.going_on():
        ground.sleep(0.3)
        with fault(ground):
            ground.sleep(seconds)
        back = time.monotonic()
    heard = broker_faults.wait_until_heard(ground, standing, back)
    load.wait_until_done()
    done = max(heard, time.monotonic() - back)
    tell(
        Part.BROKER,
        f"{fault.__name__.replace('_', ' ')} for {seconds:.0f} s",
        f"{len(load.created)} creates and reads are answered within {load.slowest:.2f} s each; "
        f"they and {len(load.databases)} new databases are done once; guests are heard again",
        done,
    )
    ground.delete_all(load.instances())
    ground.assert_nothing_left()
    assert load.refused == 0
    assert load.slowest < ANSWER_SECONDS
