"""A task manager dies at every point of every flow, forwards and back; another one goes on.

Nothing may get stuck, leak or happen twice, and the quota stays exact. The points are computed
(`tests.chaos.points`), so a flow is covered as soon as somebody can ask for it. The delay that
deaths cause is an operation's duration less that of one that nothing happened to.
"""

import itertools
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from dbaas.common.killpoints import Side
from dbaas.taskmanager.flows import FLOWS
from tests.catalog_server import CatalogServer
from tests.chaos import points, requests
from tests.chaos.ground import Ground, create_many
from tests.chaos.points import Point
from tests.outcomes import Part, Tell

TOGETHER = 4
"""Instances that are worked on, and deaths that may happen, at the same time."""

SAMPLE = 6
"""Every which point is tried unless all are asked for."""


@dataclass
class Report:
    """What the tests count, printed at the end; delays in seconds."""

    fired: list[Point] = field(default_factory=list)
    undisturbed: dict[str, float] = field(default_factory=dict)
    delays: list[float] = field(default_factory=list)
    stuck: int = 0
    leaked: int = 0
    twice: list[str] = field(default_factory=list)

    def tell(self, tell: Tell) -> None:
        delays = sorted(self.delays) or [0.0]
        p99 = delays[min(len(delays) - 1, round(0.99 * len(delays)))]
        tell(
            Part.KILL_POINTS,
            f"task managers die at {len(self.fired)} points, up to {TOGETHER} of them at once",
            f"{self.stuck} stuck, {self.leaked} leaked, {len(self.twice)} double effects; an "
            f"operation takes longer by {statistics.median(delays):.1f} s (median), {p99:.1f} s "
            f"(p99), {delays[-1]:.1f} s (worst)",
            delays[-1],
        )


@pytest.fixture(scope="module")
def report(tell: Tell) -> Iterator[Report]:
    made = Report()
    yield made
    made.tell(tell)


@pytest.fixture(scope="module")
def every_point(
    catalog_server: CatalogServer, tmp_path_factory: pytest.TempPathFactory
) -> list[Point]:
    home: Path = tmp_path_factory.mktemp("rehearsal")
    return points.all_points(catalog_server.fresh(), home)


@pytest.fixture(scope="module")
def chosen(every_point: list[Point], thorough: bool) -> list[Point]:
    return every_point if thorough else every_point[::SAMPLE]


def test_without_a_death_everything_ends_and_nothing_is_left(
    ground: Ground, report: Report
) -> None:
    create_and_change(ground, report, {})  # the first of everything is slower
    report.delays.clear()
    report.undisturbed.clear()
    create_and_change(ground, report, {})
    assert_sound(ground, report)


def test_an_operation_whose_task_manager_dies_is_carried_on_by_another(
    ground: Ground, report: Report, chosen: list[Point]
) -> None:
    waiting = {kind: iter_of(chosen, kind) for kind in (requests.CREATE, *requests.CHANGES)}
    while batch := {kind: taken for kind, left in waiting.items() if (taken := take(left))}:
        create_and_change(ground, report, batch)
        assert_sound(ground, report)
    assert [point for point in chosen if not point.undo and point not in report.fired] == []


def test_an_operation_whose_task_manager_dies_is_undone_by_another(
    ground: Ground, report: Report, chosen: list[Point]
) -> None:
    for kind in (requests.CREATE, *requests.CHANGES):
        wanted = [point for point in chosen if point.undo and point.kind == kind]
        for batch in batches(wanted):
            undo(ground, report, kind, batch)
            assert_sound(ground, report)
    assert [point for point in chosen if point.undo and point not in report.fired] == []


def iter_of(chosen: Sequence[Point], kind: str) -> Iterator[Point]:
    return iter([point for point in chosen if point.kind == kind and not point.undo])


def take(left: Iterator[Point]) -> list[Point]:
    return list(itertools.islice(left, TOGETHER))


def batches(wanted: Sequence[Point]) -> Iterator[list[Point]]:
    left = iter(wanted)
    while batch := take(left):
        yield batch


def create_and_change(ground: Ground, report: Report, deaths: dict[str, list[Point]]) -> None:
    """Have some instances live their whole lives at the same time, with deaths of these kinds."""
    ground.arm(deaths.get(requests.CREATE, ()))
    instances = create_many(ground, TOGETHER)
    settle(ground, report, instances, deaths.get(requests.CREATE, []), "ACTIVE")
    for kind, change in requests.lived(deaths or requests.CHANGES).items():
        if change.shows == "GONE":
            for instance in instances:
                report.twice += ground.made_twice(instance) + ground.not_done_once(instance)
        ground.arm(deaths.get(kind, ()))
        for instance in instances:
            change.ask(ground, instance)
        settle(ground, report, instances, deaths.get(kind, []), change.shows)


def settle(
    ground: Ground, report: Report, instances: list[str], deaths: list[Point], shows: str
) -> None:
    """Wait for the end of what the instances do; see that it is the right one, and how long."""
    ground.wait_until_idle(instances)
    assert ground.armed() == set(), "nobody came by these points"
    report.fired += deaths
    for instance in instances:
        ended = ground.last(instance)
        assert ended.state == "succeeded", ground.explain([instance])
        assert ground.shown(instance) == shows
        if deaths:
            report.delays.append(max(0.0, ended.seconds - report.undisturbed[ended.kind]))
        else:
            known = report.undisturbed.get(ended.kind, 0.0)
            report.undisturbed[ended.kind] = max(known, ended.seconds)
    assert ground.usage().items() >= ground.living().items()


def undo(ground: Ground, report: Report, kind: str, deaths: list[Point]) -> None:
    """Have operations undone while task managers die, and delete what is left then."""
    stop = fail_at_the_end if kind == requests.CREATE else give_up
    instances = stop(ground, kind, deaths)
    assert ground.armed() == set(), "nobody came by these points"
    report.fired += deaths
    for instance in instances:
        assert {e.kind: e.state for e in ground.history(instance)}[kind] in ("failed", "cancelled")
        report.twice += ground.made_twice(instance)
    assert ground.usage().items() >= ground.living().items()
    for instance in instances:
        requests.delete_instance(ground, instance)
    ground.wait_until_idle(instances)
    assert {ground.shown(instance) for instance in instances} == {"GONE"}


def fail_at_the_end(ground: Ground, _kind: str, deaths: list[Point]) -> list[str]:
    """Ask for instances of which the database server itself finds that they cannot be."""
    ground.arm(deaths)
    instances = [requests.create_instance(ground, doomed=True) for _ in range(TOGETHER)]
    ground.wait_until_idle(instances)
    assert {ground.shown(instance) for instance in instances} == {"ERROR"}
    return instances


def give_up(ground: Ground, kind: str, deaths: list[Point]) -> list[str]:
    """Stop each operation at the last step that can be undone: it dies there, and meanwhile the
    tenant, who wants the instance no more, resets its status."""
    instances = create_many(ground, len(deaths))
    ground.wait_until_idle(instances)
    flow = FLOWS[kind]
    last = points.last_that_undoes(flow)
    assert last is not None
    hold = Point(kind, flow.steps[last].name, Side.BEFORE_INTENT)
    for instance, death in zip(instances, deaths, strict=True):
        ground.arm([hold, death])
        requests.CHANGES[kind].ask(ground, instance)
        ground.wait_until_fired(hold)
        requests.reset_status(ground, instance)
        ground.wait_until_idle([instance])
    return instances


def assert_sound(ground: Ground, report: Report) -> None:
    report.stuck += ground.stuck()
    report.leaked += bool(ground.leaked())
    assert report.twice == []
    ground.assert_nothing_left()
