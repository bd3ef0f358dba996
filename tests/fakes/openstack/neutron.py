"""Neutron: networks, ports, security groups, and floating addresses where there is a router."""

import ipaddress
import itertools
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http import HTTPStatus

from tests.fakes.openstack.keystone import PROJECT
from tests.fakes.openstack.web import Answer, Json, Refusal, Request, Route, World, paged

NETWORK = "0c7b0a4e-0000-4000-8000-00000000d001"
"""Of tenants: an IPv4 and an IPv6 subnet, and a router to `PUBLIC`."""
LONELY = "0c7b0a4e-0000-4000-8000-00000000d002"
"""A network without a router."""
MANAGEMENT = "0c7b0a4e-0000-4000-8000-00000000d003"
PUBLIC = "0c7b0a4e-0000-4000-8000-00000000d004"

KINDS = (
    "networks",
    "subnets",
    "ports",
    "security-groups",
    "security-group-rules",
    "floatingips",
)


class Neutron:
    """`with_routers`: whether this cloud knows routers at all, and so floating addresses."""

    prefix = "/network"
    open: Sequence[str] = ()

    def __init__(self, world: World, pool: str, *, with_routers: bool = True) -> None:
        self.things: dict[str, dict[str, Json]] = {kind: {} for kind in KINDS}
        self.quota: dict[str, int] = {}
        """How many there may be of each kind."""
        self._world = world
        self._with_routers = with_routers
        for network, shared, external in (
            (NETWORK, True, False),
            (LONELY, True, False),
            (MANAGEMENT, False, False),
            (PUBLIC, False, True),
        ):
            self._add_network(network, shared=shared, external=external)
        self._add_subnet(NETWORK, pool)
        self._add_subnet(NETWORK, "fd77::/64")
        self._add_subnet(LONELY, "10.78.0.0/24")
        self._add_subnet(MANAGEMENT, "10.79.0.0/24")
        self._free_public = (f"198.51.100.{number}" for number in itertools.count(10))

    @property
    def routes(self) -> Sequence[Route]:
        kinds = [kind for kind in KINDS if kind != "floatingips" or self._with_routers]
        creates = {
            "ports": self._make_port,
            "security-groups": self._make_group,
            "security-group-rules": self._make_rule,
            "floatingips": self._make_floating,
        }
        return [
            *(("GET", f"/v2.0/{kind}", partial(self._list, kind)) for kind in kinds),
            *(
                ("POST", f"/v2.0/{kind}", partial(self._create, kind, make))
                for kind, make in creates.items()
                if kind in kinds
            ),
            *(("PUT", f"/v2.0/{kind}/([^/]+)", partial(self._update, kind)) for kind in kinds),
            *(("DELETE", f"/v2.0/{kind}/([^/]+)", partial(self._delete, kind)) for kind in kinds),
        ]

    def refused(self, refusal: Refusal) -> Answer:
        error = {"type": refusal.kind, "message": refusal.message, "detail": ""}
        return Answer(refusal.status, {"NeutronError": error})

    def bind(self, port_id: str, server_id: str) -> None:
        """Give the port to a server; raise `Refusal` when another one has it, or it is missing."""
        port = self.things["ports"].get(port_id)
        if port is None:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"Port {port_id} could not be found.")
        if port["device_id"] not in ("", server_id):
            raise Refusal(HTTPStatus.CONFLICT, f"Port {port_id} is still in use.")
        port |= {"device_id": server_id, "device_owner": "compute:nova", "status": "ACTIVE"}

    def release(self, server_id: str) -> None:
        for port in self.things["ports"].values():
            if port["device_id"] == server_id:
                port |= {"device_id": "", "device_owner": "", "status": "DOWN"}

    # Lists and deletions

    def _list(self, kind: str, request: Request) -> Answer:
        key = kind.replace("-", "_")
        filters = [name for name in request.query if name not in ("limit", "marker", "fields")]
        found = [
            self._shown(kind, thing)
            for thing in self.things[kind].values()
            if request.matches(thing, *filters)
        ]
        page, following = paged(self._world, request, found)
        body: Json = {key: page}
        if following:
            body[f"{key}_links"] = [{"rel": "next", "href": following}]
        return Answer(body=body)

    def _shown(self, kind: str, thing: Json) -> Json:
        if kind != "security-groups":
            return thing
        rules = self.things["security-group-rules"].values()
        mine = [rule for rule in rules if rule["security_group_id"] == thing["id"]]
        return thing | {"security_group_rules": mine}

    def _delete(self, kind: str, _request: Request, thing_id: str) -> Answer:
        thing = self._get(kind, thing_id)
        if kind == "security-groups":
            if any(thing_id in port["security_groups"] for port in self.things["ports"].values()):
                why = f"Security Group {thing_id} in use."
                raise Refusal(HTTPStatus.CONFLICT, why, "SecurityGroupInUse")
            rules = self.things["security-group-rules"]
            for rule in [one for one in rules.values() if one["security_group_id"] == thing_id]:
                del rules[rule["id"]]
        if kind == "ports":
            for floating in self.things["floatingips"].values():
                if floating["port_id"] == thing["id"]:
                    floating |= {"port_id": None, "fixed_ip_address": None, "status": "DOWN"}
        del self.things[kind][thing_id]
        return Answer(HTTPStatus.NO_CONTENT)

    def _update(self, kind: str, request: Request, thing_id: str) -> Answer:
        key = _singular(kind)
        thing, wanted = self._get(kind, thing_id), request.body[key]
        if kind == "floatingips" and wanted.get("port_id"):
            wanted = wanted | self._associated(wanted["port_id"], thing["floating_network_id"])
        thing |= wanted
        return Answer(body={key: self._shown(kind, thing)})

    def _get(self, kind: str, thing_id: str) -> Json:
        if thing_id not in self.things[kind]:
            what = _singular(kind).replace("_", " ").capitalize()
            raise Refusal(
                HTTPStatus.NOT_FOUND,
                f"{what} {thing_id} could not be found.",
                f"{what.title().replace(' ', '')}NotFound",
            )
        return self.things[kind][thing_id]

    # Creations

    def _create(self, kind: str, make: Callable[[Json], Json], request: Request) -> Answer:
        """Make one, or as many as a bulk request names: all or none."""
        key, keys = _singular(kind), kind.replace("-", "_")
        if key in request.body:
            return Answer(HTTPStatus.CREATED, {key: self._shown(kind, make(request.body[key]))})
        before = dict(self.things[kind])
        try:
            made = [self._shown(kind, make(wanted)) for wanted in request.body[keys]]
        except Refusal:
            self.things[kind] = before
            raise
        return Answer(HTTPStatus.CREATED, {keys: made})

    def _keep(self, kind: str, thing: Json) -> Json:
        most = self.quota.get(kind)
        if most is not None and len(self.things[kind]) >= most:
            why = f"Quota exceeded for resources: ['{_singular(kind)}']."
            raise Refusal(HTTPStatus.CONFLICT, why, "OverQuota")
        made = {"id": str(uuid.uuid4()), "project_id": PROJECT, "description": "", **thing}
        self.things[kind][made["id"]] = made
        return made

    def _add_network(self, network: str, *, shared: bool, external: bool) -> None:
        self._keep(
            "networks",
            {
                "id": network,
                "name": network[-4:],
                "shared": shared,
                "router:external": external,
                "subnets": [],
                "status": "ACTIVE",
                "admin_state_up": True,
            },
        )

    def _add_subnet(self, network: str, cidr: str) -> None:
        pool = ipaddress.ip_network(cidr)
        self._keep(
            "subnets",
            {
                "network_id": network,
                "cidr": cidr,
                "ip_version": pool.version,
                "gateway_ip": str(pool[1]),
                "enable_dhcp": True,
                "ipv6_address_mode": "slaac" if pool.version == 6 else None,
            },
        )

    def _make_group(self, wanted: Mapping[str, str]) -> Json:
        group = self._keep("security-groups", {**wanted, "stateful": True})
        for version in ("IPv4", "IPv6"):
            self._make_rule(
                {"security_group_id": group["id"], "direction": "egress", "ethertype": version}
            )
        return group

    def _make_rule(self, wanted: Mapping[str, str]) -> Json:
        self._get("security-groups", wanted["security_group_id"])
        rule = dict.fromkeys(("protocol", "port_range_min", "port_range_max", "remote_ip_prefix"))
        rule |= wanted
        for other in self.things["security-group-rules"].values():
            if all(other[name] == value for name, value in rule.items()):
                why = f"Security group rule already exists. Rule id is {other['id']}."
                raise Refusal(HTTPStatus.CONFLICT, why, "SecurityGroupRuleExists")
        return self._keep("security-group-rules", rule)

    def _make_port(self, wanted: Json) -> Json:
        network = self._get("networks", wanted["network_id"])
        for group in wanted.get("security_groups", []):
            self._get("security-groups", group)
        port_id = str(uuid.uuid4())
        port = {
            "id": port_id,
            "status": "DOWN",
            "device_id": "",
            "device_owner": "",
            "mac_address": f"fa:16:3e:{port_id[:2]}:{port_id[2:4]}:{port_id[4:6]}",
            "security_groups": [],
            **wanted,
            "fixed_ips": self._addresses(network["id"], wanted.get("fixed_ips", [])),
        }
        return self._keep("ports", port)

    def _addresses(self, network: str, asked: Sequence[Json]) -> list[Json]:
        here = [one for one in self.things["subnets"].values() if one["network_id"] == network]
        of_4, of_6 = ([one for one in here if one["ip_version"] == version] for version in (4, 6))
        fixed = [self._asked(network, here, one) for one in asked]
        if not asked and of_4:
            fixed = [self._free(of_4)]
        return fixed + [self._free([subnet]) for subnet in of_6]

    def _asked(self, network: str, here: Sequence[Json], asked: Json) -> Json:
        """Return the address and its subnet as a port asks for them, one or both."""
        if "subnet_id" in asked:
            subnet = self._get("subnets", asked["subnet_id"])
            if subnet not in here:
                why = f"Subnet {subnet['id']} is not on network {network}."
                raise Refusal(HTTPStatus.BAD_REQUEST, why, "InvalidInput")
            here = [subnet]
        if "ip_address" not in asked:
            return self._free(here)
        text = asked["ip_address"]
        try:
            address = ipaddress.ip_address(text)
        except ValueError:
            why = f"Invalid input for fixed_ips. Reason: '{text}' is not a valid IP address."
            raise Refusal(HTTPStatus.BAD_REQUEST, why, "HTTPBadRequest") from None
        for subnet in here:
            pool = ipaddress.ip_network(subnet["cidr"])
            if address in pool and address not in (pool[0], pool[-1]):
                if text in self._taken(subnet["id"]):
                    why = f"IP address {text} already allocated in subnet {subnet['id']}"
                    raise Refusal(HTTPStatus.CONFLICT, why, "IpAddressAlreadyAllocated")
                return {"subnet_id": subnet["id"], "ip_address": text}
        why = f"IP address {text} is not a valid IP for any of the subnets on the network."
        raise Refusal(HTTPStatus.BAD_REQUEST, why, "InvalidIpForNetwork")

    def _free(self, subnets: Sequence[Json]) -> Json:
        for subnet in subnets:
            taken = {*self._taken(subnet["id"]), subnet["gateway_ip"]}
            for address in ipaddress.ip_network(subnet["cidr"]).hosts():
                if str(address) not in taken:
                    return {"subnet_id": subnet["id"], "ip_address": str(address)}
        why = f"No more IP addresses available on network {subnets[0]['network_id']}."
        raise Refusal(HTTPStatus.CONFLICT, why, "IpAddressGenerationFailure")

    def _taken(self, subnet_id: str) -> list[str]:
        return [
            fixed["ip_address"]
            for port in self.things["ports"].values()
            for fixed in port["fixed_ips"]
            if fixed["subnet_id"] == subnet_id
        ]

    def _make_floating(self, wanted: Json) -> Json:
        network = self._get("networks", wanted["floating_network_id"])
        if not network["router:external"]:
            why = f"Bad floatingip request: Network {network['id']} is not a valid external network"
            raise Refusal(HTTPStatus.BAD_REQUEST, why, "BadRequest")
        floating = {
            "floating_ip_address": next(self._free_public),
            "fixed_ip_address": None,
            "port_id": None,
            "router_id": None,
            "status": "DOWN",
            **wanted,
        }
        if floating["port_id"]:
            floating |= self._associated(floating["port_id"], network["id"])
        return self._keep("floatingips", floating)

    def _associated(self, port_id: str, external: str) -> Json:
        port = self._get("ports", port_id)
        fixed = port["fixed_ips"][0]
        if port["network_id"] != NETWORK:
            why = (
                f"External network {external} is not reachable from subnet {fixed['subnet_id']}. "
                f"Therefore, cannot associate Port {port_id} with a Floating IP."
            )
            raise Refusal(HTTPStatus.NOT_FOUND, why, "ExternalGatewayForFloatingIPNotFound")
        for other in self.things["floatingips"].values():
            if other["port_id"] == port_id:
                why = f"Cannot associate floating IP: port {port_id} already has a floating IP."
                raise Refusal(HTTPStatus.CONFLICT, why, "FloatingIPPortAlreadyAssociated")
        return {"port_id": port_id, "fixed_ip_address": fixed["ip_address"], "status": "ACTIVE"}


def _singular(kind: str) -> str:
    return kind.replace("-", "_").removesuffix("s")
