"""An OpenStack whose services fail: what was asked for ends as without that, or is explained."""

import email.utils
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from dbaas.cloud.base import Locality, PortOrder, ServerState, VolumeOrder, VolumeState
from dbaas.contract import errors
from dbaas.taskmanager.flows import FLOWS
from tests.catalog_server import CatalogServer
from tests.chaos import requests
from tests.contract import hosts, openstack_place
from tests.contract.openstack_place import Place
from tests.fakes.openstack.cloud import late, lost, refused
from tests.fakes.openstack.web import Fault

PUBLIC = {"is_public": True}
CHANGES = ("resize_volume", "resize_flavor", "update_access", "delete_instance")
"""What acts on a cloud."""


@pytest.fixture(scope="module")
def catalog_url(catalog_server: CatalogServer) -> str:
    return catalog_server.fresh()


@pytest.fixture
def place(catalog_url: str, tmp_path: Path) -> Iterator[Place]:
    with openstack_place.place(catalog_url, tmp_path) as made:
        yield made


def _unavailable(service: str, method: str, path: str) -> Fault:
    return refused(service, method, path, 503)


def _too_many(service: str, method: str, path: str) -> Fault:
    return refused(service, method, path, 429, {"Retry-After": "1"})


@pytest.mark.parametrize("fault", [lost, _unavailable, _too_many])
@pytest.mark.parametrize("in_use", [True, False], ids=["grows in use", "grows detached"])
def test_whatever_fails_once_the_end_is_the_same(
    place: Place, fault: Callable[[str, str, str], Fault], in_use: bool
) -> None:
    """Every kind of request fails the first time that it is sent."""
    place.api.request("GET", "flavors")  # who asks for an instance meanwhile is told to come again
    place.services.cinder.extends_attached = in_use
    place.services.world.first = fault
    _live(place)
    made = [path for _, method, path in place.services.world.requests if method == "POST"]
    assert made.count("/servers") == (1 if fault is lost else 2)


def test_tokens_may_end_at_any_moment(place: Place) -> None:
    place.services.world.uses = 3
    _live(place)


def _live(place: Place) -> None:
    instance = place.create(access=PUBLIC)
    assert place.status(instance) == "ACTIVE", place.last(instance)
    for kind in CHANGES:
        change = requests.CHANGES[kind]
        change.ask(place.api, instance)
        assert place.last(instance)["state"] == "succeeded", place.last(instance)
        assert place.status(instance) == change.shows
    assert place.left() == []


def test_an_answer_that_comes_too_late_is_none(catalog_url: str, tmp_path: Path) -> None:
    with openstack_place.place(catalog_url, tmp_path, "request_timeout = 1\n") as place:
        for service, path in (("compute", "/servers$"), ("block-storage", "/volumes$")):
            place.services.meet(late(service, "POST", path))
        instance = place.create()
        assert place.status(instance) == "ACTIVE"
        assert len(place.services.nova.servers) == len(place.services.cinder.volumes) == 1


def test_a_service_that_says_when_to_come_again_is_heard(place: Place) -> None:
    soon = email.utils.formatdate(time.time() + 60, usegmt=True)
    for said, least, most in (("7", 7, 7), (soon, 50, 60), ("soon", 0, 0)):
        place.services.meet(refused("compute", "GET", "/servers", 503, {"Retry-After": said}))
        with pytest.raises(errors.Unavailable) as caught:
            place.cloud.compute.find_server("a")
        assert least <= caught.value.after <= most


def test_a_tenant_is_told_when_to_come_again(place: Place) -> None:
    place.services.meet(refused("compute", "GET", "/flavors", 429, {"Retry-After": "7"}))
    answer = place.api.request("GET", "flavors")
    assert (answer.status, answer.headers["Retry-After"]) == (503, "7")
    assert place.api.request("GET", "flavors").status == 200


@pytest.mark.parametrize("service", ["compute", "block-storage", "network", "image"])
@pytest.mark.parametrize("status", [500, 502, 504, 429, 401])
def test_a_service_that_fails_is_unavailable(place: Place, service: str, status: int) -> None:
    # A token that is refused is renewed, once: the second refusal is of the credentials.
    place.services.meet(refused(service, "GET", "", status, times=2 if status == 401 else 1))
    asks: Mapping[str, Callable[[], object]] = {
        "compute": lambda: place.cloud.compute.find_server("a"),
        "block-storage": lambda: place.cloud.volumes.find_volume("a"),
        "network": lambda: place.cloud.networks.find_port("a"),
        "image": lambda: place.cloud.compute.find_image("", ["dbaas"]),
    }
    with pytest.raises(errors.Unavailable):
        asks[service]()


def test_a_service_that_forbids_is_not_asked_again(place: Place) -> None:
    place.services.meet(refused("block-storage", "POST", "/volumes$", 403))
    instance = place.create()
    assert "forbids it" in place.fault(instance)
    assert place.left() == []


