"""Servers in Nova: built of ports, volumes and an image, changed and deleted."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any

import novaclient.exceptions

from dbaas.cloud.base import Flavor, Locality, Server, ServerOrder, ServerState
from dbaas.cloud.openstack.batches import Batches
from dbaas.cloud.openstack.calls import calling
from dbaas.cloud.openstack.groups import Groups
from dbaas.cloud.openstack.images import Images
from dbaas.cloud.openstack.inventory import NOVA, Inventory
from dbaas.cloud.openstack.networks import NeutronNetworks
from dbaas.cloud.openstack.settings import Settings
from dbaas.cloud.openstack.userdata import cloud_config
from dbaas.cloud.openstack.volumes import CinderVolumes
from dbaas.contract import errors

NO_ROOM = "no valid host"
"""What Nova says of a server for which there is no host."""

STATES: Mapping[str, ServerState] = {
    "BUILD": ServerState.BUILD,
    "ACTIVE": ServerState.ACTIVE,
    "SHUTOFF": ServerState.SHUTOFF,
    "RESIZE": ServerState.RESIZE,
    "REVERT_RESIZE": ServerState.RESIZE,
    "VERIFY_RESIZE": ServerState.VERIFY_RESIZE,
    "REBOOT": ServerState.REBOOT,
    "HARD_REBOOT": ServerState.REBOOT,
    "ERROR": ServerState.ERROR,
}
"""By Nova's word; every other is UNKNOWN."""


