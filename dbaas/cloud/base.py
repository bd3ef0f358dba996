"""What a flow may ask of the infrastructure, whichever it is: servers, volumes, ports.

Every object is created under a name that the caller chose before (and wrote into the ledger), and
can be found again by that name alone: nothing here invents an identity that a crash could lose.
Creating a name that exists already is the caller's mistake (`errors.Conflict`): it looks first.
Deleting, stopping and detaching what is not there succeeds. No call waits for slow work: it answers
with the state that the object has now, and the caller comes back.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from dbaas.common.probes import Probe
from dbaas.contract.requests import Reach
from dbaas.contract.secret import Secret


class ServerState(StrEnum):
    BUILD = "BUILD"
    ACTIVE = "ACTIVE"
    SHUTOFF = "SHUTOFF"
    RESIZE = "RESIZE"
    VERIFY_RESIZE = "VERIFY_RESIZE"
    REBOOT = "REBOOT"
    ERROR = "ERROR"
    UNKNOWN = "UNKNOWN"


class Locality(StrEnum):
    """How the servers of a group are to each other; the soft ones as far as there is room."""

    TOGETHER = "affinity"
    APART = "anti-affinity"
    RATHER_TOGETHER = "soft-affinity"
    RATHER_APART = "soft-anti-affinity"


class VolumeState(StrEnum):
    CREATING = "CREATING"
    AVAILABLE = "AVAILABLE"
    ATTACHING = "ATTACHING"
    IN_USE = "IN_USE"
    EXTENDING = "EXTENDING"
    DETACHING = "DETACHING"
    DELETING = "DELETING"
    GROWS_DETACHED = "GROWS_DETACHED"
    """In use, and it was asked to grow, which it can only while it is not."""
    ERROR = "ERROR"


@dataclass(frozen=True)
class Flavor:
    """A size of server. `ram_mib` in MiB, `disk_gib` in GiB."""

    id: str
    name: str
    ram_mib: int
    vcpus: int
    disk_gib: int
    ephemeral_gib: int = 0


@dataclass(frozen=True)
class Port:
    """One network interface to be; `network` is the id of the network that it is on."""

    name: str
    id: str
    address: str
    network: str
    mac: str
    address6: str = ""
    """Its IPv6 address, where the network has such."""
    public: str = ""
    """The address that it has in the outside world, if it has one."""
    interrupted: bool = False
    """Only a part of it is there: deleted, it can be made anew."""


@dataclass(frozen=True)
class Subnet:
    """A part of a network; `cidr` is where its addresses are."""

    id: str
    network: str
    cidr: str
    project: str = ""
    """Whose it is; empty: everybody may use it."""


@dataclass(frozen=True)
class Volume:
    name: str
    id: str
    state: VolumeState
    size_gib: int
    server: str | None = None
    """Name of the server that it is attached to."""
    interrupted: bool = False
    """In ERROR because its maker died half way: deleted, it can be made anew."""


@dataclass(frozen=True)
class Server:
    name: str
    id: str
    state: ServerState
    flavor: str
    fault: str = ""
    """Why it is in ERROR, in the infrastructure's own words."""
    host: str = ""
    interrupted: bool = False
    """In ERROR because who made or deleted it died half way: deleted, it can be made anew."""
    no_room: bool = False
    """In ERROR because no host has room for it."""


@dataclass(frozen=True)
class PortOrder:
    """A port on `network` (the provider's default one where empty), at `address` where given.

    The address is of IPv4; one of IPv6 is chosen by the provider, where it has such. It takes
    connections from where `reach` says, and only to the engine's ports.
    """

    name: str
    network: str = ""
    subnet: str = ""
    address: str = ""
    reach: Reach = field(default_factory=Reach)
    management: bool = False
    """On the management network instead, where nothing connects to it."""


@dataclass(frozen=True)
class VolumeOrder:
    name: str
    size_gib: int
    type: str = ""
    availability_zone: str = ""


@dataclass(frozen=True)
class ServerOrder:
    """A server with its ports and its data volume, and the files that it finds when it starts.

    `files` maps an absolute path in the guest to its contents; they are readable by root only.
    """

    name: str
    flavor: str
    image: str
    """Its id; empty: the newest with all of `image_tags`, or the provider's own."""
    ports: tuple[str, ...]
    """Names of the ports, the tenant's first."""
    volumes: tuple[str, ...]
    """Names of the volumes, attached in this order."""
    files: Mapping[str, Secret] = field(default_factory=dict)
    availability_zone: str = ""
    hostname: str = ""
    image_tags: tuple[str, ...] = ()
    group: str = ""
    """Name of the group that it belongs to, if any."""


