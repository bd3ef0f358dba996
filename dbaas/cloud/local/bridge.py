"""The bridge that guests are on, and their cables.

Guests are isolated ports: they reach no other guest. All else is the firewall's: `firewall.py`.
"""

import ipaddress
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from dbaas.cloud.local.settings import Settings
from dbaas.contract import errors
from dbaas.host import commands

TIMEOUT = 30.0
"""Seconds for a program that takes milliseconds, on a host that is very busy."""

Addresses = tuple[str, str]
"""A port's IPv4 address, and its IPv6 address or an empty word."""


def make(settings: Settings) -> None:
    """Make the bridge when it is not there. May be repeated, by one process at a time."""
    name = settings.bridge_name
    if not exists(name):
        _ip(f"link add {name} address {mac(settings.bridge.ip)} type bridge\n")
    _switch_ipv6(name, on=settings.bridge6 is not None)
    addresses = f"address replace {settings.bridge} dev {name}\n"
    if settings.bridge6 and has_ipv6(settings):
        addresses += (
            f"link set {name} addrgenmode none\n"
            f"address replace {settings.bridge6} dev {name} nodad\n"
            f"address replace {_link_local(settings.bridge.ip)} dev {name} nodad\n"
        )
    _ip(f"{addresses}link set {name} up\n")


def _switch_ipv6(name: str, *, on: bool) -> None:
    with suppress(OSError):  # a kernel without IPv6, or a container that may not decide this
        Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("0" if on else "1")


def _link_local(address: ipaddress.IPv4Address) -> str:
    """Return the address with which neighbours are asked about: a router cannot do without."""
    return f"{ipaddress.IPv6Address('fe80::') + int(address)}/64"


def has_ipv6(settings: Settings) -> bool:
    """Tell whether guests have IPv6 addresses: as the operator and this kernel will have it."""
    off = Path(f"/proc/sys/net/ipv6/conf/{settings.bridge_name}/disable_ipv6")
    return settings.bridge6 is not None and off.exists() and off.read_text().strip() == "0"


def remove(settings: Settings) -> None:
    """Remove it; no guest runs any more. May be repeated."""
    if exists(settings.bridge_name):
        _ip(f"link delete {settings.bridge_name}\n")


def connect(settings: Settings, server: str, addresses: Sequence[Addresses]) -> Path:
    """Make the server's network namespace with an interface per port; return it as a file.

    What an earlier start left is removed first: an interface outlives its namespace for a moment.
    Nobody advertises routers here, and addresses are known: what a guest has is what it is given.
    """
    disconnect(settings, server, len(addresses))
    space = settings.link_name(server)
    commands.run(["ip", "netns", "add", space], timeout=TIMEOUT)
    outside = ""
    inside = "link set lo up\n"
    for number, (address, address6) in enumerate(addresses):
        link, ours = link_name(settings, server, number), f"eth{number}"
        own_mac = mac(ipaddress.IPv4Address(address))
        outside += (
            f"link add {link} type veth peer name {ours} address {own_mac} netns {space}\n"
            f"link set {link} up master {settings.bridge_name}\n"
            f"link set {link} type bridge_slave isolated on\n"
        )
        inside += f"address add {address}/{settings.bridge.network.prefixlen} dev {ours}\n"
        if settings.bridge6 and address6:
            outside += f"link set {link} addrgenmode none\n"
            inside += (
                f"link set {ours} addrgenmode none\n"
                f"address add {address6}/{settings.bridge6.network.prefixlen} dev {ours} nodad\n"
                f"address add {_link_local(ipaddress.IPv4Address(address))} dev {ours} nodad\n"
            )
        inside += f"link set {ours} up\n"
    inside += f"route add default via {settings.bridge.ip}\n"
    if settings.bridge6 and any(address6 for _, address6 in addresses):
        inside += f"route add ::/0 via {settings.bridge6.ip}\n"
    _ip(outside)
    _ip(inside, space)
    return Path("/run/netns") / space


def disconnect(settings: Settings, server: str, count: int) -> None:
    """Remove the server's interfaces and its network namespace. May be repeated."""
    links = [link_name(settings, server, number) for number in range(count)]
    if gone := "".join(f"link delete {link}\n" for link in links if exists(link)):
        _ip(gone)
    space = settings.link_name(server)
    if (Path("/run/netns") / space).exists():
        commands.run(["ip", "netns", "delete", space], timeout=TIMEOUT)


def link_name(settings: Settings, server: str, number: int = 0) -> str:
    """Return the host's end of a server's interface."""
    return settings.link_name(f"{server}/{number}")


def exists(link: str) -> bool:
    """Tell whether this network namespace has the interface (/sys may show another's)."""
    lines = Path("/proc/thread-self/net/dev").read_text().splitlines()
    return any(line.partition(":")[0].strip() == link for line in lines)


def mac(address: ipaddress.IPv4Address) -> str:
    """Return the address's MAC: always the same, so that nobody's neighbour table is ever wrong."""
    return ":".join(f"{byte:02x}" for byte in b"\x02\xdb" + address.packed)


def _ip(script: str, space: str = "") -> None:
    within = ["-netns", space] if space else []
    try:
        commands.run(["ip", *within, "-batch", "-"], input=script.encode(), timeout=TIMEOUT)
    except errors.Failed as error:
        raise errors.Failed(f"the network could not be set up: {error.text}") from error
