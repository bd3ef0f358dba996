"""The interfaces of the namespace: a pair for each flat network, one end for Neutron's bridge."""

from pathlib import Path

from dbaas.host import commands
from tests.openstack.osbox import addresses

_SECONDS = 10.0
_TUNNELS = "tun"


def make() -> None:
    """Make what is missing; packets are never passed on from one network to another."""
    for network in addresses.NETWORKS:
        _pair(network.interface, f"{network.gateway}/24")
    _pair(_TUNNELS, f"{addresses.TUNNEL}/24")
    for setting in ("ip_forward", "conf/all/rp_filter", "conf/default/rp_filter"):
        Path("/proc/sys/net/ipv4", setting).write_text("0")


def _pair(name: str, address: str) -> None:
    other = f"p-{name}"
    if not Path("/sys/class/net", name).exists():
        _ip("link", "add", name, "type", "veth", "peer", "name", other)
    for end in (name, other):
        Path(f"/proc/sys/net/ipv6/conf/{end}/disable_ipv6").write_text("1")
        _ip("link", "set", end, "up")
    _ip("address", "replace", address, "dev", name)


def _ip(*words: str) -> None:
    commands.run(["ip", *words], timeout=_SECONDS)
