"""What every cloud promises to the flows: the fake, slow or not, this host, and an OpenStack."""

import ipaddress
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dbaas.cloud.base import Cloud, Locality, PortOrder, ServerState, VolumeOrder, VolumeState
from dbaas.contract import errors
from dbaas.contract.requests import Reach
from tests.contract import hosts
from tests.fakes.cloud import FakeCloud
from tests.fakes.openstack import cloud as openstack

NEEDS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="local guests need root")

NOWHERE = "7e8ba1f1-9d1b-4d6e-8a51-2e0f5f6b8f0a"
"""Id of nothing."""

MACHINES = ["fake", "slow fake", "openstack", pytest.param("local", marks=NEEDS_ROOT)]
"""Those whose servers are held to their size, and reached from where they are to be."""


@pytest.fixture(params=[*MACHINES, "loopback"])
def cloud(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    with _made(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=MACHINES)
def machines(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Cloud]:
    with _made(request.param, tmp_path) as made:
        yield made


@contextmanager
def _made(kind: str, directory: Path) -> Iterator[Cloud]:
    if kind == "local":
        with hosts.local_cloud(directory / "state") as local:
            yield local
    elif kind == "loopback":
        with hosts.loopback_cloud(directory / "state") as loopback:
            yield loopback
    elif kind == "openstack":
        with openstack.running() as services:
            yield services.cloud(directory)
    else:
        yield FakeCloud(pool="10.77.0.0/28", polls=2 if kind == "slow fake" else 0)


def test_what_was_never_made_is_not_found_and_may_be_deleted(cloud: Cloud) -> None:
    assert cloud.compute.find_server("a") is None
    assert cloud.volumes.find_volume("a") is None
    assert cloud.networks.find_port("a") is None
    cloud.compute.delete_server("a")
    cloud.compute.stop_server("a")
    cloud.volumes.delete_volume("a")
    cloud.networks.delete_port("a")


def test_what_was_made_is_found_by_its_name_alone(cloud: Cloud) -> None:
    made = hosts.build(cloud, "a")
    port = cloud.networks.find_port("a")
    assert port is not None
    assert port.network == cloud.networks.default_network()
    assert cloud.networks.ports() == {"a": port}
    assert cloud.networks.ports(["a", "b"]) == {"a": port}
    volume = cloud.volumes.find_volume("a")
    assert volume is not None
    assert (volume.size_gib, volume.server) == (1, "a")
    assert set(cloud.volumes.volumes()) == {"a"}
    found = cloud.compute.find_server("a")
    assert found is not None
    assert (found.id, found.flavor) == (made.id, "1")
    assert set(cloud.compute.servers()) == {"a"}
    assert cloud.compute.servers(["b"]) == {}


def test_a_name_is_given_once(cloud: Cloud) -> None:
    hosts.build(cloud, "a")
    with pytest.raises(errors.Conflict):
        cloud.compute.create_server(hosts.order("a"))
    with pytest.raises(errors.Conflict):
        cloud.volumes.create_volume(VolumeOrder("a", 1))
    with pytest.raises(errors.Conflict):
        cloud.networks.create_port(PortOrder("a"))


def test_flavors_come_in_the_order_of_their_ids(cloud: Cloud) -> None:
    flavors = cloud.compute.flavors()
    assert [flavor.id for flavor in flavors] == sorted(flavor.id for flavor in flavors)
    assert all(flavor.ram_mib > 0 and flavor.vcpus > 0 for flavor in flavors)


def test_a_server_of_missing_parts_is_not_begun(cloud: Cloud) -> None:
    with pytest.raises(errors.NotFound):
        cloud.compute.create_server(hosts.order("a"))
    cloud.networks.create_port(PortOrder("a"))
    with pytest.raises(errors.NotFound):
        cloud.compute.create_server(hosts.order("a"))
    cloud.volumes.create_volume(VolumeOrder("a", 1))
    with pytest.raises(errors.NotFound):
        cloud.compute.create_server(hosts.order("a", flavor_id="no such"))
    assert cloud.compute.find_server("a") is None


def test_a_deleted_server_leaves_its_volume_and_its_port(cloud: Cloud) -> None:
    hosts.build(cloud, "a")
    with pytest.raises(errors.Busy):
        cloud.volumes.delete_volume("a")
    cloud.compute.delete_server("a")
    hosts.wait(lambda: cloud.compute.find_server("a") is None)
    hosts.wait(lambda: hosts.volume_state(cloud, "a") is VolumeState.AVAILABLE)
    assert cloud.networks.find_port("a") is not None
    hosts.destroy(cloud, "a")
    assert cloud.networks.find_port("a") is None


def test_a_name_may_be_used_again_after_its_object_is_gone(cloud: Cloud) -> None:
    first = hosts.build(cloud, "a")
    hosts.destroy(cloud, "a")
    assert hosts.build(cloud, "a").id != first.id


def test_a_server_stops_starts_and_reboots(cloud: Cloud) -> None:
    hosts.build(cloud, "a")
    cloud.compute.stop_server("a")
    hosts.until(cloud, "a", ServerState.SHUTOFF)
    cloud.compute.stop_server("a")
    cloud.compute.start_server("a")
    hosts.until(cloud, "a", ServerState.ACTIVE)
    cloud.compute.start_server("a")
    cloud.compute.reboot_server("a")
    hosts.until(cloud, "a", ServerState.ACTIVE)


@pytest.mark.parametrize("flavor", ["1", "2"])
def test_a_resize_is_kept_when_it_is_confirmed(machines: Cloud, flavor: str) -> None:
    hosts.build(machines, "a", "2" if flavor == "1" else "1")
    assert machines.compute.resize_server("a", flavor).flavor == flavor
    waiting = hosts.until(machines, "a", ServerState.VERIFY_RESIZE)
    assert waiting.flavor == flavor
    assert machines.compute.resize_server("a", flavor).state is ServerState.VERIFY_RESIZE
    for _ in range(2):
        machines.compute.confirm_resize("a")
        assert hosts.until(machines, "a", ServerState.ACTIVE).flavor == flavor
    machines.compute.revert_resize("a")
    assert hosts.until(machines, "a", ServerState.ACTIVE).flavor == flavor
    assert machines.compute.resize_server("a", flavor).state is ServerState.ACTIVE


@pytest.mark.parametrize("flavor", ["1", "2"])
def test_a_resize_can_be_reverted(machines: Cloud, flavor: str) -> None:
    hosts.build(machines, "a", flavor)
    other = "2" if flavor == "1" else "1"
    machines.compute.resize_server("a", other)
    hosts.until(machines, "a", ServerState.VERIFY_RESIZE)
    with pytest.raises(errors.Conflict):
        machines.compute.resize_server("a", flavor)
    for _ in range(2):
        machines.compute.revert_resize("a")
        assert hosts.until(machines, "a", ServerState.ACTIVE).flavor == flavor
    machines.compute.confirm_resize("a")
    assert hosts.until(machines, "a", ServerState.ACTIVE).flavor == flavor


def test_a_resize_needs_a_server_that_runs_and_a_flavor_that_is_there(machines: Cloud) -> None:
    with pytest.raises(errors.NotFound):
        machines.compute.resize_server("a", "2")
    for attempt in (machines.compute.confirm_resize, machines.compute.revert_resize):
        with pytest.raises(errors.NotFound):
            attempt("a")
    hosts.build(machines, "a")
    with pytest.raises(errors.NotFound):
        machines.compute.resize_server("a", "no such")
    machines.compute.stop_server("a")
    hosts.until(machines, "a", ServerState.SHUTOFF)
    with pytest.raises(errors.Conflict):
        machines.compute.resize_server("a", "2")


def test_a_zone_that_is_not_there_is_refused(cloud: Cloud) -> None:
    for zone in cloud.compute.availability_zones():
        cloud.volumes.create_volume(VolumeOrder(f"in-{zone}", 1, availability_zone=zone))
    with pytest.raises(errors.Invalid):
        cloud.volumes.create_volume(VolumeOrder("a", 1, availability_zone="elsewhere"))
    cloud.volumes.create_volume(VolumeOrder("a", 1))
    cloud.networks.create_port(PortOrder("a"))
    with pytest.raises(errors.Invalid):
        cloud.compute.create_server(replace(hosts.order("a"), availability_zone="elsewhere"))
    assert cloud.compute.find_server("a") is None


def test_servers_may_be_in_a_group(cloud: Cloud) -> None:
    for _ in range(2):
        cloud.compute.make_group("g", Locality.RATHER_TOGETHER)
    cloud.networks.create_port(PortOrder("a"))
    cloud.volumes.create_volume(VolumeOrder("a", 1))
    hosts.wait(lambda: hosts.volume_state(cloud, "a") is VolumeState.AVAILABLE)
    cloud.compute.create_server(replace(hosts.order("a"), group="g"))
    hosts.until(cloud, "a", ServerState.ACTIVE)
    for _ in range(2):
        cloud.compute.delete_group("g")
    hosts.until(cloud, "a", ServerState.ACTIVE)
    hosts.destroy(cloud, "a")


def test_what_is_not_there_cannot_be_started_or_grown(cloud: Cloud) -> None:
    for attempt in (cloud.compute.start_server, cloud.compute.reboot_server):
        with pytest.raises(errors.NotFound):
            attempt("a")
    with pytest.raises(errors.NotFound):
        cloud.volumes.extend_volume("a", 2)


def test_a_volume_grows_and_never_shrinks(machines: Cloud) -> None:
    machines.volumes.create_volume(VolumeOrder("a", 2))
    hosts.wait(lambda: hosts.volume_state(machines, "a") is VolumeState.AVAILABLE)
    for _ in range(2):
        machines.volumes.extend_volume("a", 3)
        hosts.wait(lambda: hosts.volume_state(machines, "a") is VolumeState.AVAILABLE)
        grown = machines.volumes.find_volume("a")
        assert grown is not None
        assert grown.size_gib == 3
    with pytest.raises(errors.Invalid):
        machines.volumes.extend_volume("a", 2)
    hosts.wait(lambda: hosts.volume_state(machines, "a") is VolumeState.AVAILABLE)


@pytest.mark.parametrize("kind", ["fake", "slow fake", "openstack"])
def test_a_volume_that_cannot_grow_in_use_grows_when_it_is_detached(
    kind: str, tmp_path: Path
) -> None:
    with _growing_detached(kind, tmp_path) as cloud:
        hosts.build(cloud, "a")
        cloud.compute.attach_volume("a", "a")
        cloud.volumes.extend_volume("a", 2)
        hosts.wait(lambda: hosts.volume_state(cloud, "a") is VolumeState.GROWS_DETACHED)
        for _ in range(2):
            cloud.compute.detach_volume("a", "a")
            hosts.wait(lambda: hosts.volume_state(cloud, "a") is VolumeState.AVAILABLE)
        cloud.volumes.extend_volume("a", 2)
        hosts.wait(lambda: hosts.volume_state(cloud, "a") is VolumeState.AVAILABLE)
        for _ in range(2):
            cloud.compute.attach_volume("a", "a")
            hosts.wait(lambda: hosts.volume_state(cloud, "a") is VolumeState.IN_USE)
        grown = cloud.volumes.find_volume("a")
        assert grown is not None
        assert (grown.size_gib, grown.server) == (2, "a")


@contextmanager
def _growing_detached(kind: str, directory: Path) -> Iterator[Cloud]:
    if kind == "openstack":
        with openstack.running() as services:
            services.cinder.extends_attached = False
            yield services.cloud(directory)
    else:
        fake = FakeCloud(polls=2 if kind == "slow fake" else 0)
        fake.volumes.grow_attached = False
        yield fake


def test_a_volume_of_nothing_is_refused(cloud: Cloud) -> None:
    with pytest.raises(errors.Invalid):
        cloud.volumes.create_volume(VolumeOrder("a", 0))
    assert cloud.volumes.find_volume("a") is None


def test_every_address_is_given_once_until_none_is_left(cloud: Cloud) -> None:
    names = [f"p{number}" for number in range(13)]  # 16, less both ends and the bridge's own
    addresses = {cloud.networks.create_port(PortOrder(name)).address for name in names}
    assert len(addresses) == len(names)
    with pytest.raises(errors.OverQuota):
        cloud.networks.create_port(PortOrder("one too many"))
    given_back = cloud.networks.find_port("p7")
    assert given_back is not None
    cloud.networks.delete_port("p7")
    assert cloud.networks.create_port(PortOrder("again")).address == given_back.address


def test_an_address_may_be_asked_for(cloud: Cloud) -> None:
    usual = cloud.networks.default_network()
    cidr = next(one.cidr for one in cloud.networks.subnets() if one.network == usual)
    subnet = ipaddress.IPv4Network(cidr)
    asked = str(subnet[9])
    port = cloud.networks.create_port(PortOrder("a", address=asked))
    assert port.address == asked
    with pytest.raises(errors.Conflict):
        cloud.networks.create_port(PortOrder("b", address=asked))
    for wrong in (str(subnet[-1] + 9), str(subnet[0]), str(subnet[1]), "nonsense"):
        with pytest.raises(errors.Invalid):
            cloud.networks.create_port(PortOrder("b", address=wrong))


def test_a_network_that_is_not_there_is_not_found(cloud: Cloud) -> None:
    with pytest.raises(errors.NotFound):
        cloud.networks.create_port(PortOrder("a", network=NOWHERE))


def test_a_port_may_name_its_subnet(cloud: Cloud) -> None:
    for number, subnet in enumerate(cloud.networks.subnets()):
        port = cloud.networks.create_port(PortOrder(f"p{number}", subnet.network, subnet.id))
        assert port.network == subnet.network
        assert ipaddress.ip_address(port.address) in ipaddress.ip_network(subnet.cidr)
    with pytest.raises(errors.NotFound):
        cloud.networks.create_port(PortOrder("a", subnet=NOWHERE))


def test_every_port_has_an_ipv6_address_of_its_own(machines: Cloud) -> None:
    ports = [machines.networks.create_port(PortOrder(name)) for name in "abc"]
    addresses = {ipaddress.IPv6Address(port.address6) for port in ports}
    assert len(addresses) == 3
    assert all(address.is_private for address in addresses)
    assert machines.networks.find_port("a") == ports[0]


def test_a_reach_that_is_no_network_is_refused(machines: Cloud) -> None:
    with pytest.raises(errors.NotFound):
        machines.networks.set_reach("a", Reach())
    wrong = Reach(allowed_cidrs=("10.0.0.0/8", "everywhere"))
    with pytest.raises(errors.Invalid):
        machines.networks.create_port(PortOrder("a", reach=wrong))
    machines.networks.create_port(PortOrder("a"))
    with pytest.raises(errors.Invalid):
        machines.networks.set_reach("a", wrong)
    for allowed in (
        ("10.0.0.0/8", "10.1.2.3/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "10.0.0.0/8", "::/0", "10.1.2.3"),
        ("fd00::/8",),
        (),
    ):
        machines.networks.set_reach("a", Reach(allowed_cidrs=allowed))


def test_ports_made_at_once_never_share_an_address(cloud: Cloud) -> None:
    threads = [
        threading.Thread(target=cloud.networks.create_port, args=(PortOrder(f"p{number}"),))
        for number in range(12)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({port.address for port in cloud.networks.ports().values()}) == 12


def test_a_lost_answer_of_the_fake_leaves_the_object_to_be_found() -> None:
    cloud = FakeCloud()
    cloud.fail("create_port", errors.Unavailable("no answer"), effect=True)
    cloud.fail("create_volume", errors.Unavailable("no answer"), at=2)
    with pytest.raises(errors.Unavailable):
        cloud.networks.create_port(PortOrder("a"))
    assert cloud.networks.find_port("a") is not None
    cloud.volumes.create_volume(VolumeOrder("a", 1))
    with pytest.raises(errors.Unavailable):
        cloud.volumes.create_volume(VolumeOrder("b", 1))
    assert cloud.volumes.find_volume("b") is None
    cloud.volumes.create_volume(VolumeOrder("b", 1))
