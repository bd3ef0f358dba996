"""Computes the kill points: a dry run of every flow, forwards and back, notes which are reached,
and another one those of the API, which accepts the requests.

The requests are real ones to the real application, over a real catalog; cloud, guests and broker
are in memory, so it takes a moment.
"""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dbaas.common.killpoints import Reached, Side
from dbaas.contract import errors
from dbaas.taskmanager.flow import Flow
from dbaas.taskmanager.flows import FLOWS
from tests import rehearsal
from tests.chaos import backup_requests, requests
from tests.contract.test_archive_flows import archived
from tests.fakes.cloud import FakeCloud
from tests.rehearsal import Api, Rehearsal

SAMPLE = 5
OF_ARCHIVES = ("compact_archive", "prune_archive")
"""Flows that nobody asks for: an hour has to pass, or be told to have."""
OF_DUTIES = (*OF_ARCHIVES, "sweep_archive")
"""The last one comes when no leave is good any more: `tests/contract/test_archive_flows.py`."""


@dataclass(frozen=True)
class Point:
    """Where a process can be told to die; `undo`: on a flow's way back."""

    kind: str
    step: str
    side: Side

    @property
    def undo(self) -> bool:
        return self.step.startswith("undo_")

    def __str__(self) -> str:
        return f"{self.kind}:{self.step}:{self.side}"


def all_points(catalog_url: str, home: Path) -> list[Point]:
    """Return every point of every flow, in the order in which an operation reaches them."""
    asked_for = {requests.CREATE, *requests.CHANGES, *backup_requests.KINDS, *OF_DUTIES}
    assert asked_for == set(FLOWS), (
        "a flow that nobody asks for: say in tests/chaos/requests.py how a tenant does"
    )
    reached: list[Point] = []
    with rehearsal.rehearsing(catalog_url, home, FakeCloud()) as (api, stage):
        stage.reached = noting(reached)
        _forwards(api)
        forwards = len(reached)
        _back(api, stage)
    found = reached[:forwards] + [point for point in reached[forwards:] if point.undo]
    return [point for point in found if point.kind not in backup_requests.KINDS]


def points_of_backups(catalog_url: str, home: Path) -> list[Point]:
    """Return every point of the flows that are about backups, but for the way back of restores,
    which is that of creates."""
    reached: list[Point] = []
    with rehearsal.rehearsing(catalog_url, home, FakeCloud()) as (api, stage):
        instance = requests.create_instance(api)
        stage.reached = noting(reached)
        backup = backup_requests.create_backup(api, instance)
        backup_requests.restore_instance(api, backup)
        backup_requests.verify_backup(api, backup)
        backup_requests.delete_backup(api, backup)
        stage.sweep()
        backup_requests.back_up_and_delete(api, instance)
    return [point for point in reached if point.kind in backup_requests.KINDS]


def sample(every: list[Point], thorough: bool) -> list[Point]:
    """Return those that are tried: all of them, or every fifth."""
    return every if thorough else every[::SAMPLE]


def batches(chosen: Sequence[Point], kind: str, together: int) -> Iterator[list[Point]]:
    """Yield those of a kind, so many at a time."""
    left = iter([point for point in chosen if point.kind == kind])
    while batch := list(itertools.islice(left, together)):
        yield batch


def points_of_archives(catalog_url: str, home: Path) -> list[Point]:
    """Return every point of the flows that keep archives small."""
    reached: list[Point] = []
    with rehearsal.rehearsing(catalog_url, home, FakeCloud()) as (api, stage):
        archived(api, stage, requests.create_instance(api))
        stage.reached = noting(reached)
        stage.prune_archives()
        stage.compact_archives()
    return [point for point in reached if point.kind in OF_ARCHIVES]


def points_of_accepting(catalog_url: str, home: Path) -> dict[str, list[Point]]:
    """Return the points that the API reaches while it accepts each kind of operation."""
    found: dict[str, list[Point]] = {kind: [] for kind in (requests.CREATE, *requests.CHANGES)}
    with rehearsal.rehearsing(catalog_url, home, FakeCloud()) as (api, stage):
        stage.accepting = lambda *point: found[requests.CREATE].append(Point(*point))
        instance = requests.create_instance(api)
        for kind, change in requests.CHANGES.items():
            reached = found[kind]
            stage.accepting = lambda *point, reached=reached: reached.append(Point(*point))
            change.ask(api, instance)
    return found


def noting(reached: list[Point]) -> Reached:
    """Return what puts points into this list when they are reached, each once."""

    def note(kind: str, step: str, side: Side) -> None:
        point = Point(kind, step, side)
        if point not in reached:
            reached.append(point)

    return note


def _forwards(api: Api) -> None:
    instance = requests.create_instance(api)
    for change in requests.CHANGES.values():
        change.ask(api, instance)


def _back(api: Api, stage: Rehearsal) -> None:
    """Let each flow fail as late as it may: before its pivot, or in its last step."""
    for kind, flow in FLOWS.items():
        last = last_that_undoes(flow)
        if last is None or kind in backup_requests.KINDS:
            continue
        failing_flows = {**FLOWS, kind: failing(flow, last)}
        if kind == requests.CREATE:
            stage.flows = failing_flows
            requests.create_instance(api)
        else:
            instance = requests.create_instance(api)
            stage.flows = failing_flows
            requests.CHANGES[kind].ask(api, instance)
        stage.flows = FLOWS


def last_that_undoes(flow: Flow[Any]) -> int | None:
    """Return the last step whose failure undoes anything."""
    pivot = next((n for n, step in enumerate(flow.steps) if step.pivot), len(flow.steps))
    return pivot - 1 if any(step.undo for step in flow.steps[:pivot]) else None


def failing(flow: Flow[Any], number: int) -> Flow[Any]:
    """Return the flow with a step that does its work, and fails then."""
    step = flow.steps[number]

    def fail(data: Any, tools: Any) -> None:
        step.function(data, tools)
        raise errors.Failed("It was told to fail.")

    fail.__name__ = step.name
    steps = [*flow.steps]
    steps[number] = replace(step, function=fail)
    return replace(flow, steps=tuple(steps))
