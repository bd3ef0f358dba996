"""Messages come twice, late, in another order or once more much later, in both directions.

A guest must do once what it was asked once, nothing may be lost, and what is known of a guest never
goes back in time. What is done to which message follows from a seed, which a failure shows.
"""

import json
import time
from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import amqp
import pytest

from dbaas.cloud.local.namespaces import VOLUME
from dbaas.manage.stack.broker import CONTROL_VHOST
from dbaas.rpc import broker
from dbaas.rpc.control import TOPIC
from tests.chaos import relay, requests
from tests.chaos.ground import Ground, create_many
from tests.chaos.relay import Beats, Mischief
from tests.functional.guest import SERVER, Guest
from tests.outcomes import Part, Tell

TOGETHER = 2
EXCHANGE = "openstack"
"""Where oslo.messaging sends what is for a topic (`control_exchange`)."""


@pytest.mark.parametrize(
    "mischief",
    [
        pytest.param(relay.duplicated, marks=pytest.mark.thorough),
        pytest.param(relay.reordered, marks=pytest.mark.thorough),
        pytest.param(relay.delayed, marks=pytest.mark.thorough),
        pytest.param(relay.replayed, marks=pytest.mark.thorough),
        relay.all_of_it,
    ],
)
def test_all_is_done_once_whatever_becomes_of_its_messages(
    ground: Ground, tell: Tell, seed: int, mischief: Mischief
) -> None:
    with relay.between(ground, mischief, seed) as between, Beats.watched(ground) as beats:
        instances = create_many(ground, TOGETHER)
        for instance in instances:
            between.intercept(instance)
        longest = live(ground, instances)
        assert between.recorded
        for instance in instances:
            assert_once(ground, instance)
        before = [state(ground, instance) for instance in instances]
        again = between.replay_everything()
        time.sleep(1.0)  # seconds in which it would have been believed
        assert [state(ground, instance) for instance in instances] == before
        for instance in instances:
            assert_once(ground, instance)
        ground.delete_all(instances)
        between.replay_everything()
    ground.assert_nothing_left()
    assert beats.backwards == []
    assert beats.seen > TOGETHER
    assert between.passed_on >= len(between.recorded) + again
    tell(
        Part.MESSAGES,
        f"{TOGETHER} instances' messages, both ways: {mischief.__name__.replace('_', ' ')}, and all"
        " once more in the end",
        "each command is carried out once, heartbeats never go back",
        longest,
    )


@pytest.mark.thorough
@pytest.mark.parametrize("copies", [0, 50])
def test_wakes_may_be_lost_or_come_again_and_again(ground: Ground, tell: Tell, copies: int) -> None:
    """A task manager polls, and looks at nothing that is not due."""
    url = relay.configuration(ground)[broker.GROUP].url.rpartition("/")[0]
    connection = relay.connect(f"{url}/{CONTROL_VHOST}")
    channel = connection.channel()
    channel.queue_unbind(TOPIC, EXCHANGE, TOPIC)
    try:
        instances = create_many(ground, TOGETHER)
        told = waking(channel, ground, instances, copies)
        longest = live(ground, instances)
    finally:
        channel.queue_bind(TOPIC, EXCHANGE, TOPIC)
        connection.close()
    for instance in instances:
        assert_once(ground, instance)
    assert told == copies * len(instances)
    what = f"each operation is woken {copies} times" if copies else "every wake is lost"
    tell(Part.MESSAGES, what, "all operations of an instance's life are done once", longest)
    ground.delete_all(instances)
    ground.assert_nothing_left()


def waking(channel: Any, ground: Ground, instances: Sequence[str], copies: int) -> int:
    """Wake the operations of these as often; return how many wakes were sent."""
    listed = ", ".join(f"'{instance}'" for instance in instances)
    rows = ground.sql(f"SELECT id FROM operations WHERE instance_id IN ({listed})")
    for row in rows * copies:
        call = {"method": "wake", "args": {"operation_id": row["id"]}, "_unique_id": uuid4().hex}
        text = json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(call)})
        kind = {"content_type": "application/json", "content_encoding": "utf-8"}
        channel.basic_publish(amqp.Message(text, **kind), "", TOPIC)
    return len(rows) * copies


def live(ground: Ground, instances: Sequence[str]) -> float:
    """Have them do everything but be deleted; return the seconds of the slowest operation."""
    ground.wait_until_done(instances, "ACTIVE")
    longest = max(ground.last(instance).seconds for instance in instances)
    for change in requests.CHANGES.values():
        if change.shows == "GONE":
            continue
        for instance in instances:
            change.ask(ground, instance)
        ground.wait_until_done(instances, change.shows)
        longest = max(longest, *(ground.last(instance).seconds for instance in instances))
    return longest


def assert_once(ground: Ground, instance: str) -> None:
    assert ground.not_done_once(instance) == []
    assert ground.made_twice(instance) == []


def state(ground: Ground, instance: str) -> tuple[object, ...]:
    """Return what must not change because of an old message."""
    shown = ground.details(instance)
    guest = Guest(ground.stack, instance)
    databases = guest.run("sh", "-c", f"ls -d {VOLUME}/*/*/ {VOLUME}/*/")
    return (
        shown["status"],
        shown["operating_status"],
        shown["volume"]["size"],
        databases,
        guest.processes(SERVER),
    )
