"""All guests of `tests.bench.operations`, in one process: each answers every command at once.

python -m tests.bench.instant_guests SOCKET URL LOG

They read their own queues, and open and seal envelopes under their own keys, as agents do; but they
share one connection, so that neither TLS nor logins of thousands of guests are measured. LOG gets a
line for each answer, when the broker has it: instance, verb, seconds since 1970.
"""

import collections
import contextlib
import json
import select
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import amqp

from dbaas.contract import codec
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.messages import Contact, Introduction
from dbaas.contract.secret import Secret
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header
from dbaas.rpc.guests import address, command_queue, event_exchange
from tests.rehearsal import ANSWERS

LARGEST = 64 << 10


@dataclass
class Guest:
    """Whom a guest's envelopes come from and go to; `said` counts its events."""

    instance: str
    keys: dict[str, Secret]
    event_key: Secret | None = None
    event_key_id: str = ""
    said: int = 0


class Guests:
    def __init__(self, connection: Any, log: Path) -> None:
        self._connection = connection
        self._channel = connection.channel()
        self._channel.basic_qos(0, 1, False)
        self._confirming = connection.channel()
        self._log = log.open("w", buffering=1)
        self._known: dict[str, Guest] = {}
        self._arrived: collections.deque[Any] = collections.deque()

    def boot(self, contact: Contact) -> None:
        self._known[contact.instance] = Guest(contact.instance, {contact.key_id: contact.key})
        self._channel.basic_consume(
            queue=command_queue(contact.instance),
            callback=self._arrived.append,
            on_cancel=lambda _tag: None,  # the instance is deleted, and its queue
        )

    def answer_all(self) -> None:
        while self._arrived:
            message = self._arrived.popleft()
            self._channel.basic_ack(message.delivery_info["delivery_tag"])
            self._answer(self._known[message.delivery_info["routing_key"]], message.body)

    def _answer(self, guest: Guest, message: bytes) -> None:
        peeked = envelope.peek(message)
        header, body = envelope.unseal(guest.keys[peeked.key], message, peeked)
        verb = GUEST_VERBS[header.method]
        if header.method == "introduce":
            order = codec.load(Introduction, json.loads(body)["args"])
            guest.keys[order.key_id] = order.command_key
            guest.event_key, guest.event_key_id = order.event_key, order.key_id
        assert guest.event_key is not None
        guest.said += 1
        said = Header(
            v=envelope.VERSION,
            instance=guest.instance,
            key=guest.event_key_id,
            direction=envelope.UP,
            command=header.command,
            epoch=header.epoch,
            boot=1,
            seq=guest.said,
            sent=time.time(),
            method="result",
        )
        result = json.dumps({"ok": codec.dump(ANSWERS.get(verb.gives))}).encode()
        exchange = event_exchange(guest.instance)
        self._confirming.basic_publish(
            amqp.Message(envelope.seal(guest.event_key, said, result), delivery_mode=1),
            exchange,
            f"{exchange}.result",
        )
        self._log.write(json.dumps([guest.instance, verb.name, time.time()]) + "\n")


def main() -> None:
    path, url, log = sys.argv[1:]
    where = address(url)
    connection = amqp.Connection(
        host=f"{where.host}:{where.port}",
        userid=where.user,
        password=where.password.reveal(),
        virtual_host=where.vhost,
    )
    connection.connect()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as contacts, connection:
        contacts.bind(path)
        guests = Guests(connection, Path(log))
        while True:
            ready, _, _ = select.select([contacts, connection.sock], [], [])
            if contacts in ready:
                guests.boot(codec.load(Contact, json.loads(contacts.recv(LARGEST))))
            if connection.sock in ready:
                with contextlib.suppress(TimeoutError):
                    connection.drain_events(timeout=0.01)
            guests.answer_all()


if __name__ == "__main__":
    main()
