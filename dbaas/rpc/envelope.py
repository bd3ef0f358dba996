"""Seals what travels between the control plane and a guest: one key per guest and direction.

A message is the length of its header (4 bytes, big-endian), the header (JSON), a nonce of 12 bytes
and the body under AES-256-GCM, with the header's bytes as associated data: who reads the header
before the key is known reads what the key confirms or refutes. Nonces are random, never counted: a
guest that is rolled back to a snapshot would count the same numbers twice.
"""

import functools
import json
import math
import os
import secrets
from dataclasses import asdict, dataclass, fields
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dbaas.contract import errors
from dbaas.contract.secret import Secret

VERSION = 1
DOWN = "down"
"""From the control plane to the guest."""
UP = "up"
"""From the guest to the control plane."""
CONTACT = "contact"
"""The id of the key of first contact; every other key id comes with an `Introduction`."""

MAX_MESSAGE = 1 << 20
"""Bytes of a whole message: what the broker lets through."""
MAX_HEADER = 1024

_NONCE = 12
_TAG = 16
_KEY = 32
_LIMIT = 1 << 63
_LENGTHS = {"instance": 36, "key": 16, "direction": 4, "command": 120, "method": 64, "request": 64}
"""Characters that the texts of a header may have."""


@dataclass(frozen=True)
class Header:
    """What everyone may read and only the key's owners can write."""

    v: int
    instance: str
    key: str
    """Id of the key that sealed the message."""
    direction: str
    command: str
    """Id of the command that this is or answers; empty for other events."""
    epoch: int
    boot: int
    """How often the agent has started; 0 on the way down."""
    seq: int
    """Counts the events of one boot from 1; 0 on the way down."""
    sent: float
    """Seconds since 1970 on the sender's clock."""
    method: str
    request: str = ""
    """Id of the request that a command comes from: a guest's log lines are found by it, too."""


_KINDS = {field.name: field.type for field in fields(Header)}


def new_key() -> Secret:
    """Return a key: 256 random bits as 64 hexadecimal digits."""
    return Secret(secrets.token_hex(_KEY))


def seal(key: Secret, header: Header, body: bytes) -> bytes:
    """Return the message that says `body`; raise `Invalid` when it would be too long."""
    head = json.dumps(asdict(header), separators=(",", ":")).encode()
    nonce = os.urandom(_NONCE)
    sealed = _cipher(key).encrypt(nonce, body, head)
    message = len(head).to_bytes(4) + head + nonce + sealed
    if len(head) > MAX_HEADER or len(message) > MAX_MESSAGE:
        raise errors.Invalid(f"a message of {len(message)} bytes is too long")
    return message


def peek(message: bytes) -> Header:
    """Return the header as it claims to be; raise `Invalid` when it is not one."""
    if len(message) > MAX_MESSAGE:
        raise errors.Invalid(f"a message of {len(message)} bytes is too long")
    return _header(message[4 : _end_of_header(message)])


def unseal(key: Secret, message: bytes, peeked: Header | None = None) -> tuple[Header, bytes]:
    """Return header and body; raise `Forbidden` when they were not sealed under `key`.

    `peeked` is what `peek` gave for this very message, where it is at hand.
    """
    header = peeked or peek(message)
    end = _end_of_header(message)
    try:
        body = _cipher(key).decrypt(
            message[end : end + _NONCE], message[end + _NONCE :], message[4:end]
        )
    except InvalidTag:
        raise errors.Forbidden("the message was not sealed under this key") from None
    return header, body


def _end_of_header(message: bytes) -> int:
    size = int.from_bytes(message[:4])
    if not 0 < size <= MAX_HEADER or len(message) < 4 + size + _NONCE + _TAG:
        raise errors.Invalid("the message is not an envelope")
    return 4 + size


def _header(head: bytes) -> Header:
    try:
        data = json.loads(head)
    except (ValueError, RecursionError):
        raise errors.Invalid("the header is not JSON") from None
    if not isinstance(data, dict) or data.keys() != _KINDS.keys():
        raise errors.Invalid("the header lacks fields, or has others")
    for name, value in data.items():
        if not _fits(name, value):
            raise errors.Invalid(f"the header's {name} is wrong")
    return Header(**data)


def _fits(name: str, value: Any) -> bool:
    kind = _KINDS[name]
    if kind is str:
        return isinstance(value, str) and value.isascii() and len(value) <= _LENGTHS[name]
    if kind is int:
        return type(value) is int and 0 <= value < _LIMIT and (name != "v" or value == VERSION)
    return type(value) in (int, float) and 0 <= value < _LIMIT and math.isfinite(value)


@functools.lru_cache(maxsize=16384)
def _cipher(key: Secret) -> AESGCM:
    """Making a cipher costs more than using it."""
    try:
        raw = bytes.fromhex(key.reveal())
    except ValueError:
        raw = b""
    if len(raw) != _KEY:
        raise errors.Invalid("a key has 64 hexadecimal digits")
    return AESGCM(raw)
