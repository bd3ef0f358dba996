"""A task manager dies at every point of the flows over an OpenStack, and another one goes on.

Here the cloud is a faked one, with what a real one does: things appear late, names may be given
twice, states are in between. The deaths are a process's own: what it had in memory is gone, and its
lease runs out.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from dbaas.common.killpoints import Side
from dbaas.contract import errors
from dbaas.taskmanager.flows import FLOWS
from tests.catalog_server import CatalogServer
from tests.chaos import points, requests
from tests.chaos.points import Point
from tests.contract import openstack_place
from tests.contract.openstack_place import Place
from tests.outcomes import Part, Tell
from tests.rehearsal import Death

ACCESS = {"is_public": True}
CHANGES = ("resize_volume", "resize_flavor", "update_access", "delete_instance")
"""What acts on a cloud."""


@pytest.fixture(scope="module")
def catalog_url(catalog_server: CatalogServer) -> str:
    return catalog_server.fresh()


@contextmanager
def _place(catalog_url: str, home: Path) -> Iterator[Place]:
    with openstack_place.place(catalog_url, home) as made:
        made.services.cinder.extends_attached = False
        yield made


@pytest.fixture
def place(catalog_url: str, tmp_path: Path) -> Iterator[Place]:
    with _place(catalog_url, tmp_path) as made:
        yield made


class Reaper:
    """Has whoever comes by a point for the first time die there, as far as it is wanted."""

    def __init__(self, wanted: Point | None = None) -> None:
        self.met: list[Point] = []
        self._wanted = wanted

    def __call__(self, kind: str, step: str, side: Side) -> None:
        point = Point(kind, step, side)
        if point not in self.met and self._wanted in (None, point):
            self.met.append(point)
            raise Death


def test_with_a_death_at_every_point_an_instance_lives_its_whole_life(
    place: Place, tell: Tell
) -> None:
    place.stage.reached = reaper = Reaper()
    _live(place)
    assert {point.kind for point in reaper.met} == {requests.CREATE, *CHANGES}
    tell(
        Part.KILL_POINTS,
        f"task managers die at {len(reaper.met)} points over a faked OpenStack, at all of them in "
        "the life of one instance",
        "each operation succeeds; one server, one volume and one port were made; nothing is left",
    )


@pytest.mark.thorough
def test_with_a_death_at_any_one_point_an_instance_lives_its_whole_life(
    catalog_url: str, tmp_path: Path
) -> None:
    reached: list[Point] = []
    with _place(catalog_url, tmp_path) as place:
        place.stage.reached = points.noting(reached)
        _live(place)
    for point in reached:
        with _place(catalog_url, tmp_path) as place:
            place.stage.reached = reaper = Reaper(point)
            _live(place)
            assert reaper.met == [point]


def _live(place: Place) -> None:
    before = len(place.services.world.requests)
    instance = place.create(access=ACCESS)
    assert place.status(instance) == "ACTIVE", place.last(instance)
    for kind in CHANGES:
        change = requests.CHANGES[kind]
        change.ask(place.api, instance)
        assert place.last(instance)["state"] == "succeeded", place.last(instance)
        assert place.status(instance) == change.shows
    assert place.left() == []
    made = [path for _, method, path in place.services.world.requests[before:] if method == "POST"]
    assert made.count("/servers") == made.count("/volumes") == 1


@pytest.mark.parametrize("kind", [requests.CREATE, *CHANGES[:-1]])
def test_with_a_death_at_every_point_an_operation_is_undone(place: Place, kind: str) -> None:
    instance = "" if kind == requests.CREATE else place.create(access=ACCESS)
    last = points.last_that_undoes(FLOWS[kind])
    assert last is not None
    place.stage.flows = {**FLOWS, kind: points.failing(FLOWS[kind], last)}
    place.stage.reached = reaper = Reaper()
    if instance:
        requests.CHANGES[kind].ask(place.api, instance)
    else:
        instance = place.create(access=ACCESS)
    assert any(point.undo for point in reaper.met)
    assert place.last(instance)["state"] == "failed"
    assert errors.Failed("It was told to fail.").text in place.fault(instance)
    if kind == requests.CREATE:
        assert place.left() == []
    else:
        assert place.status(instance) == "ACTIVE"
        (server,) = place.services.nova.servers.values()
        (volume,) = place.services.cinder.volumes.values()
        assert (server["flavor"]["id"], server["status"]) == ("1", "ACTIVE")
        assert volume["status"] == "in-use"
    requests.delete_instance(place.api, instance)
    assert place.left() == []
