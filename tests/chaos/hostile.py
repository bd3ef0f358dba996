"""A guest that was taken over: what its root finds on its disk, and what can be done with it."""

import json
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import amqp

from dbaas.common import config, sealing
from dbaas.contract import codec
from dbaas.contract.messages import Health, ServiceStatus
from dbaas.contract.secret import Secret
from dbaas.guestagent.identity import Identity
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header
from dbaas.rpc.guests import command_queue, event_exchange, event_queue
from tests.functional import place
from tests.functional.guest import AGENT, Guest
from tests.functional.stack import Stack

IDENTITY_FILE = "/var/lib/dbaas/agent/identity.json"
ANSWERS = "/var/lib/dbaas/agent/sent"

HEALTH = Health(ServiceStatus.HEALTHY, 1 << 30, 1 << 20, "11.8.2-MariaDB", 12.5)
BEAT = json.dumps(codec.dump(HEALTH)).encode()
"""A heartbeat's body."""

_SECONDS = 10.0


@dataclass(frozen=True)
class FirstContact:
    """What its server was booted with."""

    user: str
    password: Secret
    key: Secret


@dataclass
class Enemy:
    """Root in a guest: it has the agent's credentials and keys, and the guest's network."""

    guest: Guest
    me: Identity
    victim: Guest
    contact: FirstContact
    seq: int = field(default=0)

    @property
    def instance(self) -> str:
        return self.guest.instance_id

    @property
    def exchange(self) -> str:
        return event_exchange(self.instance)

    @property
    def their_exchange(self) -> str:
        return event_exchange(self.victim.instance_id)

    @property
    def queue(self) -> str:
        return command_queue(self.instance)

    @property
    def their_queue(self) -> str:
        return command_queue(self.victim.instance_id)

    @property
    def their_events(self) -> str:
        return event_queue(self.victim.instance_id)

    # Connections, from within the guest's network

    @contextmanager
    def inside(self) -> Iterator[None]:
        with place.inside(f"/proc/{self.guest.processes(AGENT)[0]}/ns/net"):
            yield

    def connect(
        self,
        *,
        user: str | None = None,
        password: Secret | None = None,
        vhost: str = "guest",
    ) -> Any:
        """Connect to the broker from the guest; raise what the client library raises."""
        where = self.me.address
        with self.inside():
            made = amqp.Connection(
                f"{where.host}:{where.port}",
                userid=user or where.user,
                password=(password or where.password).reveal(),
                virtual_host=vhost,
                ssl={
                    "context": {"cadata": where.authority, "check_hostname": True},
                    "server_hostname": where.host,
                },
                connect_timeout=_SECONDS,
                login_method="PLAIN",
            )
            try:
                made.connect()
            except (OSError, amqp.AMQPError):
                made.collect()
                raise
        made.sock.settimeout(_SECONDS)
        return made

    @contextmanager
    def connection(self) -> Iterator[Any]:
        made = self.connect()
        try:
            yield made
        finally:
            close(made)

    def publish(self, bodies: Iterable[bytes], kind: str = "hb", **properties: Any) -> None:
        """Say this through its own exchange; the broker has it when this returns."""
        with self.connection() as link:
            channel = link.channel()
            for body in bodies:
                message = amqp.Message(body, **properties)
                channel.basic_publish_confirm(
                    message, self.exchange, f"{self.exchange}.{kind}", timeout=_SECONDS
                )

    # Messages

    def header(self, method: str = "hb", **changes: Any) -> Header:
        """Return the header of its next event, as it ought to be but for `changes`."""
        self.seq += 1
        usual: dict[str, Any] = {
            "v": envelope.VERSION,
            "instance": self.instance,
            "key": self.me.key_id,
            "direction": envelope.UP,
            "command": "",
            "epoch": 0,
            "boot": int(time.time()) + 1000,
            "seq": self.seq,
            "sent": time.time(),
            "method": method,
        }
        return Header(**(usual | changes))

    def sealed(
        self, body: bytes, method: str = "hb", under: Secret | None = None, **changes: Any
    ) -> bytes:
        """Return an event that is sealed under this key, its own where none is given."""
        return envelope.seal(under or self.me.event_key, self.header(method, **changes), body)

    def beat(self, **changes: Any) -> bytes:
        """Return a heartbeat with these values, however wrong they are."""
        return self.sealed(json.dumps({**codec.dump(HEALTH), **changes}).encode())

    def answer(self, command: str, body: object, **changes: Any) -> bytes:
        return self.sealed(json.dumps(body).encode(), "result", command=command, **changes)

    def finished_command(self) -> str:
        """Return the id of a command that its agent has carried out and answered."""
        return self.guest.run("ls", ANSWERS).split()[0]


def first_contact(stack: Stack, instance: str) -> FirstContact:
    """Return what an instance that is being built is told first, and keeps for a second."""
    conf = config.load(["--config-file", str(stack.configuration)], [sealing])
    show = sealing.from_conf(conf).show
    columns = "contact_user, contact_password, contact_key"
    where = f"instance_id = '{instance}' AND contact_user IS NOT NULL"
    while not (rows := stack.sql(f"SELECT {columns} FROM guests WHERE {where}")):
        time.sleep(0.01)
    row = rows[0]
    return FirstContact(
        row["contact_user"],
        show(json.loads(row["contact_password"])),
        show(json.loads(row["contact_key"])),
    )


def taken_over(guest: Guest, victim: Guest, contact: FirstContact) -> Enemy:
    """Read what the agent keeps on the guest's own disk."""
    return Enemy(guest, identity_of(guest), victim, contact)


def identity_of(guest: Guest) -> Identity:
    return codec.load(Identity, json.loads(guest.run("cat", IDENTITY_FILE)))


def with_other_header(message: bytes, changes: Mapping[str, Any]) -> bytes:
    """Return the sealed message with its header changed, which nothing but the seal prevents."""
    size = int.from_bytes(message[:4])
    header = json.loads(message[4 : 4 + size]) | changes
    return headed(json.dumps(header).encode(), message[4 + size :])


def headed(header: bytes, rest: bytes = bytes(60)) -> bytes:
    """Return what looks like an envelope with this header."""
    return len(header).to_bytes(4) + header + rest


def frames(exchange: str, key: str, body: bytes, channel: int = 1) -> bytes:
    """Return a publication as it is on the wire, for who does not wait for a client library.

    AMQP 0-9-1, sections 2.3.5 and 2.3.5.2.
    """

    def frame(kind: int, payload: bytes) -> bytes:
        return struct.pack(">BHI", kind, channel, len(payload)) + payload + b"\xce"

    def text(word: str) -> bytes:
        return bytes([len(word)]) + word.encode()

    publish = struct.pack(">HHH", 60, 40, 0) + text(exchange) + text(key) + b"\0"
    header = struct.pack(">HHQH", 60, 0, len(body), 0)
    pieces = [body[at : at + 100_000] for at in range(0, len(body), 100_000)]
    return frame(1, publish) + frame(2, header) + b"".join(frame(3, piece) for piece in pieces)


def close(link: Any) -> None:
    with suppress(OSError, amqp.AMQPError):
        link.close()


def listening() -> set[int]:
    """Return the TCP ports on which anything listens in the network namespace that we are in."""
    found = set()
    for table in ("tcp", "tcp6"):
        lines = Path(f"/proc/thread-self/net/{table}").read_text().splitlines()[1:]
        for line in lines:
            _, local, _, state, *_ = line.split()
            if state == "0A":
                found.add(int(local.rpartition(":")[2], 16))
    return found
