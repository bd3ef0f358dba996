"""The flows over a faked OpenStack: what becomes of an instance in Nova, Cinder and Neutron."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbaas.cloud.base import VolumeState
from dbaas.contract import errors
from tests.catalog_server import CatalogServer
from tests.chaos import requests
from tests.contract import hosts, openstack_place
from tests.contract.openstack_place import Place
from tests.fakes.openstack import neutron
from tests.fakes.openstack.glance import IMAGE
from tests.fakes.openstack.nova import NO_HOST

PUBLIC = {"is_public": True, "allowed_cidrs": ["192.0.2.0/24", "2001:db8::/32"]}


@pytest.fixture(scope="module")
def catalog_url(catalog_server: CatalogServer) -> str:
    return catalog_server.fresh()


@pytest.fixture
def place(catalog_url: str, tmp_path: Path) -> Iterator[Place]:
    with openstack_place.place(catalog_url, tmp_path) as made:
        yield made


def test_an_instance_lives_its_whole_life_and_nothing_is_left(place: Place) -> None:
    instance = place.create()
    assert place.status(instance) == "ACTIVE"
    (server,) = place.services.nova.servers.values()
    assert (server["image"]["id"], server["config_drive"]) == (IMAGE, "True")
    for kind, change in requests.CHANGES.items():
        change.ask(place.api, instance)
        assert place.last(instance)["state"] == "succeeded", kind
        assert place.status(instance) == change.shows
    assert place.left() == []


def test_a_volume_has_the_type_and_everything_the_zone_that_was_asked_for(place: Place) -> None:
    place.create(volume={"size": 1, "type": "fast"}, availability_zone="nova")
    (volume,) = place.services.cinder.volumes.values()
    (server,) = place.services.nova.servers.values()
    assert (volume["volume_type"], volume["availability_zone"]) == ("fast", "nova")
    assert server["OS-EXT-AZ:availability_zone"] == "nova"
    other = place.create(volume={"size": 1, "type": "slow"})
    assert "Volume type with name slow could not be found" in place.fault(other)


def test_a_server_finds_how_to_reach_the_broker_and_nothing_else(place: Place) -> None:
    instance = place.create()
    (user_data,) = place.services.nova.user_data.values()
    kind, _, document = user_data.partition("\n")
    (written,) = json.loads(document)["write_files"]
    assert kind == "#cloud-config"
    assert (written["path"], written["permissions"]) == ("/etc/dbaas/contact.json", "0600")
    assert instance not in json.dumps({**json.loads(document), "write_files": []})


def test_a_guest_has_a_port_on_the_management_network_that_its_tenant_does_not_see(
    catalog_url: str, tmp_path: Path
) -> None:
    more = f"management_network = {neutron.MANAGEMENT}\n"
    with openstack_place.place(catalog_url, tmp_path, more) as place:
        instance = place.create(nics=[place.nic("10.77.0.9")])
        ports = place.services.neutron.things["ports"].values()
        networks = [port["network_id"] for port in ports]
        assert networks == [neutron.NETWORK, neutron.MANAGEMENT]
        shown = place.shown(instance)["addresses"]
        assert {one["network"] for one in shown} == {neutron.NETWORK}
        assert shown[0]["address"] == "10.77.0.9"
        hidden = next(port for port in ports if port["network_id"] == neutron.MANAGEMENT)
        (group,) = hidden["security_groups"]
        assert _admitted(place, group) == set()
        requests.delete_instance(place.api, instance)
        assert place.left() == []


def test_access_is_what_the_security_group_says_and_a_public_instance_has_a_public_address(
    place: Place,
) -> None:
    instance = place.create(access=PUBLIC)
    (group,) = place.services.neutron.things["security-groups"]
    assert _admitted(place, group) == {
        ("IPv4", 3306, "192.0.2.0/24"),
        ("IPv6", 3306, "2001:db8::/32"),
    }
    (floating,) = place.services.neutron.things["floatingips"].values()
    public = {"address": floating["floating_ip_address"], "type": "public"}
    assert public in place.shown(instance)["addresses"]
    requests.update_access(place.api, instance)
    assert _admitted(place, group) == {("IPv4", 3306, "10.0.0.0/8"), ("IPv6", 3306, "fd00::/8")}
    assert place.services.neutron.things["floatingips"] == {}
    assert {one["type"] for one in place.shown(instance)["addresses"]} == {"private"}
    body = {"instance": {"access": PUBLIC}}
    assert place.api.request("PUT", f"instances/{instance}", body).status == 202
    assert "public" in {one["type"] for one in place.shown(instance)["addresses"]}
    requests.delete_instance(place.api, instance)
    assert place.left() == []


def _admitted(place: Place, group: str) -> set[tuple[str, int, str]]:
    return {
        (rule["ethertype"], rule["port_range_min"], rule["remote_ip_prefix"])
        for rule in place.services.neutron.things["security-group-rules"].values()
        if rule["security_group_id"] == group and rule["direction"] == "ingress"
    }


def test_where_no_router_leads_a_public_instance_is_refused_and_says_so(place: Place) -> None:
    instance = place.create(access=PUBLIC, nics=[{"network_id": neutron.LONELY}])
    assert place.status(instance) == "ERROR"
    assert "no router leads from the public network" in place.fault(instance)
    assert place.left() == []


def test_a_cloud_that_knows_no_routers_has_private_instances(
    catalog_url: str, tmp_path: Path
) -> None:
    with openstack_place.place(catalog_url, tmp_path, with_routers=False) as place:
        instance = place.create()
        assert place.status(instance) == "ACTIVE"
        requests.delete_instance(place.api, instance)
        assert place.left() == []


def test_a_volume_that_cannot_grow_in_use_grows_while_the_database_server_is_stopped(
    place: Place,
) -> None:
    place.services.cinder.extends_attached = False
    instance = place.create()
    requests.resize_volume(place.api, instance)
    assert place.status(instance) == "ACTIVE"
    assert place.shown(instance)["volume"]["size"] == 2
    (volume,) = place.services.cinder.volumes.values()
    assert (volume["size"], volume["status"]) == (2, "in-use")
    moved = ["release_volume", "take_volume", "grow_volume"]
    assert [verb for verb in place.stage.guests.asked if "volume" in verb] == moved
    first = place.last(instance)["steps"][0]
    assert "the database server is stopped" in first["message"]
    requests.resize_volume(place.api, instance)
    assert place.shown(instance)["volume"]["size"] == 3


def test_a_volume_that_grows_in_use_never_leaves_its_server(place: Place) -> None:
    instance = place.create()
    requests.resize_volume(place.api, instance)
    assert [verb for verb in place.stage.guests.asked if "volume" in verb] == ["grow_volume"]
    assert not [message for step in place.last(instance)["steps"] if (message := step["message"])]


def test_a_volume_that_cannot_grow_at_all_is_given_back_as_it_was(place: Place) -> None:
    instance = place.create()
    place.services.cinder.breaks = True
    requests.resize_volume(place.api, instance)
    assert place.last(instance)["state"] == "failed"
    (volume,) = place.services.cinder.volumes.values()
    assert (volume["size"], volume["status"]) == (1, "in-use")
    assert place.stage.guests.asked[-1] == "take_volume"
    assert place.shown(instance)["volume"]["size"] == 1


def test_a_guest_that_does_not_let_go_of_its_volume_keeps_it(place: Place) -> None:
    place.services.cinder.extends_attached = False
    instance = place.create()
    place.stage.guests.fails["release_volume"] = errors.Failed("Somebody is in there.")
    requests.resize_volume(place.api, instance)
    assert place.last(instance)["state"] == "failed"
    (volume,) = place.services.cinder.volumes.values()
    assert (volume["size"], volume["status"]) == (1, "in-use")
    assert "Somebody is in there" in place.fault(instance)


def test_a_server_that_cannot_be_built_is_explained_and_nothing_is_left(place: Place) -> None:
    place.services.nova.fault = "Build of instance was aborted: the disk is on fire"
    instance = place.create()
    assert place.status(instance) == "ERROR"
    assert "the disk is on fire" in place.fault(instance)
    assert place.left() == []


def test_a_server_for_which_there_is_no_host_is_a_matter_of_room(place: Place) -> None:
    place.services.nova.fault = NO_HOST
    instance = place.create()
    assert "No valid host was found" in place.fault(instance)
    found = place.cloud.compute.find_server("any")
    assert found is None
    assert place.left() == []


@pytest.mark.parametrize("service", ["nova", "cinder", "ports", "security-groups", "floatingips"])
def test_what_is_beyond_a_quota_is_explained_and_nothing_is_left(
    place: Place, service: str
) -> None:
    services = place.services
    if service == "nova":
        services.nova.quota = 0
    elif service == "cinder":
        services.cinder.quota = 0
    else:
        services.neutron.quota[service] = 0
    instance = place.create(access=PUBLIC)
    assert place.status(instance) == "ERROR"
    assert "has no room for it" in place.fault(instance)
    assert place.left() == []


def test_an_address_that_is_taken_is_explained_and_nothing_is_left(place: Place) -> None:
    first = place.create(nics=[place.nic("10.77.0.9")])
    before = place.left()
    second = place.create(nics=[place.nic("10.77.0.9")])
    assert place.status(second) == "ERROR"
    assert "10.77.0.9 already allocated" in place.fault(second)
    assert place.left() == before
    assert place.status(first) == "ACTIVE"


def test_a_resize_for_which_there_is_no_room_is_given_up_and_the_old_flavor_stays(
    place: Place,
) -> None:
    instance = place.create()
    place.services.nova.fault = NO_HOST
    requests.resize_flavor(place.api, instance)
    assert place.last(instance)["state"] == "failed"
    assert place.status(instance) == "ACTIVE"
    assert place.shown(instance)["flavor"]["id"] == "1"
    asked = [path for _, method, path in place.services.world.requests if method == "POST"]
    assert sum(path.endswith("/action") for path in asked) == 1


def test_a_resize_that_the_guest_cannot_follow_is_reverted(place: Place) -> None:
    instance = place.create()
    place.stage.guests.fails["use_memory"] = errors.Failed("The server does not start.")
    requests.resize_flavor(place.api, instance)
    (server,) = place.services.nova.servers.values()
    assert (server["flavor"]["id"], server["status"]) == ("1", "ACTIVE")
    assert place.last(instance)["state"] == "failed"
    assert place.status(instance) == "ACTIVE"


def test_what_was_done_behind_our_back_ends_explained(place: Place) -> None:
    instance = place.create()
    place.services.nova.servers.clear()
    requests.resize_flavor(place.api, instance)
    assert "server is gone" in place.fault(instance)
    assert place.last(instance)["state"] == "failed"
    place.services.cinder.volumes.clear()
    requests.delete_instance(place.api, instance)
    assert place.left() == []


def test_a_volume_that_a_dead_server_still_holds_is_taken_from_it(place: Place) -> None:
    instance = place.create()
    place.services.nova.servers.clear()
    requests.delete_instance(place.api, instance)
    assert place.status(instance) == "GONE"
    assert place.left() == []


def test_a_server_in_error_can_be_deleted(place: Place) -> None:
    instance = place.create()
    (server,) = place.services.nova.servers.values()
    place.services.nova.break_server(server["name"], "the host is gone")
    requests.resize_flavor(place.api, instance)
    assert "the host is gone" in place.fault(instance)
    assert place.last(instance)["state"] == "failed"
    requests.delete_instance(place.api, instance)
    assert place.left() == []


def test_a_volume_that_was_detached_by_hand_is_missed_before_it_grows(place: Place) -> None:
    instance = place.create()
    (server,), (volume,) = place.cloud.compute.servers(), place.cloud.volumes.volumes()
    place.cloud.compute.detach_volume(server, volume)
    hosts.wait(lambda: hosts.volume_state(place.cloud, volume) is VolumeState.AVAILABLE)
    requests.resize_volume(place.api, instance)
    assert "not attached" in place.fault(instance)
    assert place.last(instance)["state"] == "failed"
    assert place.shown(instance)["volume"]["size"] == 1
