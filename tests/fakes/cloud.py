"""A cloud in memory: the same promises as a real one, as slow and as faulty as a test wants it."""

import ipaddress
import threading
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from dbaas.cloud.base import (
    Flavor,
    Locality,
    Port,
    PortOrder,
    Server,
    ServerOrder,
    ServerState,
    Subnet,
    Volume,
    VolumeOrder,
    VolumeState,
)
from dbaas.common.probes import Probe
from dbaas.contract import errors
from dbaas.contract.requests import Reach

FLAVORS = (
    Flavor("1", "db.tiny", ram_mib=512, vcpus=1, disk_gib=5),
    Flavor("2", "db.small", ram_mib=1024, vcpus=1, disk_gib=10),
)
ZONE = "nova"
NETWORK = "5e5f0f5c-0000-4000-8000-000000000001"
SUBNET = "5e5f0f5c-0000-4000-8000-000000000002"
PREFIX6 = ipaddress.IPv6Address("fd99::")

State = TypeVar("State", ServerState, VolumeState)


@dataclass(frozen=True)
class Fault:
    """What a call meets: an error before its effect, or after it (the answer is lost)."""

    verb: str
    error: Exception
    effect: bool = False
    at: int = 1
    """Which of the verb's calls from now on."""


@dataclass
class World:
    """What the three parts share. One lock, since several task managers use a cloud at once."""

    polls: int = 0
    """How many looks show the old state before they show the new one."""
    faults: list[Fault] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)
    """Every call, as verb and name: how often a cloud is asked is a promise too."""
    lock: threading.RLock = field(default_factory=threading.RLock)

    @contextmanager
    def call(self, verb: str, name: str = "") -> Iterator[None]:
        with self.lock:
            self.calls.append((verb, name))
            fault = self._due(verb)
            if fault and not fault.effect:
                raise fault.error
            yield
            if fault:
                raise fault.error

    def _due(self, verb: str) -> Fault | None:
        due = None
        waiting = []
        for fault in self.faults:
            if fault.verb != verb:
                waiting.append(fault)
            elif fault.at == 1 and due is None:
                due = fault
            else:
                waiting.append(replace(fault, at=max(1, fault.at - 1)))
        self.faults[:] = waiting
        return due


@dataclass
class Thing(Generic[State]):
    """Something whose state changes while it is looked at; None is gone."""

    state: State | None
    coming: State | None = None
    polls: int = 0
    """Looks until the state that is coming is there."""

    def become(self, state: State | None, world: World, at_once: State | None = None) -> None:
        if at_once is not None:
            self.state = at_once
        self.coming, self.polls = state, world.polls
        if not world.polls:
            self.state = state

    def look(self) -> State | None:
        if self.polls:
            self.polls -= 1
        else:
            self.state = self.coming
        return self.state


@dataclass
class Machine:
    id: str
    order: ServerOrder
    life: Thing[ServerState]
    fault: str = ""
    old_flavor: str = ""
    """While it is resized: what it may go back to."""


@dataclass
class Disk:
    volume: Volume
    life: Thing[VolumeState]


class FakeCloud:
    """Everything in it is open to a test: `compute.machines`, `volumes.disks`, `networks.plugs`,
    `networks.reaches`."""

    def __init__(
        self, flavors: Collection[Flavor] = FLAVORS, pool: str = "10.99.0.0/24", polls: int = 0
    ) -> None:
        self.world = World(polls)
        self.networks = FakeNetworks(self.world, ipaddress.IPv4Network(pool))
        self.volumes = FakeVolumes(self.world)
        self.compute = FakeCompute(self.world, flavors, self.volumes, self.networks)

    @property
    def settle_time(self) -> float:
        return 0.0

    @property
    def poll_interval(self) -> float:
        return 0.05

    def probes(self) -> list[Probe]:
        return []

    def fail(self, verb: str, error: Exception, *, effect: bool = False, at: int = 1) -> None:
        """Have the `at`-th call of this verb from now on fail, with or without its effect."""
        self.world.faults.append(Fault(verb, error, effect, at))


