"""The host's firewall before the guests: who may connect to which, and what they may reach.

It is one table, made anew as a whole from the ports' records and replaced in one step, so that any
process may do it and none can leave half of it. Guests reach the broker's TLS listener, the depot
and the storages that the operator names, answer whoever connected to them, and nothing else. To a
guest's engine connect those networks that its tenant allows: from the host, or through it where the
host forwards packets. What is open already stays open.
"""

import ipaddress
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dbaas.cloud.local.settings import Settings
from dbaas.contract import errors
from dbaas.contract.requests import Reach
from dbaas.host import commands

TIMEOUT = 30.0
"""Seconds for a program that takes milliseconds, on a host that is very busy."""

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Door:
    """A guest's addresses, and the networks from which it is reached; without any, from all."""

    address: str
    address6: str
    allowed: tuple[str, ...]


def load(settings: Settings, doors: Sequence[Door]) -> None:
    script = rules(settings, doors)
    commands.run(["nft", "-f", "-"], input=script.encode(), timeout=TIMEOUT)


def remove(settings: Settings) -> None:
    """Remove the table. May be repeated."""
    table = f"inet {table_name(settings)}"
    script = f"table {table}\ndelete table {table}\n"
    commands.run(["nft", "-f", "-"], input=script.encode(), timeout=TIMEOUT)


def table_name(settings: Settings) -> str:
    return f"dbaas_{settings.bridge_name}"


def rules(settings: Settings, doors: Sequence[Door]) -> str:
    """Return the table's rules; loading them replaces those that were there.

    Packets of neighbour discovery are in no connection (ip6tables-extensions(8), `UNTRACKED`).
    Nobody outside the bridge speaks with the voice of one who is on it.
    """
    name, table = settings.bridge_name, table_name(settings)
    neighbours = "icmpv6 type { nd-neighbor-solicit, nd-neighbor-advert } accept"
    inside6 = f"ip6 saddr {settings.bridge6.network} drop" if settings.bridge6 else ""
    return f"""\
table inet {table}
delete table inet {table}
table inet {table} {{
    chain input {{
        type filter hook input priority filter; policy accept;
        iifname != "{name}" accept
        ct state established,related accept
        {neighbours}
        ip daddr {settings.bridge.ip} tcp dport {_set(_entrances(settings))} accept
        {_storages(settings)}
        drop
    }}
    chain output {{
        type filter hook output priority filter; policy accept;
        oifname != "{name}" accept
        {neighbours}
        jump to_guests
    }}
    chain forward {{
        type filter hook forward priority filter; policy accept;
        iifname != "{name}" oifname != "{name}" accept
        ct state established,related accept
        {_storages(settings, f'iifname "{name}" oifname != "{name}" ')}
        iifname "{name}" drop
        ip saddr {settings.bridge.network} drop
        {inside6}
        jump to_guests
    }}
    chain to_guests {{
        ct state established,related accept
        meta l4proto != tcp drop
        tcp dport != {_set(map(str, settings.engine_ports))} drop
        {_dispatch("ip", [door.address for door in doors])}
        {_dispatch("ip6", [door.address6 for door in doors])}
        drop
    }}
{"".join(_chain(number, door) for number, door in enumerate(doors))}}}
"""


def _entrances(settings: Settings) -> list[str]:
    return [str(port) for port in (settings.broker_port, settings.depot_port) if port]


def _storages(settings: Settings, coming: str = "") -> str:
    """Return the rule that lets packets to the operator's storages pass, if there are any."""
    pairs = [f"{address} . {port}" for address, port in sorted(set(settings.storage_endpoints))]
    return f"{coming}ip daddr . tcp dport {_set(pairs)} accept" if pairs else ""


def _dispatch(family: str, addresses: Sequence[str]) -> str:
    """Return the rule by which the kernel finds a guest's chain at once, however many there are."""
    pairs = [f"{address} : goto guest{n}" for n, address in enumerate(addresses) if address]
    return f"{family} daddr vmap {_set(pairs)}" if pairs else ""


def _chain(number: int, door: Door) -> str:
    allowed = networks(door.allowed)
    own = [str(network) for network in allowed if network.version == 4]
    own6 = [str(network) for network in allowed if network.version == 6]
    accepted = [f"ip saddr {_set(own)} accept"] if own else []
    accepted += [f"ip6 saddr {_set(own6)} accept"] if own6 else []
    lines = [*accepted, "drop"] if allowed else ["accept"]
    return "\n        ".join([f"    chain guest{number} {{", *lines]) + "\n    }\n"


def _set(elements: Iterable[str]) -> str:
    return f"{{ {', '.join(elements)} }}"


def check(reach: Reach) -> None:
    """Raise `Invalid` unless every network is one."""
    networks(reach.allowed_cidrs)


def networks(texts: Iterable[str]) -> list[Network]:
    """Return the networks, none within another: the kernel's sets allow no overlap."""
    own: list[ipaddress.IPv4Network] = []
    own6: list[ipaddress.IPv6Network] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text, strict=False)
        except ValueError as error:
            raise errors.Invalid(f"{text!r} is not a network like 192.0.2.0/24") from error
        if isinstance(network, ipaddress.IPv4Network):
            own.append(network)
        else:
            own6.append(network)
    return [*ipaddress.collapse_addresses(own), *ipaddress.collapse_addresses(own6)]
