"""The API dies at each point of accepting a request, and the client repeats it: done once.

The points are computed (`tests.chaos.points`): each statement of the transaction, its begin and
its commit, and what follows until the answer.
"""

import time
from collections import deque

import pytest

from tests.catalog_server import CatalogServer
from tests.chaos import points, requests
from tests.chaos.ground import Ground
from tests.chaos.persistence import Persistent
from tests.chaos.points import Point
from tests.outcomes import Part, Tell

TOGETHER = 4
"""Instances that live at the same time."""

SAMPLE = 12
"""Every which point is tried unless all are asked for."""

Deaths = dict[str, deque[Point]]


@pytest.fixture(scope="module")
def deaths(
    catalog_server: CatalogServer, tmp_path_factory: pytest.TempPathFactory, thorough: bool
) -> Deaths:
    home = tmp_path_factory.mktemp("rehearsal")
    found = points.points_of_accepting(catalog_server.fresh(), home)
    listed = [(kind, point) for kind, reached in found.items() for point in reached]
    chosen = listed if thorough else listed[::SAMPLE]
    return {kind: deque(point for of, point in chosen if of == kind) for kind in found}


def test_a_request_whose_api_dies_is_accepted_once_and_answered_the_same(
    ground: Ground, tell: Tell, deaths: Deaths
) -> None:
    tenant = Persistent(ground.stack)
    number = sum(map(len, deaths.values()))
    slowest = 0.0
    while any(deaths.values()):
        slowest = max(slowest, live_a_life(ground, tenant, deaths))
    assert tenant.repeated == number
    tell(
        Part.SERVICES,
        f"the API dies at {number} points of accepting a request",
        "repeated under its Idempotency-Key, each is accepted once and answered as the first time; "
        "the quota is exact",
        slowest,
    )
    ground.assert_nothing_left()


def live_a_life(ground: Ground, tenant: Persistent, deaths: Deaths) -> float:
    """Have instances live their lives, each request with a death while there are any; return how
    long the slowest answer took."""
    instances: list[str] = []
    slowest = 0.0
    for _ in range(max(1, min(TOGETHER, len(deaths[requests.CREATE])))):
        name = f"died-{time.monotonic_ns()}"
        began = time.monotonic()
        arm_next(ground, deaths[requests.CREATE])
        instances.append(requests.create_instance(tenant, name))
        slowest = max(slowest, time.monotonic() - began)
        assert_fired(ground)
        rows = ground.sql(f"SELECT id FROM instances WHERE name = '{name}'")
        assert [row["id"] for row in rows] == [instances[-1]]
        assert [ended.kind for ended in ground.history(instances[-1])] == [requests.CREATE]
    assert ground.usage().items() >= ground.living().items()
    ground.wait_until_done(instances, "ACTIVE")
    for kind, change in requests.lived([kind for kind in deaths if deaths[kind]]).items():
        for instance in instances:
            before = [ended.kind for ended in ground.history(instance)]
            began = time.monotonic()
            arm_next(ground, deaths[kind])
            change.ask(tenant, instance)
            slowest = max(slowest, time.monotonic() - began)
            assert_fired(ground)
            assert [ended.kind for ended in ground.history(instance)] == [*before, kind]
        ground.wait_until_done(instances, change.shows)
        assert ground.usage().items() >= ground.living().items()
    return slowest


def arm_next(ground: Ground, deaths: deque[Point]) -> None:
    if deaths:
        ground.arm([deaths.popleft()])


def assert_fired(ground: Ground) -> None:
    assert ground.armed() == set(), "nobody came by this point"