def test_what_cannot_be_deleted_yet_is_busy(place: Place) -> None:
    place.cloud.networks.create_port(PortOrder("a"))
    place.services.meet(refused("network", "DELETE", "/security-groups/", 409))
    with pytest.raises(errors.Busy):
        place.cloud.networks.delete_port("a")
    left = place.cloud.networks.find_port("a")
    assert left is not None
    assert left.interrupted
    place.cloud.networks.delete_port("a")
    assert place.left() == []


def test_a_server_whose_port_another_one_has_is_given_up_and_explained(place: Place) -> None:
    place.services.meet(refused("compute", "POST", "/servers$", 409))
    instance = place.create()
    assert place.status(instance) == "ERROR"
    assert "The compute service cannot do it now" in place.fault(instance)
    assert place.left() == []


def test_a_volume_that_is_never_made_is_given_up_and_explained(
    catalog_url: str, tmp_path: Path
) -> None:
    with openstack_place.place(catalog_url, tmp_path, "stuck_after = 1\n") as place:
        place.services.world.stuck = "-vol1"
        create = FLOWS["create_instance"]
        hasty = [
            replace(step, deadline=0.5) if step.name == "make_volume" else step
            for step in create.steps
        ]
        place.stage.flows = {
            **FLOWS,
            create.kind: replace(create, steps=tuple(hasty)),
        }
        instance = place.create()
        assert "'make volume' did not finish" in place.fault(instance)
        assert place.left() == []


def test_lists_are_read_to_their_end(place: Place) -> None:
    names = [f"p{number}" for number in range(place.services.world.page * 2 + 1)]
    for name in names:
        place.cloud.networks.create_port(PortOrder(name))
        place.cloud.volumes.create_volume(VolumeOrder(name, 1))
    hosts.wait(
        lambda: all(
            volume.state is VolumeState.AVAILABLE
            for volume in place.cloud.volumes.volumes().values()
        )
    )
    for name in names:
        place.cloud.compute.create_server(hosts.order(name))
    assert set(place.cloud.networks.ports()) == set(names)
    assert set(place.cloud.volumes.volumes()) == set(names)
    assert set(place.cloud.compute.servers()) == set(names)
    hosts.wait(lambda: {one.server for one in place.cloud.volumes.volumes().values()} == set(names))


def test_the_servers_of_a_group_are_told_so_to_nova_however_many_groups_there_are(
    place: Place,
) -> None:
    for number in range(place.services.world.page + 1):
        place.cloud.compute.make_group(f"g{number}", Locality.APART)
    place.services.meet(lost("compute", "POST", "/os-server-groups$"))
    with pytest.raises(errors.Unavailable):
        place.cloud.compute.make_group("g", Locality.APART)
    place.cloud.compute.make_group("g", Locality.APART)
    place.cloud.networks.create_port(PortOrder("a"))
    order = replace(hosts.order("a"), group="g", volumes=())
    made = place.cloud.compute.create_server(order)
    (group,) = [one for one in place.services.nova.groups.values() if one["name"] == "g"]
    assert (group["policy"], group["members"]) == ("anti-affinity", [made.id])
    place.cloud.compute.delete_group("g")
    with pytest.raises(errors.NotFound):
        place.cloud.compute.create_server(replace(order, name="b"))


def test_two_servers_of_one_name_are_one_and_go_together(place: Place) -> None:
    made = hosts.build(place.cloud, "a")
    twin = dict(place.services.nova.servers[made.id]) | {"id": "f" * 36, "created": "2999-01-01"}
    place.services.nova.servers[twin["id"]] = twin
    found = place.cloud.compute.find_server("a")
    assert found is not None
    assert found.id == made.id
    hosts.destroy(place.cloud, "a")
    assert place.left() == []


def test_a_server_in_error_is_told_from_one_that_is_busy(place: Place) -> None:
    hosts.build(place.cloud, "a")
    place.services.world.delay = 5.0  # on a busy machine the next request takes a while, too
    place.cloud.compute.stop_server("a")
    with pytest.raises(errors.Busy):
        place.cloud.compute.stop_server("a")
    hosts.until(place.cloud, "a", ServerState.SHUTOFF)
    place.services.nova.break_server("a", "it is broken")
    with pytest.raises(errors.Conflict):
        place.cloud.compute.start_server("a")
    found = place.cloud.compute.find_server("a")
    assert found is not None
    assert (found.fault, found.no_room) == ("it is broken", False)


def test_a_volume_that_could_not_be_deleted_is_deleted_by_force(place: Place) -> None:
    place.cloud.volumes.create_volume(VolumeOrder("a", 1))
    hosts.wait(lambda: hosts.volume_state(place.cloud, "a") is VolumeState.AVAILABLE)
    place.services.cinder.breaks = True
    place.cloud.volumes.delete_volume("a")
    hosts.wait(lambda: hosts.volume_state(place.cloud, "a") is VolumeState.ERROR)
    place.services.cinder.breaks = False
    place.cloud.volumes.delete_volume("a")
    hosts.wait(lambda: place.cloud.volumes.find_volume("a") is None)
