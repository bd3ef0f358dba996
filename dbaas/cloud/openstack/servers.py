"""Servers in Nova: found again by their names, which Nova allows to be given twice.

When an answer was lost and the settle time was too short after all, there are two servers of one
name: the older is the one, and both are deleted with it.
"""

import re
import threading
import time
from collections.abc import Collection, Mapping
from typing import Any

import novaclient.client
import novaclient.exceptions
from keystoneauth1.session import Session

from dbaas.cloud.base import Flavor, Server, ServerOrder, ServerState
from dbaas.cloud.openstack.batches import Batches
from dbaas.cloud.openstack.calls import calling
from dbaas.cloud.openstack.images import Images
from dbaas.cloud.openstack.networks import NeutronNetworks
from dbaas.cloud.openstack.settings import Settings
from dbaas.cloud.openstack.userdata import cloud_config
from dbaas.cloud.openstack.volumes import CinderVolumes
from dbaas.contract import errors

NOVA = "The compute service"

MICROVERSION = "2.72"
"""Nova of Stein: tags at creation (2.52), flavors within servers (2.47)."""

NAMED_AT_ONCE = 40
"""Names that one request's filter holds: more, and the address gets too long for some proxies."""

FLAVORS_KEPT = 60.0
"""Seconds."""

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

GONE = ("DELETED", "SOFT_DELETED")


class NovaCompute:
    def __init__(
        self,
        session: Session,
        settings: Settings,
        images: Images,
        volumes: CinderVolumes,
        networks: NeutronNetworks,
    ) -> None:
        self._settings = settings
        self._images = images
        self._volumes = volumes
        self._networks = networks
        self._nova = novaclient.client.Client(
            MICROVERSION,
            session=session,
            region_name=settings.region_name,
            endpoint_type=settings.interface,
        )
        self._tag = f"dbaas:{settings.deployment}"
        self._batches = Batches(self.servers)
        self._flavors = _Flavors(self._nova)

    def flavors(self) -> list[Flavor]:
        return self._flavors.all()

    def find_image(self, image: str, tags: Collection[str]) -> str:
        return self._images.find(image, tags)

    def find_server(self, name: str) -> Server | None:
        return self._batches.find(name)

    def servers(self, names: Collection[str] | None = None) -> dict[str, Server]:
        found = self._look(names)
        return {name: self._server(raw) for name, raw in found.items()}

    def _look(self, names: Collection[str] | None) -> dict[str, Any]:
        """Return Nova's own objects, one for each name."""
        search: dict[str, Any] = {"tags": self._tag}
        if names is not None and len(names) <= NAMED_AT_ONCE:
            search["name"] = f"^({'|'.join(re.escape(name) for name in sorted(names))})$"
        with calling(NOVA):
            found = self._nova.servers.list(search_opts=search, limit=-1)
        here = [raw for raw in found if raw.status not in GONE]
        newest_first = sorted(here, key=lambda raw: (raw.created, raw.id), reverse=True)
        return {raw.name: raw for raw in newest_first if names is None or raw.name in names}

    def names_of(self, ids: Collection[str]) -> dict[str, str]:
        """Return the names of the servers of these ids, as far as they are ours."""
        with calling(NOVA):
            found = self._nova.servers.list(
                detailed=False, search_opts={"tags": self._tag}, limit=-1
            )
        return {raw.id: raw.name for raw in found if raw.id in ids}

    def create_server(self, order: ServerOrder) -> Server:
        flavor = self._flavors.by_id(order.flavor)
        if self._look([order.name]):
            raise errors.Conflict(f"the server {order.name} exists")
        self._expect_zone(order.availability_zone)
        nics = [{"port-id": self._networks.id_of(name)} for name in order.ports]
        disks = [_disk(self._volumes.id_of(name)) for name in order.volumes]
        image = self._images.find(order.image, order.image_tags)
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
                tags=[self._tag],
            )
            return Server(order.name, made.id, ServerState.BUILD, flavor.id)

    def start_server(self, name: str) -> None:
        raw = self._expect(name)
        if raw.status != "ACTIVE":
            self._act(raw, "start")

    def stop_server(self, name: str) -> None:
        raw = self._look([name]).get(name)
        if raw is not None and raw.status != "SHUTOFF":
            self._act(raw, "stop")

    def reboot_server(self, name: str) -> None:
        raw = self._expect(name)
        self._act(raw, "reboot", "SOFT" if raw.status == "ACTIVE" else "HARD")

    def resize_server(self, name: str, flavor: str) -> Server:
        wanted = self._flavors.by_id(flavor)
        raw = self._expect(name)
        server = self._server(raw)
        if server.flavor == wanted.id:
            return server
        if server.state is not ServerState.ACTIVE:
            raise errors.Conflict(f"the server {name} cannot be resized now")
        with calling(NOVA):
            self._nova.servers.resize(raw, wanted.id)
        return self._server(self._expect(name))

    def confirm_resize(self, name: str) -> None:
        self._settle(name, "confirm_resize")

    def revert_resize(self, name: str) -> None:
        self._settle(name, "revert_resize")

    def _settle(self, name: str, how: str) -> None:
        raw = self._expect(name)
        if STATES.get(raw.status) is ServerState.VERIFY_RESIZE:
            self._act(raw, how)

    def availability_zones(self) -> list[str]:
        with calling(NOVA):
            zones = self._nova.availability_zones.list(detailed=False)
            return [zone.zoneName for zone in zones if zone.zoneState.get("available")]

    def delete_server(self, name: str) -> None:
        with calling(NOVA):
            exactly = {"tags": self._tag, "name": f"^{re.escape(name)}$"}
            for raw in self._nova.servers.list(search_opts=exactly, limit=-1):
                try:
                    self._nova.servers.delete(raw)
                except novaclient.exceptions.NotFound:
                    continue

    def _expect_zone(self, zone: str) -> None:
        if zone and zone not in (known := self.availability_zones()):
            listed = ", ".join(repr(name) for name in known)
            raise errors.Invalid(f"there is no availability zone {zone!r}; there is {listed}")

    def _expect(self, name: str) -> Any:
        raw = self._look([name]).get(name)
        if raw is None:
            raise errors.NotFound(f"there is no server {name}")
        return raw

    def _act(self, raw: Any, action: str, *arguments: str) -> None:
        """Do it; a server that is at something else takes it later."""
        with calling(NOVA):
            try:
                getattr(self._nova.servers, action)(raw, *arguments)
            except novaclient.exceptions.Conflict as error:
                raise errors.Busy(f"{raw.name} is at something else") from error

    def _server(self, raw: Any) -> Server:
        fault = getattr(raw, "fault", None) or {}
        return Server(
            name=raw.name,
            id=raw.id,
            state=STATES.get(raw.status, ServerState.UNKNOWN),
            flavor=self._flavors.id_of(raw.flavor["original_name"]),
            fault=str(fault.get("message", "")),
            host=str(getattr(raw, "OS-EXT-SRV-ATTR:host", None) or ""),
        )


