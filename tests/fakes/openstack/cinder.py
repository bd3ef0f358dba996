"""Cinder: volumes that are made, attached by Nova, extended and deleted, each a little later."""

import ast
import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from tests.fakes.openstack.keystone import PROJECT
from tests.fakes.openstack.web import Answer, Json, Refusal, Request, Route, World, paged

ZONE = "nova"

DELETABLE = ("available", "error", "error_restoring", "error_extending", "error_managing")


class Cinder:
    """`extends_attached`: whether its driver can extend a volume in use, as NFS cannot."""

    prefix = f"/volume/v3/{PROJECT}"
    open: Sequence[str] = ()

    def __init__(self, world: World) -> None:
        self.volumes: dict[str, Json] = {}
        self.attachments: dict[str, Json] = {}
        self.extends_attached = True
        self.quota: int | None = None
        """How many volumes there may be."""
        self.breaks = False
        """Whether what is being made, extended or deleted ends in an error."""
        self._world = world

    @property
    def routes(self) -> Sequence[Route]:
        return (
            ("GET", "/volumes/detail", self._list),
            ("POST", "/volumes", self._create),
            ("GET", "/volumes/([^/]+)", self._show),
            ("DELETE", "/volumes/([^/]+)", self._delete),
            ("POST", "/volumes/([^/]+)/action", self._act),
            ("GET", "/attachments(?:/detail)?", self._list_attachments),
            ("DELETE", "/attachments/([^/]+)", self._delete_attachment),
        )

    def refused(self, refusal: Refusal) -> Answer:
        kinds = {400: "badRequest", 404: "itemNotFound", 413: "overLimit"}
        body: Json = {"code": refusal.status, "message": refusal.message}
        if refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE:
            body["retryAfter"] = "0"
            return Answer(refusal.status, {"overLimit": body}, {"Retry-After": "0"})
        return Answer(refusal.status, {kinds.get(refusal.status, "computeFault"): body})

    # What Nova does

    def reserve(self, volume_id: str, server_id: str) -> None:
        """Keep the volume for a server; raise `Refusal` when it cannot have it."""
        volume = self.volumes.get(volume_id)
        if volume is None:
            why = f"Block Device Mapping is Invalid: failed to get volume {volume_id}."
            raise Refusal(HTTPStatus.BAD_REQUEST, why)
        if volume["status"] != "available":
            why = (
                f"Invalid volume: Volume {volume_id} status must be available or downloading to "
                f"reserve, but the current status is {volume['status']}."
            )
            raise Refusal(HTTPStatus.BAD_REQUEST, why)
        volume["status"] = "reserved"
        attachment = {
            "id": str(uuid.uuid4()),
            "volume_id": volume_id,
            "instance": server_id,
            "status": "reserved",
        }
        self.attachments[attachment["id"]] = attachment

    def attach(self, volume_id: str) -> None:
        """Have what was reserved attached; only from then on the volume shows it."""
        volume = self.volumes[volume_id]
        volume["status"] = "in-use"
        for attachment in self._of(volume_id):
            attachment["status"] = "attached"
            volume["attachments"] = [
                {
                    "id": volume_id,
                    "attachment_id": attachment["id"],
                    "volume_id": volume_id,
                    "server_id": attachment["instance"],
                    "host_name": None,
                    "device": "/dev/vdb",
                    "attached_at": _now(),
                }
            ]

    def detach(self, volume_id: str) -> None:
        for attachment in self._of(volume_id):
            del self.attachments[attachment["id"]]
        if volume_id in self.volumes:
            self.volumes[volume_id] |= {"status": "available", "attachments": []}

    def of_server(self, server_id: str) -> list[str]:
        return [
            one["volume_id"] for one in self.attachments.values() if one["instance"] == server_id
        ]

    def _of(self, volume_id: str) -> list[Json]:
        return [one for one in self.attachments.values() if one["volume_id"] == volume_id]

    # Requests

    def _list(self, request: Request) -> Answer:
        marks = ast.literal_eval(request.one("metadata") or "{}")
        found = [
            volume
            for volume in reversed(self.volumes.values())
            if request.matches(volume, "name", "status")
            and marks.items() <= volume["metadata"].items()
        ]
        page, following = paged(self._world, request, found)
        body: Json = {"volumes": page}
        if following:
            body["volumes_links"] = [{"rel": "next", "href": following}]
        return Answer(body=body)

    def _create(self, request: Request) -> Answer:
        wanted = request.body["volume"]
        if wanted["availability_zone"] not in (None, ZONE):
            why = f"Availability zone '{wanted['availability_zone']}' is invalid."
            raise Refusal(HTTPStatus.BAD_REQUEST, why)
        if wanted["volume_type"] not in (None, "fast"):
            why = f"Volume type with name {wanted['volume_type']} could not be found."
            raise Refusal(HTTPStatus.NOT_FOUND, why)
        if self.quota is not None and len(self.volumes) >= self.quota:
            why = (
                f"VolumeLimitExceeded: Maximum number of volumes allowed ({self.quota}) exceeded "
                "for quota 'volumes'."
            )
            raise Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, why)
        made: Json = {
            "id": str(uuid.uuid4()),
            "name": wanted["name"],
            "size": wanted["size"],
            "status": "creating",
            "metadata": wanted["metadata"],
            "attachments": [],
            "availability_zone": wanted["availability_zone"] or ZONE,
            "volume_type": wanted["volume_type"] or "__DEFAULT__",
            "bootable": "false",
            "multiattach": False,
            "created_at": _now(),
            "updated_at": None,
            "migration_status": None,
            "links": [],
        }
        self.volumes[made["id"]] = made
        self._later(made, "error" if self.breaks else "available")
        return Answer(HTTPStatus.ACCEPTED, {"volume": dict(made)})

    def _show(self, _request: Request, volume_id: str) -> Answer:
        return Answer(body={"volume": self._get(volume_id)})

    def _delete(self, _request: Request, volume_id: str) -> Answer:
        volume = self._get(volume_id)
        if volume["attachments"] or volume["status"] not in DELETABLE:
            why = (
                "Invalid volume: Volume status must be available or error or error_restoring or "
                "error_extending or error_managing and must not be migrating, attached, belong to "
                "a group, have snapshots or be disassociated from snapshots after volume transfer."
            )
            raise Refusal(HTTPStatus.BAD_REQUEST, why)
        return self._go(volume)

    def _go(self, volume: Json) -> Answer:
        volume["status"] = "deleting"
        if self.breaks:
            self._later(volume, "error_deleting")
        else:
            self._world.later(volume["name"], lambda: self._forget(volume["id"]))
        return Answer(HTTPStatus.ACCEPTED)

    def _forget(self, volume_id: str) -> None:
        self.volumes.pop(volume_id, None)

    def _act(self, request: Request, volume_id: str) -> Answer:
        volume = self._get(volume_id)
        ((action, arguments),) = request.body.items()
        if action == "os-extend":
            return self._extend(volume, arguments["new_size"])
        if action == "os-reset_status":
            volume["status"] = arguments["status"]
            return Answer(HTTPStatus.ACCEPTED)
        if action == "os-force_delete":  # whatever it is at
            self._forget(volume_id)
            return Answer(HTTPStatus.ACCEPTED)
        raise Refusal(HTTPStatus.BAD_REQUEST, f"There is no such action: {action}")

    def _extend(self, volume: Json, size: int) -> Answer:
        before = volume["status"]
        if before not in ("available", "in-use"):
            why = (
                f"Invalid volume: Volume {volume['id']} status must be '('available', 'in-use')' "
                f"to extend, currently {before}."
            )
            raise Refusal(HTTPStatus.BAD_REQUEST, why)
        if size <= volume["size"]:
            why = (
                "Invalid input received: New size for extend must be greater than current size. "
                f"(current: {volume['size']}, extended: {size})."
            )
            raise Refusal(HTTPStatus.BAD_REQUEST, why)
        volume["status"] = "extending"

        def end() -> None:
            if self.breaks or (before == "in-use" and not self.extends_attached):
                volume["status"] = "error_extending"
            else:
                volume.update(status=before, size=size)

        self._world.later(volume["name"], end)
        return Answer(HTTPStatus.ACCEPTED)

    def _list_attachments(self, request: Request) -> Answer:
        found = [one for one in self.attachments.values() if request.matches(one, "volume_id")]
        return Answer(body={"attachments": found})

    def _delete_attachment(self, _request: Request, attachment_id: str) -> Answer:
        if attachment_id not in self.attachments:
            why = (
                f"Volume attachment could not be found with filter: attachment_id = {attachment_id}"
            )
            raise Refusal(HTTPStatus.NOT_FOUND, why)
        self.detach(self.attachments[attachment_id]["volume_id"])
        return Answer(body={"attachments": []})

    def _get(self, volume_id: str) -> Json:
        if volume_id not in self.volumes:
            why = f"Volume {volume_id} could not be found."
            raise Refusal(HTTPStatus.NOT_FOUND, why)
        return self.volumes[volume_id]

    def _later(self, volume: Json, status: str) -> None:
        self._world.later(volume["name"], lambda: volume.update(status=status))


def _now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")