class FakeCompute:
    def __init__(
        self,
        world: World,
        flavors: Collection[Flavor],
        volumes: "FakeVolumes",
        networks: "FakeNetworks",
    ) -> None:
        self.machines: dict[str, Machine] = {}
        self.groups: dict[str, Locality] = {}
        self._world = world
        self._flavors = sorted(flavors, key=lambda flavor: flavor.id)
        self._volumes = volumes
        self._networks = networks

    def flavors(self) -> list[Flavor]:
        with self._world.call("flavors"):
            return list(self._flavors)

    def find_image(self, image: str, tags: Collection[str]) -> str:
        with self._world.call("find_image", image):
            return image or "the only one"

    def make_group(self, name: str, locality: Locality) -> None:
        with self._world.call("make_group", name):
            self.groups.setdefault(name, locality)

    def delete_group(self, name: str) -> None:
        with self._world.call("delete_group", name):
            self.groups.pop(name, None)

    def find_server(self, name: str) -> Server | None:
        with self._world.call("find_server", name):
            return self._look([name]).get(name)

    def servers(self, names: Collection[str] | None = None) -> dict[str, Server]:
        with self._world.call("servers"):
            return self._look(list(self.machines) if names is None else names)

    def _look(self, names: Collection[str]) -> dict[str, Server]:
        found = {}
        for name in names:
            machine = self.machines.get(name)
            state = machine.life.look() if machine else None
            if machine and state:
                flavor = machine.order.flavor
                found[name] = Server(name, machine.id, state, flavor, machine.fault, "fake-host")
            else:
                self.machines.pop(name, None)
        return found

    def create_server(self, order: ServerOrder) -> Server:
        with self._world.call("create_server", order.name):
            if order.name in self.machines:
                raise errors.Conflict(f"the server {order.name} exists")
            if order.flavor not in [flavor.id for flavor in self._flavors]:
                raise errors.NotFound(f"there is no flavor {order.flavor}")
            _expect_zone(order.availability_zone)
            if order.group and order.group not in self.groups:
                raise errors.NotFound(f"there is no group {order.group}")
            if missing := set(order.ports) - set(self._networks.plugs):
                raise errors.NotFound(f"there is no port {min(missing)}")
            if missing := set(order.volumes) - set(self._volumes.disks):
                raise errors.NotFound(f"there is no volume {min(missing)}")
            for volume in order.volumes:
                self._volumes.attach(volume, order.name)
            life = Thing[ServerState](ServerState.BUILD)
            life.become(ServerState.ACTIVE, self._world)
            machine = Machine(str(uuid.uuid4()), order, life)
            self.machines[order.name] = machine
            state = life.state or ServerState.BUILD
            return Server(order.name, machine.id, state, order.flavor, "", "fake-host")

    def break_server(self, name: str, fault: str) -> None:
        """Have it end in ERROR, whatever it was about to become."""
        machine = self.machines[name]
        machine.fault = fault
        machine.life = Thing(ServerState.ERROR, ServerState.ERROR)

    def kill(self, name: str) -> None:
        """Have its host die."""
        self.machines[name].life = Thing(ServerState.SHUTOFF, ServerState.SHUTOFF)

    def start_server(self, name: str) -> None:
        with self._world.call("start_server", name):
            self._running(name).become(ServerState.ACTIVE, self._world)

    def stop_server(self, name: str) -> None:
        with self._world.call("stop_server", name):
            if name in self.machines:
                self._running(name).become(ServerState.SHUTOFF, self._world)

    def reboot_server(self, name: str) -> None:
        with self._world.call("reboot_server", name):
            self._running(name).become(ServerState.ACTIVE, self._world, ServerState.REBOOT)

    def resize_server(self, name: str, flavor: str) -> Server:
        with self._world.call("resize_server", name):
            if flavor not in [known.id for known in self._flavors]:
                raise errors.NotFound(f"there is no flavor {flavor}")
            life, machine = self._running(name), self.machines[name]
            if machine.order.flavor != flavor:
                if machine.old_flavor or life.look() is not ServerState.ACTIVE:
                    raise errors.Conflict(f"the server {name} cannot be resized now")
                machine.old_flavor = machine.order.flavor
                machine.order = replace(machine.order, flavor=flavor)
                life.become(ServerState.VERIFY_RESIZE, self._world, ServerState.RESIZE)
            state = life.state or ServerState.RESIZE
            return Server(name, machine.id, state, flavor, "", "fake-host")

    def confirm_resize(self, name: str) -> None:
        with self._world.call("confirm_resize", name):
            life = self._running(name)
            if self.machines[name].old_flavor:
                self.machines[name].old_flavor = ""
                life.become(ServerState.ACTIVE, self._world)

    def revert_resize(self, name: str) -> None:
        with self._world.call("revert_resize", name):
            life, machine = self._running(name), self.machines[name]
            if machine.old_flavor:
                machine.order = replace(machine.order, flavor=machine.old_flavor)
                machine.old_flavor = ""
                life.become(ServerState.ACTIVE, self._world, ServerState.RESIZE)

    def attach_volume(self, name: str, volume: str) -> None:
        with self._world.call("attach_volume", name):
            self._running(name)
            self._volumes.attach(volume, name)

    def detach_volume(self, name: str, volume: str) -> None:
        with self._world.call("detach_volume", name):
            self._volumes.detach(volume, name)

    def availability_zones(self) -> list[str]:
        with self._world.call("availability_zones"):
            return [ZONE]

    def _running(self, name: str) -> Thing[ServerState]:
        if name not in self.machines:
            raise errors.NotFound(f"there is no server {name}")
        life = self.machines[name].life
        if life.state is ServerState.ERROR:
            raise errors.Conflict(f"the server {name} is in ERROR: delete it")
        return life

    def delete_server(self, name: str) -> None:
        with self._world.call("delete_server", name):
            machine = self.machines.get(name)
            if machine:
                for volume in machine.order.volumes:
                    self._volumes.detach(volume, name)
                machine.life.become(None, self._world)
                if machine.life.state is None:
                    del self.machines[name]


