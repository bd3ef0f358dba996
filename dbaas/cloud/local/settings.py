"""What the operator decides about guests on this host: the options of the group `[local]`."""

import hashlib
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from oslo_config import cfg

from dbaas.cloud import reach
from dbaas.cloud.base import Flavor
from dbaas.cloud.rootfs import recipe
from dbaas.contract import errors

GROUP = "local"

DEFAULT_FLAVORS = [
    "1:db.tiny:512:1:5",
    "2:db.small:1024:1:10",
    "3:db.medium:2048:2:20",
    "4:db.large:4096:2:40",
]

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "deployment",
        default="dbaas",
        help="Name of this deployment, of which a host may have several: interfaces, control "
        "groups and the firewall table are named after it. Do not change it while guests exist.",
    ),
    cfg.StrOpt(
        "state_dir",
        default="/var/lib/dbaas/local",
        help="Directory of the guests: their root file systems' changes, volumes, addresses. It "
        "must be on a real disk (ext4 or XFS), since overlays are stacked on it.",
    ),
    cfg.StrOpt(
        "cache_dir",
        default="",
        help="Directory in which the guests' root file system is kept, about 1 GB; may be shared "
        "by deployments and removed while no guest runs. Empty: dbaas in XDG_CACHE_HOME, or in "
        "/var/cache.",
    ),
    cfg.StrOpt(
        "bridge_address",
        default="10.201.0.1/24",
        help="Address and prefix of the bridge that guests are on; the host has this address. "
        "Nothing else on the host may use the subnet.",
    ),
    cfg.StrOpt(
        "pool",
        default="",
        help="Subnet within the bridge's from which guests get their addresses; empty: all of it.",
    ),
    cfg.StrOpt(
        "bridge_address6",
        default="",
        help="IPv6 address and prefix of the bridge, /64 or larger; guests have addresses in it "
        "where the host's kernel has IPv6. Empty: a unique local prefix that follows from the "
        "deployment's name. 'none': guests have no IPv6.",
    ),
    cfg.StrOpt(
        "availability_zone",
        default="local",
        help="Name of the one availability zone that this host is.",
    ),
    cfg.PortOpt(
        "broker_port",
        default=5671,
        help="Port of the broker's TLS listener on the bridge's address. A guest reaches it and "
        "the depot, and nothing else.",
    ),
    cfg.PortOpt(
        "depot_port",
        default=8780,
        help="Port of the depot on the bridge's address, where backups are in a directory of this "
        "host; 0: guests reach none.",
    ),
    cfg.ListOpt(
        "storage_endpoints",
        default=[],
        help="What else guests reach, each as ADDRESS:PORT with an IPv4 address: where backups are "
        "in Swift or S3, the services that have them. One that is not on this host is reached "
        "where the host forwards packets for its guests.",
    ),
    cfg.ListOpt(
        "flavors",
        default=DEFAULT_FLAVORS,
        help="Sizes of guests, each as id:name:MiB of memory:cpus:GiB of disk. Memory and cpus are "
        "limits where the host has control groups.",
    ),
    cfg.FloatOpt(
        "stop_timeout",
        default=60.0,
        min=1.0,
        max=3600.0,
        help="Seconds that a guest's engine gets to stop cleanly before it is killed.",
    ),
]

INIT = ("/bin/sh", "/opt/dbaas/init")
"""What pid 1 starts in a guest: the script that keeps the guest agent running."""

PID_FILE = "pid"
LAUNCH_LOCK = "launch.lock"
"""In a server's directory: its first process, and what is held while it is started or ended."""