class Compute(Protocol):
    """Servers, and the flavors that they come in."""

    def flavors(self) -> list[Flavor]:
        """Return every flavor, by id."""

    def find_image(self, image: str, tags: Collection[str]) -> str:
        """Return what a server of this image is made of; raise `NotFound`, or `Invalid`."""

    def make_group(self, name: str, locality: Locality) -> None:
        """Have a group of this name, to which servers are added when they are created.

        One that is there stays. `Unsupported` where servers cannot be to each other like that.
        """

    def delete_group(self, name: str) -> None:
        """Forget the group; its servers stay where they are."""

    def find_server(self, name: str) -> Server | None: ...

    def servers(self, names: Collection[str] | None = None) -> dict[str, Server]:
        """Return the servers of these names, or all of this deployment's, in one request."""

    def create_server(self, order: ServerOrder) -> Server:
        """Begin to build a server; raise `Conflict` for a name taken, `NotFound` for a part."""

    def start_server(self, name: str) -> None: ...

    def stop_server(self, name: str) -> None: ...

    def reboot_server(self, name: str) -> None: ...

    def resize_server(self, name: str, flavor: str) -> Server:
        """Begin to give it another flavor; in VERIFY_RESIZE it waits to be confirmed or reverted.

        Until then it has no less memory than before. The flavor that it has already changes
        nothing; `Conflict` while it does not run, or is resized to another one.
        """

    def confirm_resize(self, name: str) -> None:
        """Keep the new flavor of a server in VERIFY_RESIZE; one in no resize stays as it is.

        `Unavailable` where it still uses more memory than it is to have.
        """

    def revert_resize(self, name: str) -> None:
        """Go back to the old flavor of a server in VERIFY_RESIZE; else as `confirm_resize`."""

    def attach_volume(self, name: str, volume: str) -> None:
        """Begin to give the server a volume that is AVAILABLE; one that it has stays.

        Only where volumes become `GROWS_DETACHED`; elsewhere `Unsupported`, as `detach_volume`.
        """

    def detach_volume(self, name: str, volume: str) -> None:
        """Begin to take it from the server, in which nothing uses it any more."""

    def availability_zones(self) -> list[str]:
        """Return the names that an order may have; one that has another is `Invalid`."""

    def delete_server(self, name: str) -> None:
        """Begin to delete; volumes and ports are detached and stay. It is gone when not found."""


class Volumes(Protocol):
    """Block storage: where an instance's data is."""

    def find_volume(self, name: str) -> Volume | None: ...

    def volumes(self, names: Collection[str] | None = None) -> dict[str, Volume]: ...

    def create_volume(self, order: VolumeOrder) -> Volume: ...

    def extend_volume(self, name: str, size_gib: int) -> Volume:
        """Begin to grow it; the same size again does nothing; `Invalid` when smaller.

        Where that cannot be while it is in use it becomes `GROWS_DETACHED`, at once or later.
        """

    def delete_volume(self, name: str) -> None:
        """Begin to delete it; `Busy` while it is attached."""


class Networks(Protocol):
    """Where an instance is reached."""

    def default_network(self) -> str:
        """Return the id of the network that a port without one gets; empty: it has to name one."""

    def management_network(self) -> str:
        """Return the id of the network on which guests reach the broker.

        Empty: they reach it from the one network that they are on.
        """

    def subnets(self) -> list[Subnet]:
        """Return the IPv4 subnets that a tenant may name for a port."""

    def find_port(self, name: str) -> Port | None: ...

    def ports(self, names: Collection[str] | None = None) -> dict[str, Port]: ...

    def create_port(self, order: PortOrder) -> Port:
        """Reserve an address; `OverQuota` when none is left, `Invalid` for one that cannot be.

        `Conflict` for one that is taken, `NotFound` for a network or subnet that is not there.
        """

    def set_reach(self, name: str, reach: Reach) -> None:
        """Let the port be reached from there only; open connections stay.

        It holds when this returns, or as soon as the hosts of the cloud have heard of it, which is
        seconds later. `NotFound` for no such port, `Invalid` for what is no network.
        """

    def delete_port(self, name: str) -> None: ...


class Cloud(Protocol):
    """The three together, as a flow gets them, and what is known of this infrastructure."""

    @property
    def compute(self) -> Compute: ...

    @property
    def volumes(self) -> Volumes: ...

    @property
    def networks(self) -> Networks: ...

    @property
    def settle_time(self) -> float:
        """Seconds after a create of unknown outcome within which its object may still appear."""

    @property
    def poll_interval(self) -> float:
        """Seconds between two looks at something that this infrastructure is still at."""

    def probes(self) -> Sequence[Probe]:
        """Return what an operator has to have set up here."""
