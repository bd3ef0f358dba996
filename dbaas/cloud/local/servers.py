"""Servers on one host: what their records say, and what may happen to them when.

A server's record is the first thing made and the last thing removed, so that whatever a killed
process left can be found and deleted by the server's name. What a server is made of, namespaces or
plain processes, is a `Body`'s business.
"""

import platform
import uuid
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

from dbaas.cloud.base import Flavor, Locality, Networks, Server, ServerOrder, ServerState, Volumes
from dbaas.cloud.local.records import Records
from dbaas.cloud.local.settings import expect_zone
from dbaas.contract import errors

LAUNCH_TIMEOUT = 60.0
KILL_TIMEOUT = 30.0
"""Seconds for what takes milliseconds on a host that is not busy."""

Record = dict[str, Any]


class Body(Protocol):
    """What servers are made of. Whoever calls what changes one holds the lock of its record."""

    def image(self) -> str:
        """Return what they are made from; raise `NotFound`."""

    def describe(self, order: ServerOrder) -> Record:
        """Return what its record has to say beyond what every server's does."""

    def build(self, order: ServerOrder, record: Record) -> None:
        """Attach its volumes, and make its root with the files that it finds there."""

    def launch(self, name: str, record: Record, size: Flavor) -> None:
        """Start it, as what `record["launch"]` names: a start that comes later does nothing."""

    def end(self, name: str, record: Record) -> None:
        """Leave nothing of it running, whatever is, and no start of it on its way."""

    def remove(self, name: str, record: Record) -> None:
        """Undo `build`, or a part of it."""

    def limit(self, name: str, size: Flavor) -> None:
        """Hold it, running, to this size; `Unavailable` while it uses more memory."""

    def pid(self, name: str) -> int | None:
        """Return its first process, if it runs."""

    def shut_down(self, name: str) -> None:
        """Ask its first process to end, if it runs."""

    def wait(self, name: str, seconds: float) -> None:
        """Return when its first process has ended, or after so long."""

    def kill(self, name: str) -> None:
        """Kill its processes, and nothing else: it is SHUTOFF then."""

    def console_file(self, name: str) -> Path:
        """Return where its console's text is."""


