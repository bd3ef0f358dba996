from collections.abc import Iterator, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.strategies import sealed

KEY = Secret("5e" * 32)
BACKUP = "b0e1d5a2-3b1b-4a51-8c0a-2f6a6b6b9a01"

CONTENTS = st.lists(st.binary(max_size=40), max_size=6)


def stream(contents: Sequence[bytes], key: Secret = KEY, backup: str = BACKUP) -> bytes:
    return b"".join(sealed.seal(key, backup, contents))


def pieces(data: bytes, cuts: Sequence[int]) -> Iterator[bytes]:
    """Yield the data cut at these places, each piece in a buffer that is used again."""
    begin = 0
    for end in sorted({min(cut, len(data)) for cut in cuts} | {len(data)}):
        buffer = bytearray(data[begin:end])
        yield memoryview(buffer)  # type: ignore[misc]  # bytes in another form
        buffer[:] = bytes(len(buffer))
        begin = end


def opened(data: bytes, cuts: Sequence[int] = (), backup: str = BACKUP, key: Secret = KEY) -> bytes:
    return b"".join(sealed.unseal(key, backup, pieces(data, cuts)))


@given(CONTENTS, st.lists(st.integers(0, 400), max_size=8))
def test_what_was_sealed_comes_back_wherever_it_was_cut(
    contents: list[bytes], cuts: list[int]
) -> None:
    assert opened(stream(contents), cuts) == b"".join(contents)


@given(CONTENTS, st.data())
def test_a_changed_bit_anywhere_is_noticed(contents: list[bytes], data: st.DataObject) -> None:
    changed = bytearray(stream(contents))
    at = data.draw(st.integers(0, len(changed) - 1))
    changed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(errors.Failed, match=BACKUP):
        opened(bytes(changed))


@given(CONTENTS, st.data())
def test_a_missing_end_is_noticed(contents: list[bytes], data: st.DataObject) -> None:
    whole = stream(contents)
    with pytest.raises(errors.Failed, match="cut off"):
        opened(whole[: data.draw(st.integers(0, len(whole) - 1))])


@given(CONTENTS, st.binary(min_size=1, max_size=60))
def test_what_follows_the_end_is_noticed(contents: list[bytes], more: bytes) -> None:
    with pytest.raises(errors.Failed, match="goes on after its end"):
        opened(stream(contents) + more)


def frames(data: bytes, count: int) -> tuple[bytes, list[bytes]]:
    """Return the header, and the frames of contents of one byte each, with the last one."""
    head, size = 8 + 2 + len(BACKUP) + 16, 5 + 12 + 1 + 16
    body = data[head:]
    return data[:head], [body[size * i : size * (i + 1)] for i in range(count + 1)]


@pytest.mark.parametrize("order", [(1, 0, 2), (0, 2), (0, 0, 2), (0, 1, 1, 2), (1, 2), (2,)])
def test_frames_that_are_exchanged_repeated_or_left_out_are_noticed(order: Sequence[int]) -> None:
    header, each = frames(stream([b"a", b"b"]), 2)
    assert opened(header + b"".join(each)) == b"ab"
    with pytest.raises(errors.Failed, match="damaged in its frame"):
        opened(header + b"".join(each[i] for i in order))


def test_a_frame_of_another_attempt_at_the_same_backup_is_noticed() -> None:
    header, each = frames(stream([b"a", b"b"]), 2)
    _, others = frames(stream([b"a", b"b"]), 2)
    with pytest.raises(errors.Failed, match="damaged in its frame 1"):
        opened(header + each[0] + others[1] + each[2])


def test_another_backup_s_stream_is_told_so() -> None:
    other = "00000000-3b1b-4a51-8c0a-2f6a6b6b9a01"
    with pytest.raises(errors.Failed, match="is another backup's"):
        opened(stream([b"a"], backup=other))


def test_a_stream_under_another_key_is_refused() -> None:
    with pytest.raises(errors.Failed, match="damaged in its frame 0"):
        opened(stream([b"a"]), key=Secret("00" * 32))


def test_what_is_yielded_before_the_damage_is_as_it_was() -> None:
    header, each = frames(stream([b"a", b"b"]), 2)
    found = sealed.unseal(KEY, BACKUP, [header + each[0] + bytes(40)])
    assert next(found) == b"a"
    with pytest.raises(errors.Failed):
        next(found)


@pytest.mark.parametrize("key", ["", "5e" * 31, "zz" * 32])
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(errors.Invalid, match="64 hexadecimal digits"):
        stream([], key=Secret(key))


def test_the_stream_tells_nothing_of_its_content() -> None:
    assert b"secret" not in stream([b"secret" * 20])
    assert stream([b"a"]) != stream([b"a"])
