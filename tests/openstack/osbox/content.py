"""What a new cloud has besides users: flavors, networks, a volume type."""

from typing import Any

from tests.openstack.osbox import accounts, cinder, tenants
from tests.openstack.osbox.accounts import ADMIN
from tests.openstack.osbox.addresses import NETWORKS, Network
from tests.openstack.osbox.rest import Rest

FLAVORS = (
    ("db.tiny", 1, 512),
    ("db.small", 1, 1024),
    ("db.medium", 1, 2048),
    ("db.large", 2, 4096),
)
"""Name, processors, MiB of memory; their ids are numbers from 1 on."""

DISK_GIB = 8
"""Of every flavor: Nova cannot give a server a smaller disk than it has."""

_OPEN = (("icmp", None), ("tcp", 22))
"""What the default security groups admit."""


def make_flavors() -> None:
    admin = Rest(ADMIN)
    for number, (name, processors, memory) in enumerate(FLAVORS, 1):
        flavor = {
            "id": str(number),
            "name": name,
            "vcpus": processors,
            "ram": memory,
            "disk": DISK_GIB,
        }
        admin.ask("POST", "compute", "/flavors", {"flavor": flavor})


def make_volume_type() -> None:
    specs = {"volume_backend_name": "nfs"}
    volume_type = {"name": cinder.VOLUME_TYPE, "extra_specs": specs}
    Rest(ADMIN).ask("POST", "block-storage", "/types", {"volume_type": volume_type})


def make_networks() -> None:
    admin = Rest(ADMIN)
    projects = tenants.project_ids(admin)
    for network in NETWORKS:
        _make_network(admin, network, projects[network.project])
    for user in accounts.PEOPLE:
        _open_default_group(Rest(user))


def _make_network(admin: Rest, network: Network, project: str) -> None:
    made = _create(
        admin,
        "network",
        {
            "name": network.name,
            "project_id": project,
            "shared": network.is_shared,
            "provider:network_type": "flat",
            "provider:physical_network": network.interface,
        },
    )
    _create(
        admin,
        "subnet",
        {
            "name": network.name,
            "network_id": made["id"],
            "project_id": project,
            "ip_version": 4,
            "cidr": network.cidr,
            "gateway_ip": network.gateway if network.has_gateway else None,
            "allocation_pools": [{"start": f"{network.prefix}.10", "end": f"{network.prefix}.250"}],
        },
    )


def _open_default_group(owner: Rest) -> None:
    """Make rules in the group of his project, which is there as soon as somebody asks for it."""
    mine = f"/v2.0/security-groups?name=default&project_id={owner.project_id()}"
    groups = owner.listed("network", mine, "security_groups")
    for protocol, port in _OPEN:
        rule = {
            "security_group_id": groups[0]["id"],
            "direction": "ingress",
            "ethertype": "IPv4",
            "protocol": protocol,
            "port_range_min": port,
            "port_range_max": port,
        }
        _create(owner, "security-group-rule", rule)


def _create(who: Rest, kind: str, body: object) -> dict[str, Any]:
    key = kind.replace("-", "_")
    made: dict[str, Any] = who.ask("POST", "network", f"/v2.0/{kind}s", {key: body})[key]
    return made
