"""Creating an instance: from a checked body to what is accepted in one transaction."""

import ipaddress
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbaas.api.offers import Offers
from dbaas.api.services import Services
from dbaas.api.usecases import access, accounts, find, restore
from dbaas.catalog import backups, instances, operations, quotas
from dbaas.catalog.records import Datastore, InstanceRecord, NewInstance
from dbaas.catalog.unit import Unit
from dbaas.cloud.base import Flavor, Subnet
from dbaas.common.context import Context
from dbaas.contract import errors
from dbaas.contract.requests import CreateInstance, Reach

KIND = "create_instance"
RESTORE = "restore_instance"

_LATER: Mapping[str, str] = {
    "replica_of": "Creating a replica",
    "configuration": "Creating an instance with a configuration group",
    "modules": "Creating an instance with modules",
    "locality": "A locality",
}
"""Keys that this version understands but cannot carry out yet."""

_EMPTY: tuple[object, ...] = ("", [], {})


@dataclass(frozen=True)
class Plan:
    """A request that was understood, with everything that follows from it."""

    row: NewInstance
    request: CreateInstance


@dataclass(frozen=True)
class Offered:
    """What the cloud offers, as it was when the request came."""

    flavors: Sequence[Flavor]
    subnets: Sequence[Subnet]
    zones: Sequence[str]
    default_network: str


def offered(offers: Offers) -> Offered:
    """Return it; the cloud may be asked, so do not call this in a transaction."""
    return Offered(offers.flavors(), offers.subnets(), offers.zones(), offers.default_network())


@dataclass(frozen=True)
class Place:
    """Where on the networks; empty: the provider's choice."""

    network: str = ""
    subnet: str = ""
    address: str = ""


@dataclass(frozen=True)
class Limits:
    """What the operator allows, and where instances are."""

    volume_gib: int
    region: str
    default_datastore: str | None


def without_empty(body: dict[str, Any]) -> dict[str, Any]:
    """Return the body less the keys that clients send empty, and with lists where one may be.

    An empty `restorePoint` stays, to be refused: who sent it did not ask for an empty instance.
    Command lines send every option that they know, empty ones, too; openstacksdk sends a single
    database or user as an object, and knows a flavor as `flavor` only.
    """
    inner = body.get("instance")
    if not isinstance(inner, dict):
        return body
    kept = {
        key: value
        for key, value in inner.items()
        if key == "name" or not (value is None or (value in _EMPTY and key != "restorePoint"))
    }
    for key in ("databases", "users"):
        if isinstance(kept.get(key), dict):
            kept[key] = [kept[key]]
    if "flavor" in kept:
        flavor = kept.pop("flavor")
        kept.setdefault("flavorRef", flavor["id"] if _is_reference(flavor) else flavor)
    return {**body, "instance": kept}


def _is_reference(flavor: Any) -> bool:
    """Tell whether it is what an instance shows as its flavor: an object with the id."""
    return isinstance(flavor, dict) and "id" in flavor


def plan(
    asked: Mapping[str, Any],
    who: Context,
    stores: Sequence[Datastore],
    offers: Offered,
    limits: Limits,
    begin: restore.Begin = restore.NOTHING,
) -> Plan:
    """Return what is to be made; raise what is wrong with the request.

    `asked` is the body's `instance`, after `without_empty` and its schema; `begin` what it
    begins with.
    """
    chain = begin.chain
    _refuse_what_comes_later(asked)
    flavor = find.flavor_to_use(offers.flavors, asked.get("flavorRef"), "instance['flavorRef']")
    wanted = asked.get("datastore") or restore.datastore_of(chain)
    version = find.version_to_build(stores, wanted, limits.default_datastore)
    databases = accounts.databases(asked.get("databases", ()), "instance['databases']")
    users = accounts.users(asked.get("users", ()), "instance['users']")
    accounts.check_listed(users, {one.name for one in databases}, "instance['users']")
    place = _place(asked.get("nics", ()), offers, who.project_id)
    region = _region(asked, limits)
    volume_gib, volume_type = _volume(asked, limits)
    restore.check(chain, version, volume_gib)
    zone = _zone(asked, offers.zones)
    reach = access.reach(asked["access"], "instance['access']") if "access" in asked else None
    row = NewInstance(
        id=str(uuid.uuid4()),
        project_id=who.project_id,
        user_id=who.user_id,
        name=asked["name"],
        datastore_version_id=version.id,
        flavor_id=flavor.id,
        flavor_ram_mib=flavor.ram_mib,
        volume_gib=volume_gib,
        volume_type=volume_type,
        availability_zone=zone,
        region=region,
        access={} if reach is None else instances.access_of(reach),
    )
    request = CreateInstance(
        name=row.name,
        flavor=flavor.id,
        flavor_ram_mib=flavor.ram_mib,
        volume_gib=volume_gib,
        volume_type=volume_type,
        engine=version.manager,
        engine_version=version.version,
        image=version.image_id,
        image_tags=version.image_tags,
        databases=databases,
        users=users,
        availability_zone=zone,
        network=place.network,
        subnet=place.subnet,
        address=place.address,
        reach=reach or Reach(),
        restore=begin.order,
    )
    return Plan(row, request)


