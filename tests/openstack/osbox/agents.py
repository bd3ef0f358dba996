"""Waits until what has no API of its own has reported to the service that has one."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from dbaas.manage.stack.supervisor import Supervisor
from tests.openstack.osbox import nova, place
from tests.openstack.osbox.accounts import ADMIN
from tests.openstack.osbox.place import HOME
from tests.openstack.osbox.rest import Rest
from tests.openstack.osbox.tasks import Tasks

_NEUTRON = {
    "neutron-linuxbridge-agent": "neutron-linuxbridge",
    "neutron-dhcp-agent": "neutron-dhcp",
}
"""The programs behind Neutron's names of them."""

_NOVA = ("nova-conductor", "nova-scheduler", "nova-compute")
_CINDER = ("cinder-scheduler", "cinder-volume")


class Agents:
    """What was said before its sayer was started does not count: the databases remember it."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks = tasks
        self._admin = Rest(ADMIN)

    def wait_for_network(self) -> None:
        self._tasks.wait("Neutron's agents", self._network_agents_report)
        (agent,) = self._admin.listed("network", "/v2.0/agents?binary=neutron-dhcp-agent")
        at = f"/v2.0/agents/{agent['id']}/dhcp-networks"
        served = {one["id"] for one in self._admin.listed("network", at, "networks")}
        for network in self._networks():
            # Those that were made before the agent's first report are not given to it.
            if network not in served:
                self._admin.ask("POST", "network", at, {"network_id": network})
        self._tasks.wait("DHCP", self._dhcp_serves)

    def _network_agents_report(self) -> bool:
        told = {
            _NEUTRON[agent["binary"]]: agent["heartbeat_timestamp"]
            for agent in self._admin.listed("network", "/v2.0/agents")
        }
        return self._are_new(tuple(_NEUTRON.values()), told)

    def _networks(self) -> list[str]:
        found = self._admin.listed("network", "/v2.0/networks")
        return [network["id"] for network in found if network["subnets"]]

    def _dhcp_serves(self) -> bool:
        ports = self._admin.listed("network", "/v2.0/ports?device_owner=network:dhcp")
        served = {port["network_id"] for port in ports if port["status"] == "ACTIVE"}
        return all(network in served and _has_dnsmasq(network) for network in self._networks())

    def wait_for_compute(self) -> None:
        self._tasks.wait("Nova's services", lambda: self._report("compute", _NOVA))
        self._tasks.wait("Nova's host", self._has_host)

    def _has_host(self) -> bool:
        nova.map_host()
        return bool(self._admin.listed("compute", "/os-hypervisors", "hypervisors"))

    def wait_for_volumes(self) -> None:
        self._tasks.wait("Cinder's services", lambda: self._report("block-storage", _CINDER))

    def wait_for_objects(self) -> None:
        def stores() -> bool:
            self._admin.ask("PUT", "object-store", "/osbox-check")
            self._admin.ask("PUT", "object-store", "/osbox-check/x", "x")
            self._admin.ask("DELETE", "object-store", "/osbox-check/x")
            self._admin.ask("DELETE", "object-store", "/osbox-check")
            return True

        self._tasks.wait("Swift", stores)

    def _report(self, kind: str, names: tuple[str, ...]) -> bool:
        found = self._admin.listed(kind, "/os-services", "services")
        up: Mapping[str, Any] = {
            one["binary"]: one["updated_at"] for one in found if one["state"] == "up"
        }
        return self._are_new(names, up)

    def _are_new(self, names: tuple[str, ...], told: Mapping[str, str | None]) -> bool:
        """Tell whether each of these has said something since it was started."""
        states = Supervisor(HOME).states()
        return all(_seconds(told.get(name)) >= states[name].started for name in names)


def _seconds(time: str | None) -> float:
    """Return the seconds since the epoch at a time that an API told, all of which tell UTC."""
    if time is None:
        return 0.0
    return datetime.fromisoformat(time).replace(tzinfo=UTC).timestamp()


def _has_dnsmasq(network: str) -> bool:
    pid_file = place.state("neutron", "dhcp") / network / "pid"
    return pid_file.exists() and Path("/proc", pid_file.read_text().strip()).exists()
