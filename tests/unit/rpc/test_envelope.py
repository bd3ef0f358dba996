import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header

KEY = envelope.new_key()
HEADER = Header(
    v=1,
    instance="7b1d2f6e-3b8e-4b54-9e1b-6a8fd5c7d111",
    key="k1",
    direction=envelope.UP,
    command="",
    epoch=0,
    boot=3,
    seq=14,
    sent=1.5e9,
    method="hb",
)


def _with_header(**changes: object) -> bytes:
    head = json.dumps(dataclasses.asdict(HEADER) | changes).encode()
    return len(head).to_bytes(4) + head + bytes(28)


def test_what_was_sealed_is_unsealed_with_its_header() -> None:
    message = envelope.seal(KEY, HEADER, b"body")
    assert envelope.peek(message) == HEADER
    assert envelope.unseal(KEY, message) == (HEADER, b"body")
    assert b"body" not in message


def test_two_messages_with_the_same_content_differ() -> None:
    assert envelope.seal(KEY, HEADER, b"") != envelope.seal(KEY, HEADER, b"")


def test_another_key_is_refused() -> None:
    message = envelope.seal(KEY, HEADER, b"body")
    with pytest.raises(errors.Forbidden):
        envelope.unseal(envelope.new_key(), message)


@pytest.mark.parametrize("position", [10, 40, -1, -20])
def test_a_changed_byte_is_refused(position: int) -> None:
    message = bytearray(envelope.seal(KEY, HEADER, b"body"))
    message[position] ^= 1
    with pytest.raises(errors.Error):
        envelope.unseal(KEY, bytes(message))


def test_a_header_of_another_message_is_refused() -> None:
    other = dataclasses.replace(HEADER, seq=15)
    mine = envelope.seal(KEY, HEADER, b"body")
    theirs = envelope.seal(KEY, other, b"body")
    size = 4 + int.from_bytes(mine[:4])
    with pytest.raises(errors.Forbidden):
        envelope.unseal(KEY, theirs[:size] + mine[size:])


@given(st.binary(max_size=300))
def test_rubbish_is_invalid(message: bytes) -> None:
    with pytest.raises(errors.Invalid):
        envelope.peek(message)


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": True},
        {"boot": -1},
        {"boot": 1 << 63},
        {"boot": 1.0},
        {"seq": "1"},
        {"sent": float("nan")},
        {"sent": float("inf")},
        {"sent": None},
        {"instance": "x" * 37},
        {"command": "é"},
        {"method": ["hb"]},
        {"more": 1},
        {"command": "x" * 1024},
    ],
    ids=str,
)
def test_a_header_that_does_not_fit_is_invalid(changes: dict[str, object]) -> None:
    with pytest.raises(errors.Invalid):
        envelope.peek(_with_header(**changes))


def test_a_header_without_a_field_is_invalid() -> None:
    head = json.dumps({"v": 1}).encode()
    with pytest.raises(errors.Invalid):
        envelope.peek(len(head).to_bytes(4) + head + bytes(28))


def test_too_long_a_message_is_neither_sealed_nor_read() -> None:
    with pytest.raises(errors.Invalid):
        envelope.seal(KEY, HEADER, bytes(envelope.MAX_MESSAGE))
    with pytest.raises(errors.Invalid):
        envelope.peek(bytes(envelope.MAX_MESSAGE + 1))


def test_a_key_is_256_bits_in_hexadecimal() -> None:
    assert len(bytes.fromhex(KEY.reveal())) == 32
    for key in ("", "ab", "x" * 64):
        with pytest.raises(errors.Invalid):
            envelope.seal(Secret(key), HEADER, b"")