def accept(unit: Unit, made: Plan, who: Context, services: Services) -> tuple[InstanceRecord, str]:
    """Write it all down; return the instance as it is now, and the operation that builds it."""
    row = made.row
    quotas.charge(unit, row.project_id, deltas(row.flavor_ram_mib, row.volume_gib), services.quotas)
    instances.add(unit, row)
    operation_id = operations.accept(
        unit,
        operations.Request(
            kind=RESTORE if made.request.restore else KIND,
            instance_id=row.id,
            project_id=row.project_id,
            user_id=row.user_id,
            request_id=who.request_id,
            client_ip=who.client_ip,
            body=made.request,
            locks=(row.id,),
        ),
        services.sealer,
    )
    if made.request.restore:
        backups.read_by(unit, made.request.restore.backup_ids, operation_id)
    return instances.show(unit, row.id, row.project_id), operation_id


def deltas(flavor_ram_mib: int, volume_gib: int) -> dict[str, int]:
    """Return what an instance takes of its project's quota."""
    return {"instances": 1, "ram": flavor_ram_mib, "volumes": volume_gib}


def _refuse_what_comes_later(asked: Mapping[str, Any]) -> None:
    if asked.get("replica_count", 1) > 1 and "replica_of" not in asked:
        raise errors.Invalid(
            "instance['replica_count'] is only for replicas: leave it out, or name the instance "
            "to follow in replica_of."
        )
    for key, what in _LATER.items():
        if key in asked:
            raise errors.Unsupported(
                f"{what} is not available in this version of the service: leave out {key!r}."
            )


def _volume(asked: Mapping[str, Any], limits: Limits) -> tuple[int, str]:
    if "volume" not in asked:
        raise errors.Invalid("instance['volume'] is missing: name its size in GiB.")
    volume = asked["volume"]
    return checked_size(volume["size"], limits.volume_gib), volume.get("type") or ""


def checked_size(asked: int | float | str, most: int) -> int:
    """Return the size of a volume in GiB; raise `Invalid`, or `OverQuota` when it is too large."""
    size = int(asked)
    if size < 1:
        raise errors.Invalid(f"The volume's size must be at least 1 GiB, not {size}.")
    if size > most:
        raise errors.OverQuota(f"The volume's size must be at most {most} GiB, not {size}.")
    return size


def _place(nics: Sequence[Mapping[str, str]], offers: Offered, project_id: str) -> Place:
    """Return where on the provider's networks it is to be; there is one nic at most."""
    subnets = [one for one in offers.subnets if one.project in ("", project_id)]
    for nic in nics:
        network = nic.get("net-id") or nic.get("network_id") or ""
        subnet_id, address = nic.get("subnet_id", ""), nic.get("ip_address", "")
        if not network and not subnet_id:
            raise errors.Invalid(f"{_NIC} must name a network (net-id or network_id) or subnet_id.")
        if address and not subnet_id:
            raise errors.Invalid(f"{_NIC} has an ip_address: name its subnet_id, too.")
        if not subnet_id:
            _check_offered("network", network, {one.network for one in subnets})
            return Place(network)
        _check_offered("subnet", subnet_id, {one.id for one in subnets})
        subnet = next(one for one in subnets if one.id == subnet_id)
        if network not in ("", subnet.network):
            raise errors.Invalid(
                f"{_NIC} has a subnet_id of the network {subnet.network}: name it."
            )
        if address:
            _check_address(address, subnet.cidr)
        return Place(subnet.network, subnet_id, address)
    if not offers.default_network:
        raise errors.Invalid("instance['nics'] must name a network: there is no default one here.")
    return Place()


_NIC = "instance['nics'][0]"


def _check_offered(what: str, id_: str, offered: Collection[str]) -> None:
    if id_ not in offered:
        raise errors.Invalid(
            f"{_NIC} has the {what} {id_}, which is not offered: there are "
            f"{', '.join(sorted(offered)) or 'none'}."
        )


def _check_address(text: str, cidr: str) -> None:
    network = ipaddress.ip_network(cidr)
    ends = (network.network_address, network.broadcast_address)
    try:
        address = ipaddress.IPv4Address(text)
    except ValueError:
        raise errors.Invalid(f"{_NIC} has the ip_address {text!r}, which is none.") from None
    if address not in network or address in ends:
        raise errors.Invalid(f"{_NIC} has the ip_address {text}, which is no address of {cidr}.")


def _zone(asked: Mapping[str, Any], zones: Sequence[str]) -> str:
    zone: str = asked.get("availability_zone", "")
    if zone and zone not in zones:
        raise errors.Invalid(
            f"instance['availability_zone'] {zone!r} cannot be found: there are "
            f"{', '.join(zones) or 'none'}."
        )
    return zone


def _region(asked: Mapping[str, Any], limits: Limits) -> str:
    region: str = asked.get("region_name", limits.region)
    if region != limits.region:
        raise errors.Invalid(f"instance['region_name'] must be {limits.region!r}, not {region!r}.")
    return region
