"""What a guest that was taken over tries: against the broker, and against who listens to it."""

import dataclasses
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import amqp

from dbaas.contract import codec
from dbaas.rpc import envelope
from tests.chaos.hostile import BEAT, HEALTH, Enemy, headed, with_other_header

Attack = Callable[[Any, Enemy], object]
"""Gets a channel; raises what the broker says to it."""


def publish(channel: Any, exchange: str, key: str, **properties: Any) -> None:
    """Publish, and wait until the broker has taken it or refused it."""
    channel.basic_publish(amqp.Message(b"forged", **properties), exchange, key)
    channel.basic_qos(0, 1, False)  # has an answer, which comes after the refusal


PUBLISHING: dict[str, Attack] = {
    "publish to the exchange for commands": lambda c, e: publish(c, "cmd", e.victim.instance_id),
    "publish as another guest": lambda c, e: publish(
        c, e.their_exchange, f"{e.their_exchange}.result"
    ),
    "put a command into another guest's queue": lambda c, e: publish(c, "", e.their_queue),
    "put a command into its own queue": lambda c, e: publish(c, "", e.queue),
    "put an event into an event queue": lambda c, e: publish(c, "", e.their_events),
    "answer somebody's request for a direct reply": lambda c, e: publish(
        c, "", "amq.rabbitmq.reply-to.g1hkABByYWJiaXRAbG9jYWxob3N0"
    ),
    "publish to the default direct exchange": lambda c, e: publish(c, "amq.direct", e.their_queue),
    "publish to the default fanout exchange": lambda c, e: publish(c, "amq.fanout", "x"),
    "publish to the default topic exchange": lambda c, e: publish(c, "amq.topic", "x"),
    "publish to the default headers exchange": lambda c, e: publish(c, "amq.headers", "x"),
    "publish to the default match exchange": lambda c, e: publish(c, "amq.match", "x"),
    "publish what the broker traces": lambda c, e: publish(c, "amq.rabbitmq.trace", "publish.x"),
    "publish with another guest's routing key": lambda c, e: publish(
        c, e.exchange, f"{e.their_exchange}.hb"
    ),
    "publish an event of a kind that there is not": lambda c, e: publish(
        c, e.exchange, f"{e.exchange}.cmd"
    ),
    "forge the user id of a message": lambda c, e: publish(
        c, e.exchange, f"{e.exchange}.hb", user_id="control"
    ),
    "forge another guest's user id": lambda c, e: publish(
        c, e.exchange, f"{e.exchange}.hb", user_id=f"g-{e.victim.instance_id}"
    ),
    "publish more than 1 MiB": lambda c, e: (
        c.basic_publish(amqp.Message(bytes((1 << 20) + 1)), e.exchange, f"{e.exchange}.hb"),
        c.basic_qos(0, 1, False),
    ),
}

READING: dict[str, Attack] = {
    "consume another guest's commands": lambda c, e: c.basic_consume(e.their_queue),
    "consume everybody's events": lambda c, e: c.basic_consume(e.their_events),
    "consume its commands beside its agent": lambda c, e: c.basic_consume(e.queue),
    "get another guest's command": lambda c, e: c.basic_get(e.their_queue),
    "get somebody's event": lambda c, e: c.basic_get(e.their_events),
    "purge another guest's commands": lambda c, e: c.queue_purge(e.their_queue),
    "purge everybody's events": lambda c, e: c.queue_purge(e.their_events),
}

CHANGING: dict[str, Attack] = {
    "declare a queue": lambda c, e: c.queue_declare("mine"),
    "declare a queue that the broker names": lambda c, e: c.queue_declare(""),
    "declare another guest's queue anew": lambda c, e: c.queue_declare(
        e.their_queue, durable=False, auto_delete=True
    ),
    "declare a queue whose dead letters go to the commands": lambda c, e: c.queue_declare(
        "mine",
        arguments={"x-dead-letter-exchange": "cmd", "x-message-ttl": 0},
    ),
    "declare its own queue anew, dead letters to another guest": lambda c, e: c.queue_declare(
        e.queue,
        durable=True,
        arguments={
            "x-dead-letter-exchange": "",
            "x-dead-letter-routing-key": e.their_queue,
        },
    ),
    "declare an exchange": lambda c, e: c.exchange_declare("mine", "topic"),
    "declare an exchange whose alternate is another guest's": lambda c, e: c.exchange_declare(
        "mine", "topic", arguments={"alternate-exchange": e.their_exchange}
    ),
    "declare its own exchange anew, the commands its alternate": lambda c, e: c.exchange_declare(
        e.exchange, "topic", durable=True, arguments={"alternate-exchange": "cmd"}
    ),
    "delete its own queue": lambda c, e: c.queue_delete(e.queue),
    "delete another guest's queue": lambda c, e: c.queue_delete(e.their_queue),
    "delete an event queue": lambda c, e: c.queue_delete(e.their_events),
    "delete another guest's exchange": lambda c, e: c.exchange_delete(e.their_exchange),
    "delete the exchange for commands": lambda c, e: c.exchange_delete("cmd"),
    "bind its queue to another guest's events": lambda c, e: c.queue_bind(
        e.queue, e.their_exchange, "#"
    ),
    "bind its queue to another guest's commands": lambda c, e: c.queue_bind(
        e.queue, "cmd", e.victim.instance_id
    ),
    "bind another guest's queue to its own exchange": lambda c, e: c.queue_bind(
        e.their_queue, e.exchange, "#"
    ),
    "bind another guest's exchange to its own": lambda c, e: c.exchange_bind(
        e.exchange, e.their_exchange, "#"
    ),
    "bind the commands to its own exchange": lambda c, e: c.exchange_bind("cmd", e.exchange, "#"),
    "unbind another guest's events": lambda c, e: c.queue_unbind(
        e.their_events, e.their_exchange, f"{e.their_exchange}.*"
    ),
    "unbind another guest's commands": lambda c, e: c.queue_unbind(
        e.their_queue, "cmd", e.victim.instance_id
    ),
}


