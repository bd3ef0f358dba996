"""Ports without root: a loopback address each, which only this host's own programs reach."""

import ipaddress
import socket
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from dbaas.cloud.base import Port, PortOrder, Subnet
from dbaas.cloud.local import bridge
from dbaas.cloud.local.records import Records
from dbaas.cloud.loopback.settings import Settings
from dbaas.contract import errors
from dbaas.contract.requests import Reach

POOL = "pool"
"""The lock that every reservation takes."""


class LoopbackNetworks:
    """One network, and one subnet: the pool."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._records = Records(settings.state_dir / "ports")

    def default_network(self) -> str:
        return self._stable_id("network")

    def management_network(self) -> str:
        return ""

    def subnets(self) -> list[Subnet]:
        pool = str(self._settings.pool)
        return [Subnet(self._stable_id("pool"), self.default_network(), pool)]

    def _stable_id(self, name: str) -> str:
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{self._settings.state_dir.as_uri()}#{name}"))

    def find_port(self, name: str) -> Port | None:
        return self.ports([name]).get(name)

    def ports(self, names: Collection[str] | None = None) -> dict[str, Port]:
        return {name: self._port(name, record) for name, record in self._records.all(names).items()}

    def create_port(self, order: PortOrder) -> Port:
        """Reserve the address that is asked for, or the lowest that is free."""
        if order.network not in ("", self.default_network()):
            raise errors.NotFound(f"there is no network {order.network}")
        if order.subnet not in ("", self._stable_id("pool")):
            raise errors.NotFound(f"there is no subnet {order.subnet}")
        _expect_open(order.reach)
        with self._records.lock(POOL):
            if self._records.get(order.name):
                raise errors.Conflict(f"the port {order.name} exists")
            taken = {record["address"] for record in self._records.all().values()}
            address = self._asked(order.address) if order.address else self._free(taken)
            if address in taken or not self._is_quiet(address):
                raise errors.Conflict(f"the address {address} is taken")
            record = {"id": str(uuid.uuid4()), "address": address}
            self._records.put(order.name, record)
        return self._port(order.name, record)

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
            free = str(address) not in taken and self._usable(address)
            if free and self._is_quiet(str(address)):
                return str(address)
        raise errors.OverQuota(f"every address of {self._settings.pool} is taken")

    def _usable(self, address: ipaddress.IPv4Address) -> bool:
        pool = self._settings.pool
        return address in pool and address not in (pool[0], pool[1], pool[-1])

    def _is_quiet(self, address: str) -> bool:
        """Tell whether no program has an engine's port of this address, or of all addresses."""
        for port in self._settings.engine_ports:
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind((address, port))
                except OSError:
                    return False
        return True

    def set_reach(self, name: str, reach: Reach) -> None:
        if self._records.get(name) is None:
            raise errors.NotFound(f"there is no port {name}")
        _expect_open(reach)

    def delete_port(self, name: str) -> None:
        with self._records.lock(POOL):
            self._records.remove(name)

    def _port(self, name: str, record: Mapping[str, Any]) -> Port:
        address = record["address"]
        mac = bridge.mac(ipaddress.IPv4Address(address))
        return Port(name, record["id"], address, self.default_network(), mac)


def _expect_open(reach: Reach) -> None:
    if reach.allowed_cidrs:
        raise errors.Unsupported(
            "Who may connect cannot be restricted here: guests run without root, and are reached "
            "from their own host only."
        )
