"""Volumes in Cinder: found again by their names, which Cinder allows to be given twice."""

from collections.abc import Callable, Collection, Mapping
from typing import Any

import cinderclient.client
import cinderclient.exceptions
from keystoneauth1.session import Session

from dbaas.cloud.base import Volume, VolumeOrder, VolumeState
from dbaas.cloud.openstack.batches import Batches
from dbaas.cloud.openstack.calls import calling
from dbaas.cloud.openstack.settings import Settings
from dbaas.contract import errors

CINDER = "The volume service"

MICROVERSION = "3.42"
"""Cinder of Pike: volumes in use can be extended, by drivers that can."""

MARK = "dbaas"
"""Key of a volume's metadata whose value is the deployment's name."""

STATES: Mapping[str, VolumeState] = {
    "creating": VolumeState.CREATING,
    "downloading": VolumeState.CREATING,
    "available": VolumeState.AVAILABLE,
    "reserved": VolumeState.ATTACHING,
    "attaching": VolumeState.ATTACHING,
    "in-use": VolumeState.IN_USE,
    "extending": VolumeState.EXTENDING,
    "detaching": VolumeState.DETACHING,
    "deleting": VolumeState.DELETING,
}
"""By Cinder's word; every other is ERROR: `error_extending` and the like."""


class CinderVolumes:
    """`server_names` gives the names of servers by their ids."""

    def __init__(
        self,
        session: Session,
        settings: Settings,
        server_names: Callable[[Collection[str]], Mapping[str, str]],
    ) -> None:
        self._mark = {MARK: settings.deployment}
        self._server_names = server_names
        self._cinder = cinderclient.client.Client(
            MICROVERSION,
            session=session,
            region_name=settings.region_name,
            interface=settings.interface,
        )
        self._batches = Batches(self.volumes)

    def find_volume(self, name: str) -> Volume | None:
        return self._batches.find(name)

    def volumes(self, names: Collection[str] | None = None) -> dict[str, Volume]:
        found = self._look(names)
        servers = {raw.attachments[0]["server_id"] for raw in found.values() if raw.attachments}
        server_names = self._server_names(servers) if servers else {}
        return {name: _volume(raw, server_names) for name, raw in found.items()}

    def _look(self, names: Collection[str] | None) -> dict[str, Any]:
        """Return Cinder's own objects, one for each name: the oldest."""
        search: dict[str, Any] = {"metadata": self._mark}
        if names is not None and len(names) == 1:
            search["name"] = next(iter(names))
        with calling(CINDER):
            found = self._cinder.volumes.list(search_opts=search)
        newest_first = sorted(found, key=lambda raw: (raw.created_at, raw.id), reverse=True)
        return {raw.name: raw for raw in newest_first if names is None or raw.name in names}

    def create_volume(self, order: VolumeOrder) -> Volume:
        if order.size_gib < 1:
            raise errors.Invalid(f"a volume of {order.size_gib} GiB cannot be")
        if self._look([order.name]):
            raise errors.Conflict(f"the volume {order.name} exists")
        with calling(CINDER):
            made = self._cinder.volumes.create(
                order.size_gib,
                name=order.name,
                volume_type=order.type or None,
                availability_zone=order.availability_zone or None,
                metadata=self._mark,
            )
            return _volume(made, {})

    def extend_volume(self, name: str, size_gib: int) -> Volume:
        raw = self._expect(name)
        if size_gib < raw.size:
            raise errors.Invalid(f"the volume {name} has {raw.size} GiB and cannot shrink")
        if size_gib > raw.size:
            with calling(CINDER):
                self._cinder.volumes.extend(raw, size_gib)
            raw = self._expect(name)
        return _volume(raw, {})

    def delete_volume(self, name: str) -> None:
        with calling(CINDER):
            for raw in self._cinder.volumes.list(
                search_opts={"metadata": self._mark, "name": name}
            ):
                if raw.status == "deleting":
                    continue
                if raw.attachments or raw.status in ("in-use", "detaching"):
                    raise errors.Busy(f"the volume {name} is attached")
                try:
                    self._cinder.volumes.delete(raw)
                except cinderclient.exceptions.NotFound:
                    continue

    def id_of(self, name: str) -> str:
        """Return the volume's id; raise `NotFound`."""
        return str(self._expect(name).id)

    def _expect(self, name: str) -> Any:
        raw = self._look([name]).get(name)
        if raw is None:
            raise errors.NotFound(f"there is no volume {name}")
        return raw


def _volume(raw: Any, server_names: Mapping[str, str]) -> Volume:
    attached = [attachment["server_id"] for attachment in raw.attachments]
    return Volume(
        name=raw.name,
        id=raw.id,
        state=STATES.get(raw.status, VolumeState.ERROR),
        size_gib=raw.size,
        server=server_names.get(attached[0]) if attached else None,
    )