BROKER = PUBLISHING | READING | CHANGING
"""All that the broker refuses."""


@dataclass(frozen=True)
class Words:
    """A message, and why nobody believes it, in the words of the conductor's log."""

    make: Callable[[Enemy], bytes]
    reason: str
    kind: str = "hb"


def _beat(**changes: Any) -> Callable[[Enemy], bytes]:
    return lambda enemy: enemy.beat(**changes)


def _raw(text: str, method: str = "hb") -> Callable[[Enemy], bytes]:
    return lambda enemy: enemy.sealed(text.encode(), method)


def _header(**changes: Any) -> Callable[[Enemy], bytes]:
    """Make a heartbeat whose header was changed before it was sealed."""
    return lambda enemy: enemy.sealed(BEAT, **changes)


def _with_header(**changes: Any) -> Callable[[Enemy], bytes]:
    """Make a heartbeat whose header was changed after it was sealed."""
    return lambda enemy: with_other_header(enemy.beat(), changes)


def _lacking(enemy: Enemy) -> bytes:
    header = dataclasses.asdict(enemy.header())
    del header["instance"]
    return headed(json.dumps(header).encode())


_ENVELOPE, _SEAL, _BEAT = "not an envelope", "not sealed under its key", "not a hb"
_RANGE = "a number is out of range"

