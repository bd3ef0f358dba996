"""Task managers die at random points of creates and deletes over a real Nova; others go on.

`DBAAS_CHAOS_SEED` chooses the same points again.
"""

import os
import random
from collections import Counter
from collections.abc import Sequence

import pytest

from tests import catalog_server
from tests.chaos import points
from tests.chaos.points import Point
from tests.openstack.deployment import Deployment
from tests.outcomes import Part, Tell

DEATHS = {"create_instance": 10, "delete_instance": 5}
TOGETHER = 3
"""Instances that are built at the same time, each with a death: an emulated processor is slow."""


@pytest.fixture(scope="module")
def seed() -> int:
    return int(os.environ.get("DBAAS_CHAOS_SEED") or random.SystemRandom().randrange(10**9))


@pytest.fixture(scope="module")
def chosen(
    on_the_box: None, seed: int, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Point]]:
    with catalog_server.running() as server:
        every = points.all_points(server.fresh(), tmp_path_factory.mktemp("rehearsal"))
    chance = random.Random(seed)  # no secret
    return {
        kind: chance.sample([one for one in every if one.kind == kind and not one.undo], count)
        for kind, count in DEATHS.items()
    }


def test_creates_and_deletes_end_as_without_the_deaths(
    deployment: Deployment, chosen: dict[str, list[Point]], seed: int, tell: Tell
) -> None:
    before = deployment.listings()
    creates, deletes = (batches(chosen[kind]) for kind in DEATHS)
    deletes += [[]] * (len(creates) - len(deletes))
    for dying, dying_then in zip(creates, deletes, strict=True):
        arm(deployment, dying)
        instances = [deployment.create(f"dies-{n}") for n in range(TOGETHER)]
        expect(deployment, instances, "create_instance")
        for instance in instances:
            assert deployment.details(instance)["status"] == "ACTIVE"
            assert made_twice(deployment, instance) == []
        arm(deployment, dying_then)
        for instance in instances:
            deployment.delete(instance)
        expect(deployment, instances, "delete_instance")
    assert deployment.listings() == before
    deployment.stack.manage("audit")
    told = ", ".join(str(point) for kind in DEATHS for point in chosen[kind])
    tell(
        Part.CLOUD,
        f"task managers die at {DEATHS['create_instance']} points of creates and "
        f"{DEATHS['delete_instance']} of deletes",
        f"each ends as without it, nothing is made twice or left (seed {seed}: {told})",
    )


def batches(wanted: Sequence[Point]) -> list[list[Point]]:
    return [list(wanted[n : n + TOGETHER]) for n in range(0, len(wanted), TOGETHER)]


def arm(deployment: Deployment, deaths: Sequence[Point]) -> None:
    for point in deaths:
        (deployment.tokens / str(point)).touch()


def expect(deployment: Deployment, instances: Sequence[str], kind: str) -> None:
    """Wait for the ends of the operations that were accepted last: each is as without a death."""
    for instance in instances:
        ended = deployment.wait_until_done(instance)
        assert (ended["kind"], ended["state"]) == (kind, "succeeded"), f"{ended}"
    assert list(deployment.tokens.iterdir()) == [], "nobody came by these points"


def made_twice(deployment: Deployment, instance: str) -> list[str]:
    rows = deployment.stack.sql(f"SELECT kind FROM ledger WHERE instance_id = '{instance}'")
    kinds = Counter(str(row["kind"]) for row in rows)
    return [kind for kind, count in kinds.items() if count > 1]
