"""Messages that nobody should send: malformed in every layer, on every queue of ours."""

import dataclasses
import json
import random
import time
from typing import Any

import amqp

from dbaas.catalog.records import GuestIdentity
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header

NESTED = "[" * 100_000
NOT_EVEN_ENVELOPES = (
    b"",
    b"\0\0\0\0",
    b"\xff" * 64,
    b"{}",
    b'{"method": "hb"}' * 100,
    random.Random(1).randbytes(1 << 20),
    (1000).to_bytes(4) + b"{}",
    (2).to_bytes(4) + b"{}" + bytes(64),
    (900).to_bytes(4) + b"[" * 900 + bytes(64),
)
BODIES = (
    b"",
    b"\xff\xfe",
    b"null",
    b"[]",
    b'"text"',
    b"{}",
    b'{"args": []}',
    b'{"ok": NaN}',
    b'{"ok": 1e999}',
    b'{"ok": "\\ud800"}',
    NESTED.encode(),
    b'{"error": {"kind": "Oops", "text": 1}}',
    b'{"service": "healthy", "volume_used": "much"}',
    b"9" * 5000,
)
"""What an envelope may hold that fits nothing."""


def events(guest: GuestIdentity) -> list[amqp.Message]:
    """Return what nobody can believe of this guest, although some of it is under its own key."""
    header = _header(guest, envelope.UP, "hb")
    other = dataclasses.replace(header, instance="0" * 36)
    unsealed = [
        envelope.seal(envelope.new_key(), header, b"{}"),
        envelope.seal(guest.event_key, other, b"{}"),
        envelope.seal(guest.command_key, header, b"{}"),
        envelope.seal(guest.event_key, dataclasses.replace(header, direction="down"), b"{}"),
        envelope.seal(guest.event_key, dataclasses.replace(header, method="prepare"), b"{}"),
    ]
    sealed = [
        envelope.seal(guest.event_key, dataclasses.replace(header, method=method), body)
        for method in ("hb", "result", "log")
        for body in BODIES
    ]
    return [*_messages([*NOT_EVEN_ENVELOPES, *unsealed, *sealed]), *_odd_properties()]


def commands(guest: GuestIdentity) -> list[amqp.Message]:
    """Return what the guest's agent cannot do, although some of it is under the right key."""
    key = guest.command_key
    header = _header(guest, envelope.DOWN, "ping")
    sealed = [
        envelope.seal(envelope.new_key(), header, b"{}"),
        envelope.seal(key, dataclasses.replace(header, instance="0" * 36), b"{}"),
        envelope.seal(key, dataclasses.replace(header, direction="up"), b"{}"),
        envelope.seal(key, dataclasses.replace(header, command="../../../etc/passwd"), b"{}"),
        envelope.seal(key, dataclasses.replace(header, command=""), b"{}"),
        envelope.seal(key, dataclasses.replace(header, command="x.1", method="__init__"), b"{}"),
        *(
            envelope.seal(
                key, dataclasses.replace(header, command=f"x.{method}.{n}", method=method), b
            )
            for method in ("prepare", "grow_volume", "enable_root", "introduce")
            for n, b in enumerate(BODIES)
        ),
    ]
    return [*_messages([*NOT_EVEN_ENVELOPES, *sealed]), *_odd_properties()]


def wakes() -> list[amqp.Message]:
    """Return what is no wake, in the dialect of oslo.messaging and in none."""
    arguments: tuple[Any, ...] = (
        None, 7, "", [], {}, {"a": 1}, "x" * 100_000, "\0", "no-such-operation", "\u2028",
    )  # fmt: skip
    calls: list[object] = [
        *({"method": "wake", "args": {"operation_id": given}} for given in arguments),
        {"method": "wake", "args": {}},
        {"method": "wake", "args": {"operation_id": "a", "more": 1}},
        {"method": "wake"},
        {"method": "sleep", "args": {}},
        {"method": "__init__", "args": {}},
        {"args": {"operation_id": "a"}},
        {"method": "wake", "args": {"operation_id": "a"}, "version": "99.0"},
        {"method": "wake", "args": {"operation_id": "a"}, "namespace": "elsewhere"},
        [],
        "text",
        None,
    ]
    wrapped = [
        json.dumps({"oslo.version": "2.0", "oslo.message": json.dumps(call)}) for call in calls
    ]
    others = [
        "", "{", "null", "[]", "7", '"text"', "{}", NESTED,
        '{"oslo.version": "9.0", "oslo.message": "{}"}',
        '{"oslo.version": "2.0"}', '{"oslo.version": "2.0", "oslo.message": "{"}',
        '{"oslo.version": "2.0", "oslo.message": 7}',
    ]  # fmt: skip
    kind = {"content_type": "application/json", "content_encoding": "utf-8"}
    return [
        *(amqp.Message(text, **kind) for text in [*wrapped, *others]),
        amqp.Message(b"\xff\xfe", **kind),
        amqp.Message(b"\x80\x04K\x01.", content_type="application/x-python-serialize"),
        amqp.Message(b"text", content_type="of/no-kind"),
        *_odd_properties(),
    ]


def _header(guest: GuestIdentity, direction: str, method: str) -> Header:
    return Header(
        v=envelope.VERSION,
        instance=guest.instance_id,
        key=guest.key_id,
        direction=direction,
        command="",
        epoch=1,
        boot=1,
        seq=1,
        sent=time.time(),
        method=method,
    )


def _messages(bodies: list[bytes]) -> list[amqp.Message]:
    return [amqp.Message(body) for body in bodies if len(body) <= envelope.MAX_MESSAGE]


def _odd_properties() -> list[amqp.Message]:
    return [
        amqp.Message(b"\xff\xfe", content_encoding="utf-8"),
        amqp.Message(b"abc", content_encoding="of-no-kind", content_type="nonsense"),
        amqp.Message(b"abc", application_headers={"a": {"b": [1, None, "c" * 1000]}}),
        amqp.Message(b"abc", application_headers={"CC": ["guest-events-0"], "x-death": 1}),
        amqp.Message(b"abc", reply_to="x", correlation_id="y", message_id="z", expiration="60000"),
        amqp.Message(b"abc", priority=255, delivery_mode=2, type="t", app_id="a"),
    ]
