"""From where an instance may be reached, as a request says it."""

import ipaddress
from collections.abc import Mapping
from typing import Any

from dbaas.contract import errors
from dbaas.contract.requests import Reach

_EMBEDDED = ipaddress.IPv6Network("::ffff:0:0/96")
"""IPv4 addresses written as IPv6 ones: no connection comes from such."""


def reach(asked: Mapping[str, Any], field: str) -> Reach:
    """Return what a body's `access` means, its networks in one spelling; raise `Invalid`."""
    found: list[str] = []
    for index, text in enumerate(asked.get("allowed_cidrs", ())):
        where = f"{field}['allowed_cidrs'][{index}]"
        network = _network(text, where)
        if network in found:
            raise errors.Invalid(f"{where} {text!r} is named twice: name {network} once.")
        found.append(network)
    return Reach(asked.get("is_public", False), tuple(found))


def _network(text: str, where: str) -> str:
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise errors.Invalid(
            f"{where} {text!r} is not a network: use an IPv4 or IPv6 one, as 203.0.113.0/24 or "
            "2001:db8::/64."
        ) from None
    if isinstance(network, ipaddress.IPv6Network) and network.subnet_of(_EMBEDDED):
        raise errors.Invalid(f"{where} {text!r} is IPv4 written as IPv6: write it as IPv4.")
    return str(network)
