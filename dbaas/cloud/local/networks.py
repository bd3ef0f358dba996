"""Ports of the local provider: an address of the pool each, reserved until it is given back."""

import ipaddress
import uuid
from collections.abc import Collection, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from dbaas.cloud.base import Port, PortOrder, Subnet
from dbaas.cloud.local import bridge, firewall
from dbaas.cloud.local.firewall import Door
from dbaas.cloud.local.records import Records
from dbaas.cloud.local.settings import Settings
from dbaas.contract import errors
from dbaas.contract.requests import Reach
from dbaas.host import files


class LocalNetworks:
    """One network, the bridge's, with one subnet."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records = Records(settings.state_dir / "ports")

    def ensure(self) -> None:
        """Make the bridge and the firewall what they are to be. May be repeated."""
        with self._lock():
            bridge.make(self._settings)
            firewall.load(self._settings, _doors(self._records.all()))

    def remove(self) -> None:
        """Remove the bridge and the firewall's table; no guest runs any more. May be repeated."""
        with self._lock():
            bridge.remove(self._settings)
            firewall.remove(self._settings)

    def default_network(self) -> str:
        """Return the network's id, which follows from the state directory: it never changes."""
        return self._stable_id(self._settings.deployment)

    def management_network(self) -> str:
        return ""

    def subnets(self) -> list[Subnet]:
        """Return the pool: its id follows from the state directory, too."""
        return [Subnet(self._subnet(), self.default_network(), str(self._settings.pool))]

    def _subnet(self) -> str:
        return self._stable_id(f"{self._settings.deployment}/pool")

    def _stable_id(self, name: str) -> str:
        where = Path(self._settings.state_dir).as_uri()
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{where}#{name}"))

    def find_port(self, name: str) -> Port | None:
        return self.ports([name]).get(name)

    def ports(self, names: Collection[str] | None = None) -> dict[str, Port]:
        return {name: self._port(name, record) for name, record in self._records.all(names).items()}

    def create_port(self, order: PortOrder) -> Port:
        """Reserve the address that is asked for, or the lowest that is free.

        Its record is written when the firewall knows it: one that is found can be reached.
        """
        self._check(order)
        with self._lock():
            records = self._records.all()
            if order.name in records:
                raise errors.Conflict(f"the port {order.name} exists")
            taken = {record["address"] for record in records.values()}
            address = self._asked(order.address) if order.address else self._free(taken)
            if address in taken:
                raise errors.Conflict(f"the address {address} is taken")
            bridge.make(self._settings)
            record = {
                "id": str(uuid.uuid4()),
                "address": address,
                "address6": self._address6(address),
                "allowed": order.reach.allowed_cidrs,
            }
            firewall.load(self._settings, _doors(records | {order.name: record}))
            self._records.put(order.name, record)
        return self._port(order.name, record)

    def _check(self, order: PortOrder) -> None:
        if order.network not in ("", self.default_network()):
            raise errors.NotFound(f"there is no network {order.network}")
        if order.subnet not in ("", self._subnet()):
            raise errors.NotFound(f"there is no subnet {order.subnet}")
        firewall.check(order.reach)

    def _address6(self, address: str) -> str:
        if not bridge.has_ipv6(self._settings):
            return ""
        return str(self._settings.address6(ipaddress.IPv4Address(address)))

    def _asked(self, text: str) -> str:
        try:
            address = ipaddress.IPv4Address(text)
        except ValueError as error:
            raise errors.Invalid(f"{text!r} is not an IPv4 address") from error
        if not self._usable(address):
            raise errors.Invalid(f"the address {address} is not one of {self._settings.pool}")
        return str(address)

    def _free(self, taken: Collection[str]) -> str:
        for address in self._settings.pool:
            if str(address) not in taken and self._usable(address):
                return str(address)
        raise errors.OverQuota(f"every address of {self._settings.pool} is taken")

    def _usable(self, address: ipaddress.IPv4Address) -> bool:
        subnet = self._settings.bridge.network
        ends = (subnet.network_address, subnet.broadcast_address, self._settings.bridge.ip)
        return address in self._settings.pool and address not in ends

    def set_reach(self, name: str, reach: Reach) -> None:
        firewall.check(reach)
        with self._lock():
            record = self._records.get(name)
            if record is None:
                raise errors.NotFound(f"there is no port {name}")
            self._records.put(name, record | {"allowed": reach.allowed_cidrs})
            self._reload()

    def delete_port(self, name: str) -> None:
        with self._lock():
            self._records.remove(name)
            self._reload()

    def _reload(self) -> None:
        """Have the firewall follow the records; one that is away is made from them later."""
        if bridge.exists(self._settings.bridge_name):
            firewall.load(self._settings, _doors(self._records.all()))

    def _lock(self) -> AbstractContextManager[None]:
        """Hold what guards all ports, the bridge and the firewall."""
        return files.lock(self._settings.state_dir / "network.lock")

    def _port(self, name: str, record: Mapping[str, Any]) -> Port:
        return Port(
            name,
            record["id"],
            record["address"],
            self.default_network(),
            bridge.mac(ipaddress.IPv4Address(record["address"])),
            record["address6"],
        )


def _doors(records: Mapping[str, Mapping[str, Any]]) -> list[Door]:
    return [
        Door(record["address"], record["address6"], tuple(record["allowed"]))
        for record in records.values()
    ]