FORGED: Mapping[str, Words] = {
    "nothing at all": Words(lambda e: b"", _ENVELOPE),
    "a plain heartbeat, not sealed": Words(lambda e: BEAT, _ENVELOPE),
    "random bytes": Words(lambda e: os.urandom(500), _ENVELOPE),
    "an envelope cut short in its header": Words(lambda e: e.beat()[:100], _ENVELOPE),
    "an envelope cut short in its body": Words(lambda e: e.beat()[:-5], _SEAL),
    "an envelope with something behind it": Words(lambda e: e.beat() + b"x", _SEAL),
    "an envelope of which one bit was turned": Words(
        lambda e: (m := e.beat())[:-30] + bytes([m[-30] ^ 1]) + m[-29:], _SEAL
    ),
    "a header of a thousand arrays": Words(lambda e: headed(b"[" * 1000), _ENVELOPE),
    "a header of 4 GiB": Words(lambda e: b"\xff\xff\xff\xff" + bytes(100), _ENVELOPE),
    "a header that lacks who speaks": Words(_lacking, _ENVELOPE),
    "a header with one field more": Words(_with_header(admin=True), _ENVELOPE),
    "a header whose number is huge": Words(_with_header(seq=10**30), _ENVELOPE),
    "a header whose number is negative": Words(_with_header(boot=-1), _ENVELOPE),
    "a header whose time is no number": Words(_with_header(sent=float("nan")), _ENVELOPE),
    "a header of another version": Words(_with_header(v=2), _ENVELOPE),
    "another guest's name, under its own key": Words(
        lambda e: e.sealed(b"{}", instance=e.victim.instance_id),
        "it names another instance than its exchange's",
    ),
    "a path in place of a name": Words(
        _header(instance="../../../../etc/passwd"), "it names another instance than its exchange's"
    ),
    "a message that goes the other way": Words(_header(direction=envelope.DOWN), "wrong direction"),
    "a key that nobody gave out": Words(_header(key="k99"), "not its key"),
    "a message under the command key": Words(
        lambda e: e.sealed(BEAT, under=e.me.command_key), _SEAL
    ),
    "a message under a key that it made": Words(
        lambda e: e.sealed(BEAT, under=envelope.new_key()), _SEAL
    ),
    "an old message made newer": Words(_with_header(seq=1 << 40), _SEAL),
    "an old heartbeat made a result": Words(_with_header(method="result"), _SEAL),
    "a method that there is not": Words(_header(method="shell"), "no such event"),
    "a heartbeat of 5 KiB": Words(_raw(" " * 5120), "hb too long"),
    "a log line of 5 KiB": Words(_raw(" " * 5120, "log"), "log too long", "log"),
    "a message of 1 MiB": Words(lambda e: bytes(1 << 20), "too long"),
    "a heartbeat that is no JSON": Words(_raw("__import__('os')"), _BEAT),
    "a heartbeat in another encoding": Words(
        lambda e: e.sealed(json.dumps(codec.dump(HEALTH)).encode("utf-16")), _BEAT
    ),
    "a heartbeat of nothing but brackets": Words(_raw("[" * 4000), _BEAT),
    "a result of nothing but brackets": Words(
        lambda e: e.sealed(b"[" * 200_000, "result"), "not a result", "result"
    ),
    "a heartbeat that is an array": Words(_raw("[]"), _BEAT),
    "a heartbeat with a field more": Words(_beat(project_id="admin"), _BEAT),
    "a heartbeat that lacks its status": Words(_raw("{}"), _BEAT),
    "a heartbeat of an unknown status": Words(_beat(service="rooted"), _BEAT),
    "a heartbeat whose status is an object": Words(_beat(service={"$gt": ""}), _BEAT),
    "a heartbeat with text for a number": Words(_beat(volume_used="1; DROP TABLE"), _BEAT),
    "a heartbeat with a boolean for a number": Words(_beat(volume_used=True), _BEAT),
    "a heartbeat with a date for a number": Words(_beat(uptime="2038-01-19"), _BEAT),
    "a heartbeat with half a character": Words(
        _raw('{"service": "healthy", "engine_version": "\\ud800"}'), _BEAT
    ),
    "a volume of less than nothing": Words(_beat(volume_used=-1), _RANGE),
    "a volume of 10^30 bytes": Words(_beat(volume_total=10**30), _RANGE),
    "an uptime of 10^30 seconds": Words(_beat(uptime=1e30), _RANGE),
    "an uptime that is no number": Words(_beat(uptime=float("nan")), _BEAT),
    "an uptime without end": Words(_beat(uptime=float("inf")), _BEAT),
    "an uptime too large for a float": Words(_raw('{"service":"healthy","uptime":1e999}'), _RANGE),
    "a version that moves the cursor": Words(_beat(engine_version="\x1b[2J"), "not a version"),
    "a version of 4000 characters": Words(_beat(engine_version="1" * 3900), "not a version"),
    "progress below nothing": Words(_beat(progress={"c": {"done": -1}}), "not a progress"),
    "progress of a hundred commands": Words(
        _beat(progress={str(n): {"done": 1} for n in range(100)}), "not a progress"
    ),
    "a log line of an unknown level": Words(
        _raw('{"level": "critical", "text": "x"}', "log"), "no such level", "log"
    ),
    "a result that is both": Words(
        lambda e: e.answer("x", {"ok": None, "error": {"kind": "Failed", "text": ""}}),
        "not a result",
        "result",
    ),
    "an answer to a command that never was": Words(
        lambda e: e.answer("00000000-0000-0000-0000-000000000000.1.do.1.1", {"ok": None}),
        "nobody waits for this answer",
        "result",
    ),
    "an answer to a command that tries SQL": Words(
        lambda e: e.answer("' OR 1=1 -- ", {"ok": None}), "nobody waits for this answer", "result"
    ),
    "a second answer to a finished command": Words(
        lambda e: e.answer(e.finished_command(), {"ok": None}),
        "nobody waits for this answer",
        "result",
    ),
    "an answer to a finished command, of an old epoch": Words(
        lambda e: e.answer(e.finished_command(), {"ok": None}, epoch=0),
        "nobody waits for this answer",
        "result",
    ),
}
"""Each is refused by every conductor, counted, and logged with the name of the guest."""


@dataclass(frozen=True)
class Waiting:
    """Commands that wait for their answer, of the enemy and of its neighbour."""

    mine: str
    theirs: str


@dataclass(frozen=True)
class Answer:
    """A message about a command that waits, and why nobody believes it."""

    make: Callable[[Enemy, Waiting], bytes]
    reason: str


WELL = {"ok": codec.dump(HEALTH)}

ANSWERS: Mapping[str, Answer] = {
    "an answer to another guest's command": Answer(
        lambda e, w: e.answer(w.theirs, WELL), "it answers a command of another guest"
    ),
    "an answer to another guest's command, in its name": Answer(
        lambda e, w: e.answer(w.theirs, WELL, instance=e.victim.instance_id),
        "it names another instance than its exchange's",
    ),
    "an answer under the command key": Answer(
        lambda e, w: e.answer(w.mine, WELL, under=e.me.command_key), _SEAL
    ),
    "an answer under the key of first contact": Answer(
        lambda e, w: e.answer(w.mine, WELL, key=envelope.CONTACT, under=e.contact.key),
        "not its key",
    ),
    "an answer that is not what the command gives": Answer(
        lambda e, w: e.answer(w.mine, {"ok": {"class": "os.system"}}), "not what restart gives"
    ),
    "an answer with an error that there is not": Answer(
        lambda e, w: e.answer(w.mine, {"error": {"kind": "SystemExit", "text": ""}}),
        "the error is not known",
    ),
    "an answer with numbers out of range": Answer(
        lambda e, w: e.answer(w.mine, {"ok": {**WELL["ok"], "volume_used": 10**30}}), _RANGE
    ),
}
"""As `FORGED`, and the commands wait as before."""
