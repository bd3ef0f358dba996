"""A guest's agent without a guest: a link to nowhere, and an endpoint that does what tests say."""

import json
import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, cast

from dbaas.contract import codec, errors, messages
from dbaas.contract.interfaces import GuestAgent
from dbaas.contract.messages import Health, ServiceStatus
from dbaas.contract.secret import Secret
from dbaas.guestagent.desk import Task
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header
from dbaas.rpc.guests import Address

INSTANCE = "6d0ca1d5-3b1b-4a51-8c0a-2f6a6b6b9a01"
PATIENCE = 5.0


def until(condition: Callable[[], Any]) -> Any:
    """Return what `condition` says as soon as that is true; fail after some seconds."""
    deadline = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.001)
    return found


def body(order: object = None) -> bytes:
    return json.dumps({} if order is None else {"args": codec.dump(order)}).encode()


def header(
    method: str, command: str, epoch: int = 1, key: str = "k1", instance: str = INSTANCE
) -> Header:
    return Header(
        envelope.VERSION, instance, key, envelope.DOWN, command, epoch, 0, 0, time.time(), method
    )


class Works:
    """Counts what it is ordered to; a prepare goes on until it is let go or cancelled.

    It knows a few verbs of `GuestAgent`: one of each kind that an agent treats differently.
    """

    def __init__(self) -> None:
        self.ran: list[str] = []
        self.running = threading.Event()
        self.let_go = threading.Event()
        self.task: Task | None = None
        self.introduced: Callable[[messages.Introduction], None] = lambda order: None
        self.cancelled: Callable[[str], messages.Cancelled] | None = None
        self.raises: Exception | None = None

    def serve(self, task: Task) -> GuestAgent:
        self.task = task
        return cast(GuestAgent, self)

    def introduce(self, order: messages.Introduction) -> None:
        self.ran.append("introduce")
        self.introduced(order)

    def prepare(self, order: messages.Prepare) -> messages.Prepared:
        self.ran.append("prepare")
        task = self.task
        assert task
        self.running.set()
        while not self.let_go.wait(0.001):
            task.check()
        return messages.Prepared(Health(ServiceStatus.HEALTHY))

    def check_data(self) -> messages.DataCheck:
        self.ran.append("check_data")
        task = self.task
        assert task
        self.running.set()
        while not self.let_go.wait(0.001):
            task.check()
        return messages.DataCheck(1, 2, 3.0)

    def restart(self) -> Health:
        self.ran.append("restart")
        if self.raises:
            raise self.raises
        return Health(ServiceStatus.HEALTHY)

    def grow_volume(self, order: messages.VolumeGrowth) -> messages.VolumeSize:
        self.ran.append("grow_volume")
        return messages.VolumeSize(order.size, 0)

    def ping(self) -> Health:
        self.ran.append("ping")
        return Health(ServiceStatus.HEALTHY)

    def cancel(self, order: messages.Cancel) -> messages.Cancelled:
        assert self.cancelled
        return self.cancelled(order.command)


PREPARE = messages.Prepare(
    "mariadb", "11.8", 512, 1, messages.ServerCertificate("c", Secret("k"), "a")
)


@dataclass
class Broker:
    """What a broker is to one guest; commands stay until they are acknowledged."""

    users: dict[str, str] = field(default_factory=dict)
    away: bool = False
    commands: "queue.Queue[bytes]" = field(default_factory=queue.Queue)
    events: list[tuple[str, str, bytes]] = field(default_factory=list)
    """User, kind and message."""
    connects: list[str] = field(default_factory=list)
    acknowledged: int = 0
    publish_fails: int = 0

    def dial(self, address: Address, instance: str) -> "Link":
        assert instance == INSTANCE
        return Link(self, address)


class Link:
    """One connection to it."""

    def __init__(self, broker: Broker, address: Address) -> None:
        self._broker = broker
        self._address = address
        self._polled: bytes | None = None

    def connect(self) -> None:
        self._check()
        if self._broker.users.get(self._address.user) != self._address.password.reveal():
            raise errors.Forbidden("unknown")
        self._broker.connects.append(self._address.user)

    def poll(self, timeout: float) -> bytes | None:
        self._check()
        if self._polled is not None:
            return None
        try:
            self._polled = self._broker.commands.get(timeout=min(timeout, 0.002))
        except queue.Empty:
            return None
        return self._polled

    def acknowledge(self) -> None:
        self._check()
        assert self._polled is not None
        self._polled = None
        self._broker.acknowledged += 1

    def publish(self, kind: str, body: bytes) -> None:
        self._check()
        if self._broker.publish_fails:
            self._broker.publish_fails -= 1
            raise errors.Unavailable("lost while publishing")
        self._broker.events.append((self._address.user, kind, body))

    def close(self) -> None:
        if self._polled is not None:
            self._broker.commands.put(self._polled)
            self._polled = None

    def _check(self) -> None:
        if self._broker.away:
            raise errors.Unavailable("away")
