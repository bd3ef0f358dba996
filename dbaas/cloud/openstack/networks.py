"""Ports in Neutron, each with a security group of its own, and a floating address where public.

The group and the floating address have the port's name and go with it. A group without a port is
what is left of a port that was made or deleted half way: it is shown as an interrupted one.
"""

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session

from dbaas.cloud.base import Port, PortOrder, Subnet
from dbaas.cloud.openstack.batches import Batches
from dbaas.cloud.openstack.calls import calling
from dbaas.cloud.openstack.settings import Settings
from dbaas.contract import errors
from dbaas.contract.requests import Reach

NEUTRON = "The network service"

NAMED_AT_ONCE = 40
"""Names that one request asks for: more, and the address gets too long for some proxies."""

EVERYWHERE = ("0.0.0.0/0", "::/0")


class NeutronNetworks:
    def __init__(self, session: Session, settings: Settings) -> None:
        self._settings = settings
        self._mark = f"dbaas:{settings.deployment}"
        self._neutron = Adapter(
            session,
            service_type="network",
            region_name=settings.region_name,
            interface=settings.interface,
        )
        self._batches = Batches(self.ports)

    def default_network(self) -> str:
        return self._settings.default_network

    def management_network(self) -> str:
        return self._settings.management_network

    def subnets(self) -> list[Subnet]:
        shared = {one["id"] for one in self._list("networks", shared=True)}
        return [
            Subnet(
                id=one["id"],
                network=one["network_id"],
                cidr=one["cidr"],
                project="" if one["network_id"] in shared else one["project_id"],
            )
            for one in self._list("subnets", ip_version=4)
            if one["network_id"] != self._settings.management_network
        ]

    def check_networks(self) -> str:
        """See that the networks of the options are there; raise `NotFound` naming those missing."""
        chosen = self._settings
        wanted = [chosen.management_network, chosen.default_network, chosen.public_network]
        known = {one["id"] for one in self._list("networks")}
        if missing := [network for network in wanted if network and network not in known]:
            raise errors.NotFound(f"there is no network {', '.join(missing)}")
        return ", ".join(network or "none" for network in wanted)

    def find_port(self, name: str) -> Port | None:
        return self._batches.find(name)

    def ports(self, names: Collection[str] | None = None) -> dict[str, Port]:
        few = names is not None and len(names) <= NAMED_AT_ONCE
        which: dict[str, Any] = {"name": sorted(names)} if names is not None and few else {}
        groups = self._list("security-groups", description=self._mark, **which)
        ports = self._list("ports", description=self._mark, **which)
        found = {one["name"]: _remnant(one) for one in groups}
        found |= {one["name"]: _port(one) for one in ports}
        return {name: port for name, port in found.items() if names is None or name in names}

    def create_port(self, order: PortOrder) -> Port:
        """Reserve an address, with a group that admits whom the order says."""
        rules = [] if order.management else list(self._rules(order.reach))
        network = self._network(order)
        if self.ports([order.name]):
            raise errors.Conflict(f"the port {order.name} exists")
        named = {"name": order.name, "description": self._mark}
        group = self._create("security-group", named)
        for rule in rules:
            self._create("security-group-rule", rule | {"security_group_id": group["id"]})
        wanted = named | {"network_id": network, "security_groups": [group["id"]]}
        if order.subnet or order.address:
            fixed = {"subnet_id": order.subnet, "ip_address": order.address}
            wanted["fixed_ips"] = [{key: value for key, value in fixed.items() if value}]
        made = self._create("port", wanted)
        if order.reach.is_public:
            self._publish(made)
        return _port(made)

    def set_reach(self, name: str, reach: Reach) -> None:
        """Admit who is new before anybody is shut out: who was and stays admitted never waits."""
        wanted = list(self._rules(reach))
        port = self._raw(name)
        group = self._list("security-groups", description=self._mark, name=name)[0]
        present = [rule for rule in group["security_group_rules"] if rule["direction"] == "ingress"]
        for rule in wanted:
            if not any(_same(rule, other) for other in present):
                self._create("security-group-rule", rule | {"security_group_id": group["id"]})
        for other in present:
            if not any(_same(rule, other) for rule in wanted):
                self._delete("security-group-rules", other["id"])
        if reach.is_public:
            self._publish(port)
        else:
            self._unpublish(name)

    def delete_port(self, name: str) -> None:
        self._unpublish(name)
        for kind in ("ports", "security-groups"):
            for one in self._list(kind, description=self._mark, name=name):
                self._delete(kind, one["id"])

    def id_of(self, name: str) -> str:
        """Return the port's id; raise `NotFound`."""
        return str(self._raw(name)["id"])

    def _raw(self, name: str) -> Mapping[str, Any]:
        found = self._list("ports", description=self._mark, name=name)
        if not found:
            raise errors.NotFound(f"there is no port {name}")
        return found[0]

    def _network(self, order: PortOrder) -> str:
        if order.management:
            return self._settings.management_network
        return order.network or self._settings.default_network

    def _publish(self, port: Mapping[str, Any]) -> None:
        if not self._settings.public_network:
            raise errors.Invalid("access.is_public: this cloud has no public network")
        if not self._list("floatingips", port_id=port["id"]):
            wanted = {
                "floating_network_id": self._settings.public_network,
                "port_id": port["id"],
                "description": f"{self._mark} {port['name']}",
            }
            self._create("floatingip", wanted)

    def _unpublish(self, name: str) -> None:
        for one in self._list("floatingips", description=f"{self._mark} {name}"):
            self._delete("floatingips", one["id"])

    def _rules(self, reach: Reach) -> Iterator[dict[str, Any]]:
        for text in reach.allowed_cidrs or EVERYWHERE:
            try:
                network = ipaddress.ip_network(text, strict=False)
            except ValueError as error:
                raise errors.Invalid(f"{text!r} is not a network like 192.0.2.0/24") from error
            for port in self._settings.engine_ports:
                yield {
                    "direction": "ingress",
                    "ethertype": f"IPv{network.version}",
                    "protocol": "tcp",
                    "port_range_min": port,
                    "port_range_max": port,
                    "remote_ip_prefix": str(network),
                }

    def _list(self, kind: str, **search: Any) -> list[dict[str, Any]]:
        with calling(NEUTRON):
            answer = self._neutron.get(f"/v2.0/{kind}", params=search)
        found: list[dict[str, Any]] = answer.json()[kind.replace("-", "_")]
        return found

    def _create(self, kind: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        key = kind.replace("-", "_")
        with calling(NEUTRON):
            answer = self._neutron.post(f"/v2.0/{kind}s", json={key: dict(wanted)})
        made: dict[str, Any] = answer.json()[key]
        return made

    def _delete(self, kind: str, object_id: str) -> None:
        with calling(NEUTRON):
            answer = self._neutron.delete(f"/v2.0/{kind}/{object_id}", raise_exc=False)
            if answer.status_code != 404:
                answer.raise_for_status()


def _same(rule: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(other[key] == value for key, value in rule.items())


def _remnant(group: Mapping[str, Any]) -> Port:
    return Port(group["name"], group["id"], "", "", "", interrupted=True)


def _port(raw: Mapping[str, Any]) -> Port:
    addresses: Sequence[str] = [fixed["ip_address"] for fixed in raw["fixed_ips"]]
    return Port(
        name=raw["name"],
        id=raw["id"],
        address=next((one for one in addresses if ":" not in one), ""),
        network=raw["network_id"],
        mac=raw["mac_address"],
        address6=next((one for one in addresses if ":" in one), ""),
    )
