"""A guest that says something ten times a second, and whether all of it is heard, and when."""

import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count

from dbaas.catalog import guests
from dbaas.catalog.records import GuestIdentity
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common import config, sealing
from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.rpc import envelope
from dbaas.rpc.broker import Broker
from dbaas.rpc.envelope import Header
from dbaas.rpc.guests import Address, AgentLink, event_queue
from tests.chaos.hostile import BEAT
from tests.functional.stack import Stack

INTERVAL = 0.1
_RETRY = 0.2


@dataclass
class Neighbour:
    """Lives in the catalog and in the broker only; two threads speak and watch for it."""

    instance: str
    identity: GuestIdentity
    said: dict[int, float] = field(default_factory=dict)
    """When each heartbeat was said, by its number; on the monotonic clock."""
    late: float = 0.0
    """Seconds that the latest of those took that were heard."""
    heard: int = 0
    """The number of the newest that was heard."""


@contextmanager
def beside(stack: Stack, broker: Broker, instance: str) -> Iterator[Neighbour]:
    """Have a neighbour whose events go through the same queue as those of `instance`."""
    conf = config.load(["--config-file", str(stack.configuration)], list(config.option_modules()))
    catalog, sealer = Catalog(conf), sealing.from_conf(conf)
    one = _made(event_queue(instance))

    def write(unit: Unit) -> None:
        unit.exec_driver_sql("SET SESSION foreign_key_checks=0")  # it has no instance
        guests.add(unit, sealer, one.identity)
        unit.exec_driver_sql("SET SESSION foreign_key_checks=1")

    catalog.run(write)
    broker.add_guest(one.instance, one.identity.user, one.identity.password)
    try:
        yield one
    finally:
        broker.remove_guest(one.instance, one.identity.users)
        catalog.run(lambda unit: guests.remove(unit, one.instance))
        catalog.close()


def _made(queue: str) -> Neighbour:
    instance = next(name for _ in count() if event_queue(name := str(uuid.uuid4())) == queue)
    identity = GuestIdentity(
        instance_id=instance,
        state=guests.INTRODUCED,
        user=f"g-{instance}",
        password=Secret(uuid.uuid4().hex),
        key_id="k1",
        command_key=envelope.new_key(),
        event_key=envelope.new_key(),
    )
    return Neighbour(instance, identity)


@contextmanager
def speaking(one: Neighbour, stack: Stack, address: Address) -> Iterator[None]:
    """Have it say something every `INTERVAL`, and watch when that is heard; `address`: of any
    guest of the stack."""
    over = threading.Event()
    where = Address(
        address.host, address.port, address.vhost, one.identity.user, one.identity.password,
        address.authority,
    )  # fmt: skip
    link = AgentLink(where, one.instance)
    link.connect()
    threads = [
        threading.Thread(target=_speak, args=(one, link, over)),
        threading.Thread(target=_watch, args=(one, stack, over)),
    ]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        over.set()
        for thread in threads:
            thread.join()
        link.close()


def _speak(one: Neighbour, link: AgentLink, over: threading.Event) -> None:
    for number in count(1):
        if over.wait(INTERVAL):
            return
        header = Header(
            v=1, instance=one.instance, key="k1", direction="up", command="", epoch=0, boot=1,
            seq=number, sent=time.time(), method="hb",
        )  # fmt: skip
        message = envelope.seal(one.identity.event_key, header, BEAT)
        one.said[number] = time.monotonic()
        while True:  # as an agent does
            try:
                link.publish("hb", message)
                break
            except errors.Busy:
                over.wait(_RETRY)


def _watch(one: Neighbour, stack: Stack, over: threading.Event) -> None:
    """Look until the last one was heard, or twenty seconds after it was said."""
    waits = 20.0
    with stack.catalog() as link, link.cursor() as cursor:
        while True:
            cursor.execute("SELECT seq FROM guest_health WHERE instance_id = %s", (one.instance,))
            row = cursor.fetchone()
            now, heard = time.monotonic(), int(row["seq"]) if row else 0
            for number in range(one.heard + 1, heard + 1):
                one.late = max(one.late, now - one.said[number])
            one.heard = heard
            last = max(one.said, default=0)
            if over.is_set() and (heard == last or now - one.said[last] > waits):
                return
            time.sleep(0.01)