class NovaCompute:
    def __init__(
        self,
        inventory: Inventory,
        settings: Settings,
        images: Images,
        volumes: CinderVolumes,
        networks: NeutronNetworks,
    ) -> None:
        self._settings = settings
        self._images = images
        self._volumes = volumes
        self._networks = networks
        self._inventory = inventory
        self._nova = inventory.nova
        self._groups = Groups(inventory.nova)
        self._batches = Batches(self.servers)

    def flavors(self) -> list[Flavor]:
        with calling(NOVA):
            found = self._nova.flavors.list(is_public=None)
        return sorted(map(_flavor, found), key=lambda flavor: flavor.id)

    def find_image(self, image: str, tags: Collection[str]) -> str:
        return self._images.find(image, tags)

    def make_group(self, name: str, locality: Locality) -> None:
        self._groups.make(name, locality)

    def delete_group(self, name: str) -> None:
        self._groups.delete(name)

    def find_server(self, name: str) -> Server | None:
        return self._batches.find(name)

    def servers(self, names: Collection[str] | None = None) -> dict[str, Server]:
        return {name: _server(raw) for name, raw in self._inventory.look(names).items()}

    def create_server(self, order: ServerOrder) -> Server:
        flavor = self._flavor(order.flavor)
        if self._inventory.look([order.name]):
            raise errors.Conflict(f"the server {order.name} exists")
        self._expect_zone(order.availability_zone)
        nics = [{"port-id": self._networks.id_of(name)} for name in order.ports]
        disks = [_disk(self._volumes.id_of(name)) for name in order.volumes]
        image = self._images.find(order.image, order.image_tags)
        hints = {"group": self._groups.id_of(order.group)} if order.group else None
        with calling(NOVA):
            made = self._nova.servers.create(
                order.name,
                image,
                flavor.id,
                nics=nics,
                block_device_mapping_v2=disks,
                userdata=cloud_config(order.files),
                config_drive=True,
                availability_zone=order.availability_zone or None,
                key_name=self._settings.key_name or None,
                tags=[self._inventory.tag],
                scheduler_hints=hints,
            )
            return Server(order.name, made.id, ServerState.BUILD, flavor.id)

    def start_server(self, name: str) -> None:
        raw = self._expect(name)
        if raw.status != "ACTIVE":
            self._act(raw, "start")

    def stop_server(self, name: str) -> None:
        raw = self._inventory.look([name]).get(name)
        if raw is not None and raw.status != "SHUTOFF":
            self._act(raw, "stop")

    def reboot_server(self, name: str) -> None:
        raw = self._expect(name)
        self._act(raw, "reboot", "SOFT" if raw.status == "ACTIVE" else "HARD")

    def resize_server(self, name: str, flavor: str) -> Server:
        wanted = self._flavor(flavor)
        raw = self._expect(name)
        server = _server(raw)
        if server.flavor == wanted.id:
            return server
        if server.state is not ServerState.ACTIVE:
            raise errors.Conflict(f"the server {name} cannot be resized now")
        self._act(raw, "resize", wanted.id)
        return replace(server, state=ServerState.RESIZE, flavor=wanted.id)

    def confirm_resize(self, name: str) -> None:
        self._settle(name, "confirm_resize")

    def revert_resize(self, name: str) -> None:
        self._settle(name, "revert_resize")

    def attach_volume(self, name: str, volume: str) -> None:
        raw, disk = self._expect(name), self._volumes.prepare_moving(volume)
        if disk.id not in _volumes_of(raw):
            with calling(NOVA):
                self._nova.volumes.create_server_volume(raw.id, disk.id)

    def detach_volume(self, name: str, volume: str) -> None:
        raw, disk = self._inventory.look([name]).get(name), self._volumes.prepare_moving(volume)
        if raw is None or disk.id not in _volumes_of(raw) or disk.status == "detaching":
            return
        try:
            with calling(NOVA):
                self._nova.volumes.delete_server_volume(raw.id, disk.id)
        except errors.NotFound:
            return

    def _settle(self, name: str, how: str) -> None:
        """Do it where it is due; Nova refuses what it is at already as if there were nothing."""
        raw = self._expect(name)
        if STATES.get(raw.status) is ServerState.VERIFY_RESIZE:
            with suppress(errors.Invalid):
                self._act(raw, how)

    def availability_zones(self) -> list[str]:
        with calling(NOVA):
            zones = self._nova.availability_zones.list(detailed=False)
            return [zone.zoneName for zone in zones if zone.zoneState.get("available")]

    def delete_server(self, name: str) -> None:
        for raw in self._inventory.all_of(name):
            with calling(NOVA), suppress(novaclient.exceptions.NotFound):
                self._nova.servers.delete(raw)

    def _expect_zone(self, zone: str) -> None:
        if zone and zone not in (known := self.availability_zones()):
            listed = ", ".join(repr(name) for name in known)
            raise errors.Invalid(f"there is no availability zone {zone!r}; there is {listed}")

    def _expect(self, name: str) -> Any:
        raw = self._inventory.look([name]).get(name)
        if raw is None:
            raise errors.NotFound(f"there is no server {name}")
        return raw

    def _flavor(self, flavor_id: str) -> Flavor:
        with calling(NOVA):
            return _flavor(self._nova.flavors.get(flavor_id))

    def _act(self, raw: Any, action: str, *arguments: str) -> None:
        """Do it; a server that is at something else takes it later, one in ERROR never."""
        try:
            with calling(NOVA):
                getattr(self._nova.servers, action)(raw, *arguments)
        except errors.Conflict as error:
            if STATES.get(raw.status) is ServerState.ERROR:
                raise errors.Conflict(f"the server {raw.name} is in ERROR: delete it") from error
            raise errors.Busy(f"{raw.name} is at something else") from error


def _disk(volume_id: str) -> dict[str, Any]:
    return {
        "uuid": volume_id,
        "source_type": "volume",
        "destination_type": "volume",
        "boot_index": -1,
        "delete_on_termination": False,
    }


def _server(raw: Any) -> Server:
    fault = str((getattr(raw, "fault", None) or {}).get("message", ""))
    return Server(
        name=raw.name,
        id=raw.id,
        state=STATES.get(raw.status, ServerState.UNKNOWN),
        flavor=raw.flavor["id"],
        fault=fault,
        host=str(getattr(raw, "OS-EXT-SRV-ATTR:host", None) or ""),
        no_room=NO_ROOM in fault.lower(),
    )


def _volumes_of(raw: Any) -> list[str]:
    """Return the ids of the volumes that the server has."""
    return [one["id"] for one in getattr(raw, "os-extended-volumes:volumes_attached")]


def _flavor(raw: Any) -> Flavor:
    return Flavor(raw.id, raw.name, raw.ram, raw.vcpus, raw.disk, raw.ephemeral or 0)