@dataclass(frozen=True)
class Settings:
    """The options, checked. `bridge` is the host's address on it, `pool` where guests' are."""

    deployment: str
    state_dir: Path
    cache_dir: Path
    bridge: ipaddress.IPv4Interface
    pool: ipaddress.IPv4Network
    broker_port: int
    flavors: tuple[Flavor, ...]
    stop_timeout: float = 60.0
    bridge6: ipaddress.IPv6Interface | None = None
    """None: guests have no IPv6."""
    engine_ports: tuple[int, ...] = (3306,)
    availability_zone: str = "local"
    command: tuple[str, ...] = INIT
    depot_port: int = 0
    storage_endpoints: tuple[tuple[ipaddress.IPv4Address, int], ...] = ()

    @property
    def bridge_name(self) -> str:
        return self.link_name("")

    def address6(self, address: ipaddress.IPv4Address) -> ipaddress.IPv6Address:
        """Return the IPv6 address that goes with a guest's: the same number behind the prefix."""
        if self.bridge6 is None:
            raise ValueError("guests have no IPv6")
        return self.bridge6.network.network_address + int(address)

    def server_dir(self, name: str) -> Path:
        return self.state_dir / "servers" / name

    def link_name(self, of: str) -> str:
        """Return the name of an interface, 11 characters of the 15 that there may be."""
        digest = hashlib.sha256(f"{self.deployment}\0{of}".encode()).hexdigest()
        return f"d{digest[:10]}"


def from_conf(conf: cfg.ConfigOpts) -> Settings:
    """Return the settings; raise `ValueError` for one that cannot be."""
    conf.register_opts(OPTS, group=GROUP)  # only who uses this cloud knows its options
    options = conf[GROUP]
    bridge = ipaddress.IPv4Interface(options.bridge_address)
    pool = ipaddress.IPv4Network(options.pool) if options.pool else bridge.network
    if not pool.subnet_of(bridge.network):
        raise ValueError(f"pool {pool} is not within the bridge's subnet {bridge.network}")
    return Settings(
        deployment=options.deployment,
        state_dir=_plain(options.state_dir),
        cache_dir=_plain(options.cache_dir or str(recipe.default_cache())),
        bridge=bridge,
        pool=pool,
        broker_port=options.broker_port,
        flavors=tuple(flavor(text) for text in options.flavors),
        stop_timeout=options.stop_timeout,
        bridge6=_bridge6(options.bridge_address6, options.deployment),
        engine_ports=reach.engine_ports(conf),
        availability_zone=options.availability_zone,
        depot_port=options.depot_port,
        storage_endpoints=tuple(endpoint(text) for text in options.storage_endpoints),
    )


def endpoint(text: str) -> tuple[ipaddress.IPv4Address, int]:
    """Return the address and the port that `ADDRESS:PORT` names."""
    host, _, port = text.strip().rpartition(":")
    try:
        address, number = ipaddress.IPv4Address(host), int(port)
    except ValueError:
        number = 0
    if not 0 < number < 1 << 16:
        raise ValueError(f"a storage endpoint is ADDRESS:PORT like 192.0.2.7:8080, not {text!r}")
    return address, number


def _bridge6(text: str, deployment: str) -> ipaddress.IPv6Interface | None:
    """Return the bridge's IPv6 address: its own prefix of RFC 4193, where none is given."""
    if text == "none":
        return None
    if not text:
        digest = hashlib.sha256(f"{deployment}\0prefix".encode()).digest()
        prefix = ipaddress.IPv6Address(b"\xfd" + digest[:5] + bytes(10))
        return ipaddress.IPv6Interface((int(prefix) + 1, 64))
    bridge6 = ipaddress.IPv6Interface(text)
    if bridge6.network.prefixlen > 96:
        raise ValueError(f"the prefix of {text} has no room for guests: /64, or /96 at most")
    return bridge6


def expect_zone(own: str, zone: str) -> None:
    """Return for the host's availability zone, or none; raise `Invalid` for another."""
    if zone not in ("", own):
        raise errors.Invalid(f"there is no availability zone {zone!r}; there is {own!r}")


def flavor(text: str) -> Flavor:
    """Return the flavor that `id:name:ram_mib:vcpus:disk_gib` describes."""
    try:
        number, name, ram, cpus, disk = text.split(":")
        return Flavor(number, name, ram_mib=int(ram), vcpus=int(cpus), disk_gib=int(disk))
    except ValueError:
        raise ValueError(f"a flavor is id:name:MiB:cpus:GiB, not {text!r}") from None


def _plain(text: str) -> Path:
    """Return the path; overlay mount options have no room for these characters."""
    if any(character in text for character in ",:\\\n"):
        raise ValueError(f"the path {text!r} may hold no comma, colon, backslash or line break")
    return Path(text).absolute()
