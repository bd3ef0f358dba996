"""Random requests and random faults at the same time, for a while; then all must be well.

Usually these are the same few schedules; with all chaos tests they are new ones each time, and with
`DBAAS_CHAOS_SCHEDULES` so many new ones. The seed is printed. `DBAAS_CHAOS_SEED` runs that schedule
again, `DBAAS_CHAOS_SECONDS` says how long each is. The same seed gives the same schedule; what it
meets when may differ.
"""

import logging
import os
import random
from collections.abc import Iterator

import pytest

from dbaas.common.killpoints import Side
from dbaas.conductor.service import Moment
from dbaas.manage.stack import broker, catalog
from tests.catalog_server import CatalogServer
from tests.chaos import points, schedules
from tests.chaos.ground import Ground
from tests.chaos.points import Point
from tests.chaos.stage import Stage
from tests.outcomes import Part, Tell

LOG = logging.getLogger(__name__)
"""What a test logs is shown when it fails."""

USUAL_SEEDS = [166326609, 20261120]
THOROUGH_SCHEDULES = 20


def seeds() -> list[int]:
    if given := os.environ.get("DBAAS_CHAOS_SEED"):
        return [int(given)]
    thorough = THOROUGH_SCHEDULES if os.environ.get("DBAAS_CHAOS") == "all" else 0
    if number := int(os.environ.get("DBAAS_CHAOS_SCHEDULES", thorough)):
        return [random.SystemRandom().randrange(10**9) for _ in range(number)]
    return USUAL_SEEDS


SECONDS = float(os.environ.get("DBAAS_CHAOS_SECONDS", "25"))


@pytest.fixture(scope="module")
def kill_points(
    catalog_server: CatalogServer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, list[Point]]:
    """Those of task managers, of the API and of conductors, by the kind of request.

    Without those on the way back: it is seldom that anything is undone.
    """
    flows = points.all_points(catalog_server.fresh(), tmp_path_factory.mktemp("flows"))
    accepting = points.points_of_accepting(
        catalog_server.fresh(), tmp_path_factory.mktemp("accepting")
    )
    moments = [Point("event", moment, Side.AFTER_CALL) for moment in Moment]
    return {
        kind: [
            *reached,
            *moments,
            *(point for point in flows if point.kind == kind and not point.undo),
        ]
        for kind, reached in accepting.items()
    }


@pytest.fixture(scope="module")
def survived(tell: Tell) -> Iterator[list[Stage]]:
    """What was played to a good end."""
    stages: list[Stage] = []
    yield stages
    if stages:
        tell(
            Part.SCHEDULES,
            f"{len(stages)} random schedules of {SECONDS:.0f} s",
            f"{sum(stage.faults for stage in stages)} faults and "
            f"{sum(stage.deaths for stage in stages)} deaths at kill points during "
            f"{sum(len(stage.accepted) for stage in stages)} accepted requests; each ended, "
            f"{sum(stage.failures for stage in stages)} of them in an explained failure; 0 stuck, "
            "0 leaked, none done twice, quota exact, and "
            f"{sum(len(stage.clerk.acknowledged) for stage in stages)} acknowledged rows are all "
            "there; "
            f"seeds {', '.join(str(stage.seed) for stage in stages)}",
            max(stage.seconds_to_recover for stage in stages),
        )


@pytest.mark.parametrize("seed", seeds())
def test_after_a_random_schedule_all_is_well(
    ground: Ground, kill_points: dict[str, list[Point]], survived: list[Stage], seed: int
) -> None:
    programs = [name for name in ground.programs().states() if name != broker.NAMES]
    assert catalog.CATALOG in programs
    events = schedules.schedule(seed, SECONDS, programs, kill_points)
    told = "\n".join(map(str, events))
    LOG.warning("DBAAS_CHAOS_SEED=%d DBAAS_CHAOS_SECONDS=%.0f\n%s", seed, SECONDS, told)
    stage = Stage(ground, seed)
    try:
        stage.play(events)
    finally:
        stage.repair()
    assert stage.violations() == []
    survived.append(stage)
