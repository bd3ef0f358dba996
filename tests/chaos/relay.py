"""Sits on the guests' bus between the control plane and guests, and does mischief to messages.

It has the control plane's own rights in the broker: it unbinds what leads to a guest and back, and
has all of that go through a queue of its own. It cannot open an envelope, let alone seal one.
"""

import heapq
import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import amqp
from oslo_config import cfg

from dbaas.common import config
from dbaas.rpc import broker, guests
from dbaas.rpc.broker import Broker
from tests.chaos.ground import Ground

Mischief = Callable[[random.Random], list[float]]
"""Gives the seconds after which copies of a message go on; one and 0.0 would be honest."""

_TICK = 0.01
_MANY = 10_000


def duplicated(chance: random.Random) -> list[float]:
    return [0.0] * chance.randint(2, 4)


def reordered(chance: random.Random) -> list[float]:
    return [chance.uniform(0.0, 0.7)]


def delayed(chance: random.Random) -> list[float]:
    return [chance.uniform(0.3, 1.5)]


def replayed(chance: random.Random) -> list[float]:
    return [0.0, *(chance.uniform(0.0, 5.0) for _ in range(2))]


def all_of_it(chance: random.Random) -> list[float]:
    each = (duplicated, reordered, delayed, replayed)
    return chance.choice(each)(chance)


@dataclass(frozen=True)
class Recorded:
    """A message as it was on its way: to a guest, or to the conductors."""

    exchange: str
    key: str
    body: bytes


class Relay:
    """Passes on what it intercepts, when and as often as its mischief says, in its own thread."""

    def __init__(self, ground: Ground, mischief: Mischief, chance: random.Random) -> None:
        conf = configuration(ground)
        self._broker: Broker = broker.from_conf(conf)
        self._url: str = conf[broker.GROUP].url
        self._ground = ground
        self._mischief = mischief
        self._chance = chance
        self._queue = f"relay-{chance.randrange(_MANY)}"
        self.recorded: list[Recorded] = []
        self.passed_on = 0
        self._waiting: list[tuple[float, int, Recorded]] = []
        self._number = itertools.count()
        self._lock = threading.Lock()
        self._intercepted: set[str] = set()
        self._stop = threading.Event()
        self._ready = threading.Event()
        self._control = connect(self._url)
        self._thread = threading.Thread(target=self._run, name="relay")

    def start(self) -> None:
        with self._control.channel() as channel:
            channel.queue_declare(self._queue, durable=False, auto_delete=False)
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        """Pass on what waits, at once, and restore the ways as they were."""
        for instance in list(self._intercepted):
            self.leave(instance)
        self._stop.set()
        self._thread.join()
        with self._control.channel() as channel:
            channel.queue_delete(self._queue)
        self._control.close()
        self._broker.close()

    def intercept(self, instance: str) -> None:
        """Step between an instance and the control plane as soon as there is a way to it."""
        queue, exchange = guests.command_queue(instance), guests.event_exchange(instance)
        events = guests.event_queue(instance)
        there = {f"binding {guests.COMMANDS} {queue}", f"binding {exchange} {events}"}
        self._ground.wait_for(lambda: there <= self._broker.objects(), f"{instance} on the bus")
        with self._control.channel() as channel:
            channel.queue_bind(events, exchange, "relayed.*")
            for source, key, target in _ways(instance):
                channel.queue_bind(self._queue, source, key)
                channel.queue_unbind(target, source, key)
        self._intercepted.add(instance)

    def leave(self, instance: str) -> None:
        self._intercepted.discard(instance)
        if f"queue {guests.command_queue(instance)}" not in self._broker.objects():
            return  # it was deleted
        with self._control.channel() as channel:
            for source, key, target in _ways(instance):
                channel.queue_bind(target, source, key)
                channel.queue_unbind(self._queue, source, key)

    def replay_everything(self) -> int:
        """Send all that was ever recorded once more, in any order; return how much that is."""
        with self._lock:
            again = self._chance.sample(self.recorded, len(self.recorded))
            for message in again:
                self._hold(message, 0.0)
        self._ground.wait_for(lambda: not self._waiting, "the end of the replay")
        return len(again)

    def _run(self) -> None:
        connection = connect(self._url)
        listening, speaking = connection.channel(), connection.channel()
        listening.basic_consume(self._queue, no_ack=True, callback=self._arrived)
        self._ready.set()
        while not self._stop.is_set() or self._waiting:
            with suppress(TimeoutError):
                connection.drain_events(timeout=_TICK)
            for message in self._due():
                try:
                    _send(speaking, message)
                    self.passed_on += 1
                except amqp.NotFound:  # its guest was deleted
                    speaking = connection.channel()
        connection.close()

    def _arrived(self, message: Any) -> None:
        info, body = message.delivery_info, message.body
        recorded = Recorded(info["exchange"], info["routing_key"], body)
        with self._lock:
            self.recorded.append(recorded)
            for seconds in self._mischief(self._chance):
                self._hold(recorded, seconds)

    def _hold(self, message: Recorded, seconds: float) -> None:
        entry = (time.monotonic() + seconds, next(self._number), message)
        heapq.heappush(self._waiting, entry)

    def _due(self) -> Iterator[Recorded]:
        now = time.monotonic()
        while True:
            with self._lock:
                if not self._waiting or (self._waiting[0][0] > now and not self._stop.is_set()):
                    return
                message = heapq.heappop(self._waiting)[2]
            yield message


