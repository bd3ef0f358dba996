"""Whoever reads slowly or not at all for a while gets everything then, and nothing twice."""

import time

import pytest

from tests.chaos import requests
from tests.chaos.ground import Ground, create_many
from tests.frozen import frozen
from tests.functional.guest import AGENT, Guest
from tests.outcomes import Part, Tell

FROZEN_SECONDS = 10.0
HICCUPS = 40


@pytest.mark.thorough
def test_what_guests_say_while_the_conductor_hangs_is_heard_afterwards(
    ground: Ground, tell: Tell
) -> None:
    instances = create_many(ground, 2)
    ground.wait_until_done(instances, "ACTIVE")
    conductor = ground.programs().states()["dbaas-conductor"].pid
    with frozen(conductor):
        for instance in instances:
            requests.restart_instance(ground, instance)
        instances += create_many(ground, 2)
        ground.sleep(FROZEN_SECONDS)
        assert [ground.shown(instance) for instance in instances] == [
            *["REBOOT"] * 2,
            *["BUILD"] * 2,
        ]
    back = time.monotonic()
    ground.wait_until_done(instances, "ACTIVE")
    tell(
        Part.MESSAGES,
        f"the conductor hangs for {FROZEN_SECONDS:.0f} s while guests answer 2 restarts and 2 "
        "creates",
        "all is heard when it goes on",
        time.monotonic() - back,
    )
    for instance in instances:
        assert ground.not_done_once(instance) == []
    ground.delete_all(instances)
    ground.assert_nothing_left()


@pytest.mark.thorough
def test_commands_to_an_agent_that_hangs_are_done_once_when_it_goes_on(
    ground: Ground, tell: Tell
) -> None:
    """Meanwhile each command is published again, and waits for the agent that often."""
    (instance,) = create_many(ground, 1)
    ground.wait_until_done([instance], "ACTIVE")
    with frozen(*Guest(ground.stack, instance).processes(AGENT)):
        requests.restart_instance(ground, instance)
        ground.sleep(FROZEN_SECONDS * 2.5)
        assert ground.shown(instance) == "REBOOT"
    back = time.monotonic()
    ground.wait_until_done([instance], "ACTIVE")
    tell(
        Part.MESSAGES,
        f"an agent hangs for {FROZEN_SECONDS * 2.5:.0f} s while its instance is to restart",
        "the database server restarts once when it goes on",
        time.monotonic() - back,
    )
    assert ground.not_done_once(instance) == []
    ground.delete_all([instance])
    ground.assert_nothing_left()


@pytest.mark.thorough
def test_an_agent_that_works_by_fits_and_starts_does_everything_once(
    ground: Ground, tell: Tell
) -> None:
    (instance,) = create_many(ground, 1)
    ground.wait_until_done([instance], "ACTIVE")
    agents = Guest(ground.stack, instance).processes(AGENT)
    longest = 0.0
    for kind in ("restart_instance", "resize_volume", "ask_guest", "resize_flavor"):
        requests.CHANGES[kind].ask(ground, instance)
        for _ in range(HICCUPS):
            with frozen(*agents):
                ground.sleep(0.1)
            ground.sleep(0.02)
        ground.wait_until_done([instance], "ACTIVE")
        longest = max(longest, ground.last(instance).seconds)
    tell(
        Part.MESSAGES,
        "an agent works for 20 ms and hangs for 100 ms, again and again",
        "a restart, both resizes and a request for a database are done once",
        longest,
    )
    assert ground.not_done_once(instance) == []
    ground.delete_all([instance])
    ground.assert_nothing_left()