def _disk(volume_id: str) -> dict[str, Any]:
    return {
        "uuid": volume_id,
        "source_type": "volume",
        "destination_type": "volume",
        "boot_index": -1,
        "delete_on_termination": False,
    }


class _Flavors:
    """Nova's flavors, remembered for a while: since 2.47 a server knows only its flavor's name."""

    def __init__(self, nova: Any) -> None:
        self._nova = nova
        self._lock = threading.Lock()
        self._known: list[Flavor] = []
        self._until = 0.0

    def all(self) -> list[Flavor]:
        with self._lock:
            if time.monotonic() >= self._until:
                self._known, self._until = self._asked(), time.monotonic() + FLAVORS_KEPT
            return list(self._known)

    def by_id(self, flavor_id: str) -> Flavor:
        for flavor in self.all():
            if flavor.id == flavor_id:
                return flavor
        raise errors.NotFound(f"there is no flavor {flavor_id}")

    def id_of(self, name: str) -> str:
        """Return the flavor's id; the name of one that is there no more."""
        return next((flavor.id for flavor in self.all() if flavor.name == name), name)

    def _asked(self) -> list[Flavor]:
        with calling(NOVA):
            found = self._nova.flavors.list(is_public=None)
        made = [
            Flavor(raw.id, raw.name, raw.ram, raw.vcpus, raw.disk, raw.ephemeral or 0)
            for raw in found
        ]
        return sorted(made, key=lambda flavor: flavor.id)
