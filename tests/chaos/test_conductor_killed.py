"""A conductor dies at each moment of an event: another one, or itself again, goes on with it."""

import pytest

from dbaas.common.killpoints import Side
from dbaas.conductor.service import Moment
from tests.chaos import requests
from tests.chaos.ground import Ground
from tests.chaos.points import Point
from tests.outcomes import Part, Tell


@pytest.fixture
def moments(thorough: bool) -> list[Moment]:
    return list(Moment) if thorough else [Moment.VERIFIED, Moment.RESULT_WRITTEN]


def test_an_answer_gets_to_its_operation_once_though_the_conductor_dies_with_it(
    ground: Ground, tell: Tell, moments: list[Moment]
) -> None:
    instance = requests.create_instance(ground)
    ground.wait_until_done([instance], "ACTIVE")
    for moment in moments:
        point = Point("event", moment, Side.AFTER_CALL)
        ground.arm([point])
        requests.create_database(ground, instance)
        ground.wait_until_fired(point)
        ground.wait_until_done([instance], "ACTIVE")
    longest = max(ended.seconds for ended in ground.history(instance))
    assert ground.not_done_once(instance) == []
    tell(
        Part.SERVICES,
        "the conductor dies when an event is "
        + ", ".join(moment.replace("_", " ") for moment in moments),
        "each answer gets to its operation, and each command is carried out once",
        longest,
    )
    ground.delete_all([instance])
    ground.assert_nothing_left()