def configuration(ground: Ground) -> cfg.ConfigOpts:
    return config.load(["--config-file", str(ground.stack.configuration)], [broker])


def connect(url: str) -> Any:
    """Connect to a virtual host as the control plane does."""
    where = guests.address(url)
    connection = amqp.Connection(
        f"{where.host}:{where.port}",
        userid=where.user,
        password=where.password.reveal(),
        virtual_host=where.vhost,
        login_method="PLAIN",
    )
    connection.connect()
    return connection


def _ways(instance: str) -> list[tuple[str, str, str]]:
    """Return exchange, routing key and queue of the ways to and from a guest."""
    exchange = guests.event_exchange(instance)
    return [
        (guests.COMMANDS, instance, guests.command_queue(instance)),
        (exchange, f"{exchange}.*", guests.event_queue(instance)),
    ]


def _send(channel: Any, message: Recorded) -> None:
    """Return when the broker has it; raise `amqp.NotFound`."""
    if message.exchange == guests.COMMANDS:
        exchange, key = "", guests.command_queue(message.key)
    else:  # who sent it is told by the exchange: it has to go through that once more
        exchange, key = message.exchange, f"relayed.{message.key.rpartition('.')[2]}"
    channel.basic_publish_confirm(
        amqp.Message(message.body, delivery_mode=1), exchange, key, timeout=10
    )


@contextmanager
def between(ground: Ground, mischief: Mischief, seed: int) -> Iterator[Relay]:
    relay = Relay(ground, mischief, random.Random(seed))  # to be replayed
    relay.start()
    try:
        yield relay
    finally:
        relay.stop()


UNDER_OTHER_KEYS = (0, 0)
"""Boot and number of a guest that was not heard yet with the keys that it has got."""


class Beats:
    """Looks again and again at how far the heartbeats that were believed have come."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._last: Mapping[str, tuple[int, int]] = {}
        self._stop = threading.Event()
        self.backwards: list[str] = []
        self.seen = 0
        self._thread = threading.Thread(target=self._watch, name="beats")

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            rows = self._ground.sql("SELECT instance_id, boot, seq FROM guest_health")
            now = {row["instance_id"]: (row["boot"], row["seq"]) for row in rows}
            self.backwards += [
                f"{instance}: {self._last[instance]} before {at}"
                for instance, at in now.items()
                if at < self._last.get(instance, at) and at != UNDER_OTHER_KEYS
            ]
            self.seen += sum(at != self._last.get(instance) for instance, at in now.items())
            self._last = now

    @classmethod
    @contextmanager
    def watched(cls, ground: Ground) -> Iterator["Beats"]:
        beats = cls(ground)
        beats._thread.start()
        try:
            yield beats
        finally:
            beats._stop.set()
            beats._thread.join()
