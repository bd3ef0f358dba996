"""Ports in Neutron, each with a security group of its own, and a floating address where public.

The group and the floating address have the port's name and go with it: the group is made first and
deleted last. A group without a port, or a floating address that leads nowhere, is what is left of a
port that was made or deleted half way: it is shown as an interrupted one.
"""

import ipaddress
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session

from dbaas.cloud.base import Port, PortOrder, Subnet
from dbaas.cloud.openstack.batches import Batches
from dbaas.cloud.openstack.calls import calling, next_page
from dbaas.cloud.openstack.names import few
from dbaas.cloud.openstack.settings import Settings
from dbaas.contract import errors
from dbaas.contract.requests import Reach

NEUTRON = "The network service"

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
        named = sorted(names) if names is not None and few(names) else []
        which: dict[str, Any] = {"name": named} if named else {}
        groups = self._list("security-groups", description=self._mark, **which)
        ports = self._list("ports", description=self._mark, **which)
        public = dict(self._floating(named)) if self._settings.public_network else {}
        found = {one["name"]: _remnant(one) for one in groups}
        found |= {one["name"]: _port(one, public.get(one["name"])) for one in ports}
        return {name: port for name, port in found.items() if names is None or name in names}

    def create_port(self, order: PortOrder) -> Port:
        """Reserve an address, with a group that admits whom the order says."""
        rules = [] if order.management else list(self._rules(order.reach))
        wanted = self._wanted(order)
        if self.ports([order.name]):
            raise errors.Conflict(f"the port {order.name} exists")
        try:
            return self._make(order, wanted, rules)
        except errors.RETRYABLE:
            raise
        except errors.Error:
            # Nothing may be left that looks like a port to be: this one cannot be.
            self.delete_port(order.name)
            raise

    def _wanted(self, order: PortOrder) -> dict[str, Any]:
        """Return what Neutron is told of the port; raise `Invalid`, `NotFound`."""
        network = order.network or self._settings.default_network
        if order.management:
            network = self._settings.management_network
        wanted = self._named(order.name) | {"network_id": network}
        if order.subnet or order.address:
            fixed = {"subnet_id": order.subnet, "ip_address": order.address}
            wanted["fixed_ips"] = [{key: value for key, value in fixed.items() if value}]
        if order.address:
            self._expect_no_gateway(network, order.address)
        return wanted

    def _expect_no_gateway(self, network: str, address: str) -> None:
        """Raise `Invalid` for the router's address, which Neutron gives away where none is yet."""
        subnets = self._list("subnets", network_id=network)
        if any(one["gateway_ip"] == address for one in subnets):
            raise errors.Invalid(f"the address {address} is the gateway's")

    def _make(
        self, order: PortOrder, wanted: Mapping[str, Any], rules: Sequence[Mapping[str, Any]]
    ) -> Port:
        group = self._create("security-group", self._named(order.name))
        self._admit(group["id"], rules)
        floating = self._make_floating(order.name) if order.reach.is_public else None
        made = self._create("port", {**wanted, "security_groups": [group["id"]]})
        if floating is not None:
            floating = self._lead(floating, made)
        return _port(made, floating)

    def set_reach(self, name: str, reach: Reach) -> None:
        """Admit who is new before anybody is shut out: who was and stays admitted never waits."""
        wanted = list(self._rules(reach))
        port = self._raw(name)
        group = self._list("security-groups", description=self._mark, name=name)[0]
        present = [rule for rule in group["security_group_rules"] if rule["direction"] == "ingress"]
        self._admit(
            group["id"],
            [rule for rule in wanted if not any(_same(rule, other) for other in present)],
        )
        for other in present:
            if not any(_same(rule, other) for rule in wanted):
                self._delete("security-group-rules", other["id"])
        if reach.is_public:
            floating = dict(self._floating([name])).get(name)
            self._lead(floating or self._make_floating(name), port)
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

    def _named(self, name: str) -> dict[str, Any]:
        return {"name": name, "description": self._mark}

    def _admit(self, group_id: str, rules: Sequence[Mapping[str, Any]]) -> None:
        if rules:
            wanted = [{**rule, "security_group_id": group_id} for rule in rules]
            self._post("security-group-rules", {"security_group_rules": wanted})

    def _floating(self, names: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
        """Return the floating addresses of the ports of these names, or of all, with the names.

        Floating addresses have no names of their own. A cloud without routers has none at all.
        """
        begin = f"{self._mark} "
        which = {"description": [f"{begin}{name}" for name in names]} if names else {}
        try:
            found = self._list("floatingips", **which)
        except errors.NotFound:
            return []
        ours = [one for one in found if one["description"].startswith(begin)]
        return [(one["description"].removeprefix(begin), one) for one in ours]

    def _make_floating(self, name: str) -> dict[str, Any]:
        if not self._settings.public_network:
            raise errors.Invalid("access.is_public: this cloud has no public network")
        wanted = {
            "floating_network_id": self._settings.public_network,
            "description": f"{self._mark} {name}",
        }
        return self._create("floatingip", wanted)

    def _lead(self, floating: dict[str, Any], port: Mapping[str, Any]) -> dict[str, Any]:
        """Have the floating address lead to the port."""
        if floating["port_id"] == port["id"]:
            return floating
        try:
            with calling(NEUTRON):
                answer = self._neutron.put(
                    f"/v2.0/floatingips/{floating['id']}",
                    json={"floatingip": {"port_id": port["id"]}},
                )
        except errors.NotFound as error:
            raise errors.Invalid(
                "access.is_public: no router leads from the public network to the instance's"
            ) from error
        led: dict[str, Any] = answer.json()["floatingip"]
        return led

    def _unpublish(self, name: str) -> None:
        for _, one in self._floating([name]):
            self._delete("floatingips", one["id"])

    def _rules(self, reach: Reach) -> Iterator[dict[str, Any]]:
        for network in dict.fromkeys(map(_network, reach.allowed_cidrs or EVERYWHERE)):
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
        """Return everything of this kind that matches, page by page where Neutron makes pages."""
        key = kind.replace("-", "_")
        found: list[dict[str, Any]] = []
        params: Mapping[str, Any] | None = search
        while params is not None:
            with calling(NEUTRON):
                answer = self._neutron.get(f"/v2.0/{kind}", params=params).json()
            found += answer[key]
            params = next_page(answer.get(f"{key}_links", ()))
        return found

    def _create(self, kind: str, wanted: Mapping[str, Any]) -> dict[str, Any]:
        key = kind.replace("-", "_")
        made: dict[str, Any] = self._post(f"{kind}s", {key: dict(wanted)})[key]
        return made

    def _post(self, kind: str, body: Mapping[str, Any]) -> dict[str, Any]:
        with calling(NEUTRON):
            answer: dict[str, Any] = self._neutron.post(f"/v2.0/{kind}", json=body).json()
        return answer

    def _delete(self, kind: str, object_id: str) -> None:
        try:
            with calling(NEUTRON):
                self._neutron.delete(f"/v2.0/{kind}/{object_id}")
        except errors.NotFound:
            return
        except errors.Conflict as error:
            raise errors.Busy(f"one of the {kind} is still in use") from error


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise errors.Invalid(f"{text!r} is not a network like 192.0.2.0/24") from error


def _same(rule: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    return all(other[key] == value for key, value in rule.items())


def _remnant(group: Mapping[str, Any]) -> Port:
    return Port(group["name"], group["id"], "", "", "", interrupted=True)


def _port(raw: Mapping[str, Any], floating: Mapping[str, Any] | None) -> Port:
    addresses: Sequence[str] = [fixed["ip_address"] for fixed in raw["fixed_ips"]]
    return Port(
        name=raw["name"],
        id=raw["id"],
        address=next((one for one in addresses if ":" not in one), ""),
        network=raw["network_id"],
        mac=raw["mac_address"],
        address6=next((one for one in addresses if ":" in one), ""),
        public=floating["floating_ip_address"] if floating else "",
        interrupted=floating is not None and floating["port_id"] != raw["id"],
    )
