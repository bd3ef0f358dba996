"""Volumes in Cinder: found again by their names, which Cinder allows to be given twice."""

from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

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
"""By Cinder's word; every other is ERROR."""

REFUSED_TO_GROW = "error_extending"
"""After an extension that the driver could not do; of a volume in use, often never could."""

NOT_DELETED = "error_deleting"

AT_SOMETHING = ("creating", "downloading", "reserved", "attaching", "extending", "detaching")
"""In which a volume cannot be deleted, but will be able to."""


class Servers(Protocol):
    """What is known of servers where the volumes are."""

    def names_of(self, ids: Collection[str]) -> Mapping[str, str]:
        """Return the names of the servers of these ids, as far as they are ours."""

    def is_gone(self, server_id: str) -> bool:
        """Return whether there is no server of this id, nor anything left of one."""


class CinderVolumes:
    def __init__(self, session: Session, settings: Settings, servers: Servers) -> None:
        self._mark = {MARK: settings.deployment}
        self._stuck_after = settings.stuck_after
        self._servers = servers
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
        server_names = self._servers.names_of(servers) if servers else {}
        return {name: _volume(raw, server_names) for name, raw in found.items()}

    def _look(self, names: Collection[str] | None) -> dict[str, Any]:
        """Return Cinder's own objects, one for each name: the oldest."""
        one = {"name": next(iter(names))} if names is not None and len(names) == 1 else {}
        newest_first = sorted(
            self._ours(**one), key=lambda raw: (raw.created_at, raw.id), reverse=True
        )
        return {raw.name: raw for raw in newest_first if names is None or raw.name in names}

    def _ours(self, **search: str) -> list[Any]:
        with calling(CINDER):
            found: list[Any] = self._cinder.volumes.list(
                search_opts={"metadata": self._mark, **search}
            )
        return found

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
        volume = _volume(raw, {})
        if size_gib < raw.size:
            raise errors.Invalid(f"the volume {name} has {raw.size} GiB and cannot shrink")
        tried = (VolumeState.EXTENDING, VolumeState.GROWS_DETACHED)
        if size_gib == raw.size or volume.state in tried:
            return volume
        if raw.status in AT_SOMETHING:
            raise errors.Busy(f"the volume {name} is {raw.status}")
        try:
            with calling(CINDER):
                self._cinder.volumes.extend(raw, size_gib)
        except errors.Invalid:
            if not raw.attachments:
                raise
            return replace(volume, state=VolumeState.GROWS_DETACHED)
        return replace(volume, state=VolumeState.EXTENDING)

    def delete_volume(self, name: str) -> None:
        for raw in self._ours(name=name):
            if raw.status == "deleting":
                continue
            if raw.attachments or raw.status in AT_SOMETHING:
                self._let_go_of_the_dead(raw)
                if raw.attachments or not self._is_stuck(raw):
                    raise errors.Busy(f"the volume {name} is {raw.status}")
            by_force = raw.status in (NOT_DELETED, *AT_SOMETHING)
            with calling(CINDER), suppress(cinderclient.exceptions.NotFound):
                (raw.force_delete if by_force else raw.delete)()

    def _is_stuck(self, raw: Any) -> bool:
        """Return whether it is at the same for so long that nobody will end it."""
        since = datetime.fromisoformat(raw.updated_at or raw.created_at).replace(tzinfo=UTC)
        return (datetime.now(UTC) - since).total_seconds() > self._stuck_after

    def _let_go_of_the_dead(self, raw: Any) -> None:
        """Take the volume from servers that are not there: nobody else would."""
        with calling(CINDER):
            held = self._cinder.attachments.list(search_opts={"volume_id": raw.id})
        for attachment in held:
            if self._servers.is_gone(attachment.instance):
                with calling(CINDER):
                    self._cinder.attachments.delete(attachment.id)

    def prepare_moving(self, name: str) -> Any:
        """Return Cinder's own object of the volume, in a state in which it can change servers.

        What could not be extended is as it was before; only Cinder wants that to be confirmed.
        """
        raw = self._expect(name)
        if raw.status == REFUSED_TO_GROW:
            with calling(CINDER):
                before = "in-use" if raw.attachments else "available"
                self._cinder.volumes.reset_state(raw, before)
        return raw

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
    state = STATES.get(raw.status, VolumeState.ERROR)
    if attached and raw.status == REFUSED_TO_GROW:
        state = VolumeState.GROWS_DETACHED
    return Volume(
        name=raw.name,
        id=raw.id,
        state=state,
        size_gib=raw.size,
        server=server_names.get(attached[0]) if attached else None,
    )