class HostCompute:
    """`phase` in a record: building, ready, failed or deleting; all else is looked at.

    `wanted` is whether it is to run after the host's next start; `old_flavor`, while it is resized,
    what it may go back to.
    """

    def __init__(
        self,
        state_dir: Path,
        flavors: Sequence[Flavor],
        availability_zone: str,
        stop_timeout: float,
        body: Body,
        volumes: Volumes,
        networks: Networks,
    ) -> None:
        self._flavors = flavors
        self._availability_zone = availability_zone
        self._stop_timeout = stop_timeout
        self._body = body
        self._volumes = volumes
        self._networks = networks
        self._records = Records(state_dir / "servers")

    def flavors(self) -> list[Flavor]:
        return list(self._flavors)

    def attach_volume(self, name: str, volume: str) -> None:
        raise errors.Unsupported(f"{volume} grows while {name} uses it")

    def detach_volume(self, name: str, volume: str) -> None:
        raise errors.Unsupported(f"{volume} grows while {name} uses it")

    def availability_zones(self) -> list[str]:
        return [self._availability_zone]

    def find_image(self, image: str, tags: Collection[str]) -> str:  # noqa: ARG002 # there is one
        return self._body.image()

    def make_group(self, name: str, locality: Locality) -> None:
        """Every server is on this host, whatever its group."""
        if locality is Locality.APART:
            raise errors.Unsupported(f"the servers of {name} cannot be apart: there is one host")

    def delete_group(self, name: str) -> None:
        """There is nothing of it."""

    def find_server(self, name: str) -> Server | None:
        return self.servers([name]).get(name)

    def servers(self, names: Collection[str] | None = None) -> dict[str, Server]:
        records = self._records.all(names)
        return {name: self._server(name, record) for name, record in records.items()}

    def create_server(self, order: ServerOrder) -> Server:
        """Build and start it; what goes wrong in that is its `fault`, as with any cloud."""
        self._check(order)
        more = self._body.describe(order)
        with self._records.lock(order.name):
            if self._records.get(order.name):
                raise errors.Conflict(f"the server {order.name} exists")
            record: Record = {
                "id": str(uuid.uuid4()),
                "flavor": order.flavor,
                "old_flavor": "",
                "volumes": order.volumes,
                "phase": "building",
                "wanted": "running",
                "fault": "",
                "launch": "",
                **more,
            }
            self._records.put(order.name, record)
            try:
                self._body.build(order, record)
                self._launch(order.name, record)
                record |= {"phase": "ready"}
            except (errors.Error, OSError) as error:
                self._end(order.name, record)
                record |= {"phase": "failed", "fault": str(error)}
            self._records.put(order.name, record)
        return self._server(order.name, record)

    def _check(self, order: ServerOrder) -> None:
        self._flavor(order.flavor)
        expect_zone(self._availability_zone, order.availability_zone)
        if missing := set(order.ports) - set(self._networks.ports(order.ports)):
            raise errors.NotFound(f"there is no port {min(missing)}")
        if missing := set(order.volumes) - set(self._volumes.volumes(order.volumes)):
            raise errors.NotFound(f"there is no volume {min(missing)}")
        for path in order.files:
            if not path.startswith("/") or ".." in path.split("/"):
                raise errors.Invalid(f"{path} is not an absolute path")

    def start_server(self, name: str) -> None:
        """Start it; `Busy` while it is still shutting down."""
        with self._records.lock(name):
            record = self._ready(name)
            if self._body.pid(name) is None:
                self._end(name, record)
                self._launch(name, record)
            elif record["wanted"] != "running":
                raise errors.Busy(f"{name} is still shutting down")

    def stop_server(self, name: str) -> None:
        """Ask it to shut down. It is SHUTOFF when its engine has stopped, or time is up."""
        with self._records.lock(name):
            record = self._records.get(name)
            if record is not None:
                self._records.put(name, record | {"wanted": "stopped"})
                self._body.shut_down(name)

    def reboot_server(self, name: str) -> None:
        """Shut it down, waiting until it has, and start it."""
        with self._records.lock(name):
            record = self._ready(name)
            self._body.shut_down(name)
            self._body.wait(name, self._stop_timeout)
            self._end(name, record)
            self._launch(name, record)

    def resize_server(self, name: str, flavor: str) -> Server:
        """Give a running server, until this is confirmed, the larger of both in every way.

        So nothing is taken from it while it may still go back. The limits are first: a server that
        says VERIFY_RESIZE has them.
        """
        self._flavor(flavor)
        with self._records.lock(name):
            record = self._ready(name)
            if record["flavor"] != flavor:
                if record["old_flavor"] or self._body.pid(name) is None:
                    raise errors.Conflict(f"the server {name} cannot be resized now")
                record |= {"flavor": flavor, "old_flavor": record["flavor"]}
                self._body.limit(name, self._size(record))
                self._records.put(name, record)
        return self._server(name, record)

    def confirm_resize(self, name: str) -> None:
        """Let it have no more than the new flavor; `Unavailable` while it uses more memory."""
        self._settle(name, "flavor")

    def revert_resize(self, name: str) -> None:
        """Let it have no more than the old flavor; `Unavailable` while it uses more memory."""
        self._settle(name, "old_flavor")

    def _settle(self, name: str, which: str) -> None:
        with self._records.lock(name):
            record = self._ready(name)
            if record["old_flavor"]:
                record |= {"flavor": record[which], "old_flavor": ""}
                if self._body.pid(name) is not None:
                    self._body.limit(name, self._size(record))
                self._records.put(name, record)

    def _size(self, record: Mapping[str, Any]) -> Flavor:
        """Return what it may use: its flavor, or both while it is resized."""
        new = self._flavor(record["flavor"])
        old = self._flavor(record["old_flavor"] or record["flavor"])
        ram, vcpus = max(new.ram_mib, old.ram_mib), max(new.vcpus, old.vcpus)
        return replace(new, ram_mib=ram, vcpus=vcpus)

    def delete_server(self, name: str) -> None:
        with self._records.lock(name):
            record = self._records.get(name)
            if record is None:
                return
            record |= {"phase": "deleting"}
            self._end(name, record)
            self._body.remove(name, record)
            self._records.remove(name)

    def wanted(self) -> list[str]:
        """Return the names of the servers that are to run when the host does."""
        return [
            name
            for name, record in self._records.all().items()
            if record["phase"] == "ready" and record["wanted"] == "running"
        ]

    def end(self, name: str) -> None:
        """Leave nothing of it running; its record stays as it is."""
        with self._records.lock(name):
            record = self._records.get(name)
            if record is not None:
                self._end(name, record)

    def pid(self, name: str) -> int:
        """Return its first process; raise `NotFound` when it does not run."""
        pid = self._body.pid(name)
        if pid is None:
            raise errors.NotFound(f"the server {name} does not run")
        return pid

    def console(self, name: str) -> str:
        try:
            return self._body.console_file(name).read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def _ready(self, name: str) -> Record:
        record = self._records.get(name)
        if record is None:
            raise errors.NotFound(f"there is no server {name}")
        if record["phase"] != "ready":
            raise errors.Conflict(f"the server {name} was never whole: delete it")
        return record

    def _launch(self, name: str, record: Record) -> None:
        """Start it under a new identity, which an order that comes too late does not have."""
        record |= {"launch": str(uuid.uuid4()), "wanted": "running"}
        self._records.put(name, record)
        self._body.launch(name, record, self._size(record))

    def _end(self, name: str, record: Record) -> None:
        record |= {"launch": ""}
        self._records.put(name, record)
        self._body.end(name, record)

    def _server(self, name: str, record: Mapping[str, Any]) -> Server:
        state, fault = self._state(name, record)
        return Server(
            name=name,
            id=record["id"],
            state=state,
            flavor=record["flavor"],
            fault=fault,
            host=platform.node(),
            interrupted=state is ServerState.ERROR and record["phase"] in ("building", "deleting"),
        )

    def _state(self, name: str, record: Mapping[str, Any]) -> tuple[ServerState, str]:
        if record["phase"] == "building":
            if self._records.is_locked(name):
                return ServerState.BUILD, ""
            return ServerState.ERROR, "its creation was interrupted"
        if record["phase"] == "deleting":
            return ServerState.ERROR, "its deletion was interrupted"
        if record["phase"] == "failed":
            return ServerState.ERROR, str(record["fault"])
        if self._body.pid(name) is None:
            return ServerState.SHUTOFF, ""
        return ServerState.VERIFY_RESIZE if record["old_flavor"] else ServerState.ACTIVE, ""

    def _flavor(self, number: str) -> Flavor:
        for flavor in self._flavors:
            if flavor.id == number:
                return flavor
        raise errors.NotFound(f"there is no flavor {number}")