class FakeVolumes:
    def __init__(self, world: World) -> None:
        self.disks: dict[str, Disk] = {}
        self.grow_attached = True
        """Whether a volume can be extended while a server has it."""
        self._world = world

    def find_volume(self, name: str) -> Volume | None:
        with self._world.call("find_volume", name):
            return self._look([name]).get(name)

    def volumes(self, names: Collection[str] | None = None) -> dict[str, Volume]:
        with self._world.call("volumes"):
            return self._look(list(self.disks) if names is None else names)

    def _look(self, names: Collection[str]) -> dict[str, Volume]:
        found = {}
        for name in names:
            disk = self.disks.get(name)
            state = disk.life.look() if disk else None
            if disk and state:
                found[name] = replace(disk.volume, state=state)
            else:
                self.disks.pop(name, None)
        return found

    def create_volume(self, order: VolumeOrder) -> Volume:
        with self._world.call("create_volume", order.name):
            if order.size_gib < 1:
                raise errors.Invalid("a volume has at least 1 GiB")
            _expect_zone(order.availability_zone)
            if order.name in self.disks:
                raise errors.Conflict(f"the volume {order.name} exists")
            life = Thing[VolumeState](VolumeState.CREATING)
            life.become(VolumeState.AVAILABLE, self._world)
            state = life.state or VolumeState.CREATING
            volume = Volume(order.name, str(uuid.uuid4()), state, order.size_gib)
            self.disks[order.name] = Disk(volume, life)
            return volume

    def extend_volume(self, name: str, size_gib: int) -> Volume:
        with self._world.call("extend_volume", name):
            if name not in self.disks:
                raise errors.NotFound(f"there is no volume {name}")
            disk = self.disks[name]
            if size_gib < disk.volume.size_gib:
                raise errors.Invalid(f"{name} has {disk.volume.size_gib} GiB and cannot shrink")
            if size_gib > disk.volume.size_gib and disk.volume.server and not self.grow_attached:
                disk.life.become(VolumeState.GROWS_DETACHED, self._world, VolumeState.EXTENDING)
            elif size_gib > disk.volume.size_gib:
                disk.volume = replace(disk.volume, size_gib=size_gib)
                settled = VolumeState.IN_USE if disk.volume.server else VolumeState.AVAILABLE
                disk.life.become(settled, self._world, VolumeState.EXTENDING)
            return replace(disk.volume, state=disk.life.state or VolumeState.ERROR)

    def delete_volume(self, name: str) -> None:
        with self._world.call("delete_volume", name):
            disk = self.disks.get(name)
            if disk is None:
                return
            if disk.volume.server:
                raise errors.Busy(f"{name} is attached to {disk.volume.server}")
            disk.life.become(None, self._world, VolumeState.DELETING)
            if disk.life.state is None:
                del self.disks[name]

    def attach(self, name: str, server: str) -> None:
        disk = self.disks[name]
        if disk.volume.server not in (None, server):
            raise errors.Conflict(f"the volume {name} is attached to {disk.volume.server}")
        if disk.volume.server == server:
            return
        disk.volume = replace(disk.volume, server=server)
        disk.life.become(VolumeState.IN_USE, self._world, VolumeState.ATTACHING)

    def detach(self, name: str, server: str) -> None:
        disk = self.disks.get(name)
        if disk and disk.volume.server == server:
            disk.volume = replace(disk.volume, server=None)
            disk.life.become(VolumeState.AVAILABLE, self._world, VolumeState.DETACHING)


