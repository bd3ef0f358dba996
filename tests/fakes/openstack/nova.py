"""Nova: servers that are built of ports and volumes, and what they go through."""

import base64
import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from tests.fakes.openstack.cinder import ZONE, Cinder
from tests.fakes.openstack.keystone import PROJECT
from tests.fakes.openstack.neutron import Neutron
from tests.fakes.openstack.web import Answer, Json, Refusal, Request, Route, World, paged

FLAVORS = {
    "1": {"name": "db.tiny", "ram": 512, "vcpus": 1, "disk": 5},
    "2": {"name": "db.small", "ram": 1024, "vcpus": 1, "disk": 10},
}

NO_HOST = "No valid host was found. There are not enough hosts available."


class Nova:
    def __init__(self, world: World, cinder: Cinder, neutron: Neutron) -> None:
        self.servers: dict[str, Json] = {}
        self.groups: dict[str, Json] = {}
        self.user_data: dict[str, str] = {}
        """What each server was booted with, by its id."""
        self.quota: int | None = None
        """How many servers there may be."""
        self.fault = ""
        """Why servers that are built or resized fail; empty: they do not."""
        self._world = world
        self._cinder = cinder
        self._neutron = neutron

    prefix = "/compute/v2.1"
    open: Sequence[str] = ()

    @property
    def routes(self) -> Sequence[Route]:
        return (
            ("GET", "/flavors/detail", self._flavors),
            ("GET", "/flavors/([^/]+)", self._flavor),
            ("GET", "/os-availability-zone", self._zones),
            ("GET", "/servers(/detail)?", self._list),
            ("POST", "/servers", self._create),
            ("GET", "/servers/([^/]+)", self._show),
            ("DELETE", "/servers/([^/]+)", self._delete),
            ("POST", "/servers/([^/]+)/action", self._act),
            ("POST", "/servers/([^/]+)/os-volume_attachments", self._attach),
            ("DELETE", "/servers/([^/]+)/os-volume_attachments/([^/]+)", self._detach),
            ("GET", "/os-server-groups", self._list_groups),
            ("POST", "/os-server-groups", self._create_group),
            ("DELETE", "/os-server-groups/([^/]+)", self._delete_group),
        )

    def refused(self, refusal: Refusal) -> Answer:
        kinds = {
            400: "badRequest",
            403: "forbidden",
            404: "itemNotFound",
            409: "conflictingRequest",
        }
        body = {"code": refusal.status, "message": refusal.message}
        return Answer(refusal.status, {kinds.get(refusal.status, "computeFault"): body})

    def break_server(self, name: str, message: str) -> None:
        """Put it into ERROR."""
        server = next(one for one in self.servers.values() if one["name"] == name)
        server |= {"status": "ERROR", "fault": _fault(message)}

    # What there is

    def _flavors(self, _request: Request) -> Answer:
        return Answer(body={"flavors": [_shown_flavor(one) for one in reversed(FLAVORS)]})

    def _flavor(self, _request: Request, flavor_id: str) -> Answer:
        if flavor_id not in FLAVORS:
            raise Refusal(HTTPStatus.NOT_FOUND, f"Flavor {flavor_id} could not be found.")
        return Answer(body={"flavor": _shown_flavor(flavor_id)})

    def _zones(self, _request: Request) -> Answer:
        zones = [
            {"zoneName": ZONE, "zoneState": {"available": True}, "hosts": None},
            {"zoneName": "old", "zoneState": {"available": False}, "hosts": None},
        ]
        return Answer(body={"availabilityZoneInfo": zones})

    def _list(self, request: Request, detail: str | None) -> Answer:
        wanted = re.compile(request.one("name"))
        tags = {tag for tag in request.one("tags").split(",") if tag}
        found = [
            server
            for server in reversed(self.servers.values())
            if wanted.search(server["name"]) and tags <= set(server["tags"])
        ]
        page, following = paged(self._world, request, found)
        if detail is None:
            page = [{"id": one["id"], "name": one["name"], "links": []} for one in page]
        else:
            page = [self._shown(request, one) for one in page]
        body: Json = {"servers": page}
        if following:
            body["servers_links"] = [{"rel": "next", "href": following}]
        return Answer(body=body)

    def _show(self, request: Request, server_id: str) -> Answer:
        return Answer(body={"server": self._shown(request, self._get(server_id))})

    def _shown(self, request: Request, server: Json) -> Json:
        """Return the server as the microversion shows it: until 2.46 with its flavor's id."""
        version = request.headers.get("OpenStack-API-Version", "compute 2.1").partition(" ")[2]
        shown = server | {
            "os-extended-volumes:volumes_attached": [
                {"id": disk, "delete_on_termination": False}
                for disk in self._cinder.of_server(server["id"])
            ]
        }
        if tuple(map(int, version.split("."))) < (2, 47):
            shown["flavor"] = {"id": server["flavor"]["id"], "links": []}
        else:
            shown["flavor"] = {k: v for k, v in server["flavor"].items() if k != "id"}
        return shown

    # Building and deleting

    def _create(self, request: Request) -> Answer:
        wanted = request.body["server"]
        if self.quota is not None and len(self.servers) >= self.quota:
            why = (
                "Quota exceeded for instances: Requested 1, but already used "
                f"{len(self.servers)} of {self.quota} instances"
            )
            raise Refusal(HTTPStatus.FORBIDDEN, why)
        if wanted["flavorRef"] not in FLAVORS:
            why = f"Flavor {wanted['flavorRef']} could not be found."
            raise Refusal(HTTPStatus.BAD_REQUEST, why)
        hints = request.body.get("os:scheduler_hints", {})
        if (group := hints.get("group")) and group not in self.groups:
            raise Refusal(HTTPStatus.BAD_REQUEST, f"Instance group {group} could not be found.")
        server_id = str(uuid.uuid4())
        disks = [
            disk["uuid"]
            for disk in wanted.get("block_device_mapping_v2", [])
            if disk["boot_index"] == -1
        ]
        nics = [nic["port"] for nic in wanted["networks"]]
        for number, port in enumerate(nics):
            try:
                self._neutron.bind(port, server_id)
            except Refusal:
                if number:
                    self._neutron.release(server_id)
                raise
        try:
            for disk in disks:
                self._cinder.reserve(disk, server_id)
        except Refusal:
            self._neutron.release(server_id)
            raise
        self.user_data[server_id] = base64.b64decode(wanted["user_data"]).decode()
        server = self._server(server_id, wanted)
        self.servers[server_id] = server
        if group:
            self.groups[group]["members"].append(server_id)
        self._world.later(server["name"], lambda: self._built(server, disks))
        return Answer(
            HTTPStatus.ACCEPTED,
            {"server": {"id": server_id, "links": [], "OS-DCF:diskConfig": "MANUAL"}},
        )

    @staticmethod
    def _server(server_id: str, wanted: Json) -> Json:
        return {
            "id": server_id,
            "name": wanted["name"],
            "status": "BUILD",
            "tenant_id": PROJECT,
            "created": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "flavor": _flavor_in_server(wanted["flavorRef"]),
            "image": {"id": wanted["imageRef"], "links": []},
            "tags": wanted["tags"],
            "config_drive": "True" if wanted["config_drive"] else "",
            "key_name": wanted.get("key_name"),
            "addresses": {},
            "OS-EXT-AZ:availability_zone": wanted.get("availability_zone") or ZONE,
            "OS-EXT-SRV-ATTR:host": None,
            "OS-EXT-STS:task_state": "scheduling",
            "OS-EXT-STS:vm_state": "building",
            "links": [],
        }

    def _built(self, server: Json, disks: Sequence[str]) -> None:
        if server["id"] not in self.servers:
            return
        server["OS-EXT-STS:task_state"] = None
        if self.fault:
            server |= {"status": "ERROR", "fault": _fault(self.fault)}
            return
        for disk in disks:
            self._cinder.attach(disk)
        server |= {"status": "ACTIVE", "OS-EXT-SRV-ATTR:host": "compute-1"}

    def _delete(self, _request: Request, server_id: str) -> Answer:
        server = self._get(server_id)
        server["OS-EXT-STS:task_state"] = "deleting"
        self._world.later(server["name"], lambda: self._gone(server_id))
        return Answer(HTTPStatus.NO_CONTENT)

    def _gone(self, server_id: str) -> None:
        if self.servers.pop(server_id, None):
            self._neutron.release(server_id)
            for disk in self._cinder.of_server(server_id):
                self._cinder.detach(disk)
            for group in self.groups.values():
                group["members"] = [one for one in group["members"] if one != server_id]

    # What is done to servers

    def _act(self, request: Request, server_id: str) -> Answer:
        server = self._get(server_id)
        ((action, arguments),) = request.body.items()
        actions: Mapping[str, Callable[[Json, Json], None]] = {
            "os-start": self._start,
            "os-stop": self._stop,
            "reboot": self._reboot,
            "resize": self._resize,
            "confirmResize": self._confirm,
            "revertResize": self._revert,
        }
        actions[action](server, arguments)
        return Answer(HTTPStatus.ACCEPTED)

    def _start(self, server: Json, _arguments: Json) -> None:
        self._expect(server, "start", "SHUTOFF")
        self._becomes(server, "ACTIVE", "powering-on")

    def _stop(self, server: Json, _arguments: Json) -> None:
        self._expect(server, "stop", "ACTIVE")
        self._becomes(server, "SHUTOFF", "powering-off")

    def _reboot(self, server: Json, arguments: Json) -> None:
        if arguments["type"] == "SOFT":
            self._expect(server, "reboot", "ACTIVE")
        server["status"] = "REBOOT"
        self._becomes(server, "ACTIVE", "rebooting")

    def _resize(self, server: Json, arguments: Json) -> None:
        self._expect(server, "resize", "ACTIVE", "SHUTOFF")
        if arguments["flavorRef"] not in FLAVORS:
            raise Refusal(HTTPStatus.BAD_REQUEST, "Flavor could not be found.")
        before = server["status"]
        server |= {"status": "RESIZE", "OS-EXT-STS:task_state": "resize_prep"}

        def end() -> None:
            if self.fault:
                server["status"] = before
            else:
                server["old_flavor"] = server["flavor"]
                server["flavor"] = _flavor_in_server(arguments["flavorRef"])
                server["status"] = "VERIFY_RESIZE"
            server["OS-EXT-STS:task_state"] = None

        self._world.later(server["name"], end)

    def _confirm(self, server: Json, _arguments: Json) -> None:
        """It stays in VERIFY_RESIZE until that is done, and cannot be asked again."""
        if server["status"] != "VERIFY_RESIZE" or server.get("confirming"):
            raise Refusal(HTTPStatus.BAD_REQUEST, "Instance has not been resized.")
        server["confirming"] = True

        def end() -> None:
            del server["confirming"]
            server["status"] = "ACTIVE"

        self._world.later(server["name"], end)

    def _revert(self, server: Json, _arguments: Json) -> None:
        if server["status"] != "VERIFY_RESIZE":
            raise Refusal(HTTPStatus.BAD_REQUEST, "Instance has not been resized.")
        server["status"] = "REVERT_RESIZE"

        def end() -> None:
            server.update(status="ACTIVE", flavor=server["old_flavor"])

        self._world.later(server["name"], end)

    def _expect(self, server: Json, action: str, *statuses: str) -> None:
        """Raise the conflict of a server that is in another state, or at something else."""
        task, name = server["OS-EXT-STS:task_state"], server["id"]
        if task is not None:
            why = f"Cannot '{action}' instance {name} while it is in task_state {task}"
            raise Refusal(HTTPStatus.CONFLICT, why)
        if server["status"] not in statuses:
            state = server["status"].lower()
            why = f"Cannot '{action}' instance {name} while it is in vm_state {state}"
            raise Refusal(HTTPStatus.CONFLICT, why)

    def _becomes(self, server: Json, status: str, task: str) -> None:
        server["OS-EXT-STS:task_state"] = task

        def end() -> None:
            server.update({"status": status, "OS-EXT-STS:task_state": None})

        self._world.later(server["name"], end)

    # Volumes of servers

    def _attach(self, request: Request, server_id: str) -> Answer:
        server, disk = self._get(server_id), request.body["volumeAttachment"]["volumeId"]
        self._expect(server, "attach_volume", "ACTIVE", "SHUTOFF")
        self._cinder.reserve(disk, server_id)
        name = self._cinder.volumes[disk]["name"]
        self._world.later(name, lambda: self._cinder.attach(disk))
        made = {"id": disk, "volumeId": disk, "serverId": server_id, "device": "/dev/vdb"}
        return Answer(body={"volumeAttachment": made})

    def _detach(self, _request: Request, server_id: str, disk: str) -> Answer:
        server = self._get(server_id)
        if disk not in self._cinder.of_server(server_id):
            why = f"volume_id not found: {disk}"
            raise Refusal(HTTPStatus.NOT_FOUND, why)
        self._expect(server, "detach_volume", "ACTIVE", "SHUTOFF")
        volume = self._cinder.volumes[disk]
        if volume["status"] != "in-use":
            why = (
                "Invalid volume: Unable to detach volume. Volume status must be 'in-use' and "
                "attach_status must be 'attached' to detach."
            )
            raise Refusal(HTTPStatus.BAD_REQUEST, why)
        volume["status"] = "detaching"
        self._world.later(volume["name"], lambda: self._cinder.detach(disk))
        return Answer(HTTPStatus.ACCEPTED)

    # Groups

    def _list_groups(self, request: Request) -> Answer:
        offset = int(request.one("offset") or 0)
        most = min(int(request.one("limit") or self._world.page), self._world.page)
        return Answer(body={"server_groups": [*self.groups.values()][offset : offset + most]})

    def _create_group(self, request: Request) -> Answer:
        wanted = request.body["server_group"]
        made: Json = {
            "id": str(uuid.uuid4()),
            "name": wanted["name"],
            "policy": wanted["policy"],
            "rules": {},
            "members": [],
            "project_id": PROJECT,
            "user_id": "u" * 32,
        }
        self.groups[made["id"]] = made
        return Answer(body={"server_group": made})

    def _delete_group(self, _request: Request, group_id: str) -> Answer:
        if self.groups.pop(group_id, None) is None:
            raise Refusal(HTTPStatus.NOT_FOUND, f"Instance group {group_id} could not be found.")
        return Answer(HTTPStatus.NO_CONTENT)

    def _get(self, server_id: str) -> Json:
        if server_id not in self.servers:
            raise Refusal(HTTPStatus.NOT_FOUND, f"Instance {server_id} could not be found.")
        return self.servers[server_id]


def _flavor_in_server(flavor_id: str) -> Json:
    flavor = FLAVORS[flavor_id]
    return {
        "id": flavor_id,
        "original_name": flavor["name"],
        "ram": flavor["ram"],
        "vcpus": flavor["vcpus"],
        "disk": flavor["disk"],
        "ephemeral": 0,
        "swap": 0,
        "extra_specs": {},
    }


def _shown_flavor(flavor_id: str) -> Json:
    return {
        "id": flavor_id,
        "swap": 0,
        "OS-FLV-EXT-DATA:ephemeral": 0,
        "OS-FLV-DISABLED:disabled": False,
        "os-flavor-access:is_public": True,
        "rxtx_factor": 1.0,
        "links": [],
        "description": None,
        "extra_specs": {},
        **FLAVORS[flavor_id],
    }


def _fault(message: str) -> Json:
    return {"code": 500, "created": "2026-01-01T00:00:00Z", "message": message, "details": "..."}