class FakeNetworks:
    def __init__(self, world: World, pool: ipaddress.IPv4Network) -> None:
        self.plugs: dict[str, Port] = {}
        self.reaches: dict[str, Reach] = {}
        self._world = world
        self._pool = pool
        self._usable = [host for host in pool.hosts() if host != pool.network_address + 1]
        self._taken: set[ipaddress.IPv4Address] = set()
        self._next = 0

    def default_network(self) -> str:
        with self._world.call("default_network"):
            return NETWORK

    def management_network(self) -> str:
        return ""

    def subnets(self) -> list[Subnet]:
        with self._world.call("subnets"):
            return [Subnet(SUBNET, NETWORK, str(self._pool))]

    def find_port(self, name: str) -> Port | None:
        with self._world.call("find_port", name):
            return self.plugs.get(name)

    def ports(self, names: Collection[str] | None = None) -> dict[str, Port]:
        with self._world.call("ports"):
            wanted = list(self.plugs) if names is None else names
            return {name: self.plugs[name] for name in wanted if name in self.plugs}

    def create_port(self, order: PortOrder) -> Port:
        with self._world.call("create_port", order.name):
            if order.name in self.plugs:
                raise errors.Conflict(f"the port {order.name} exists")
            if order.network not in ("", NETWORK):
                raise errors.NotFound(f"there is no network {order.network}")
            if order.subnet not in ("", SUBNET):
                raise errors.NotFound(f"there is no subnet {order.subnet}")
            _check(order.reach)
            address = self._address(order.address)
            mac = ":".join(f"{byte:02x}" for byte in b"\x02\x00" + address.packed)
            address6 = str(PREFIX6 + int(address))
            port = Port(order.name, str(uuid.uuid4()), str(address), NETWORK, mac, address6)
            self.plugs[order.name] = port
            self._taken.add(address)
            self.reaches[order.name] = order.reach
            return port

    def set_reach(self, name: str, reach: Reach) -> None:
        with self._world.call("set_reach", name):
            _check(reach)
            if name not in self.plugs:
                raise errors.NotFound(f"there is no port {name}")
            self.reaches[name] = reach

    def _address(self, asked: str) -> ipaddress.IPv4Address:
        if not asked:
            return self._free_address()
        try:
            address = ipaddress.IPv4Address(asked)
        except ValueError as error:
            raise errors.Invalid(f"{asked!r} is not an IPv4 address") from error
        if address not in self._pool or address not in self._usable:
            raise errors.Invalid(f"the address {address} is not one of {self._pool}")
        if address in self._taken:
            raise errors.Conflict(f"the address {address} is taken")
        return address

    def _free_address(self) -> ipaddress.IPv4Address:
        """Go on from the last one: thousands of ports take no longer than a few."""
        for _ in self._usable:
            address = self._usable[self._next % len(self._usable)]
            self._next += 1
            if address not in self._taken:
                return address
        raise errors.OverQuota(f"every address of {self._pool} is taken")

    def delete_port(self, name: str) -> None:
        with self._world.call("delete_port", name):
            port = self.plugs.pop(name, None)
            if port is not None:
                self._taken.discard(ipaddress.IPv4Address(port.address))
            self.reaches.pop(name, None)


def _check(reach: Reach) -> None:
    for text in reach.allowed_cidrs:
        try:
            ipaddress.ip_network(text, strict=False)
        except ValueError as error:
            raise errors.Invalid(f"{text!r} is not a network") from error


def _expect_zone(zone: str) -> None:
    if zone not in ("", ZONE):
        raise errors.Invalid(f"there is no availability zone {zone!r}")
