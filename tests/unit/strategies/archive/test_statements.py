"""Where long statements of a log are cut."""

import io
import struct
import zlib

import pytest

from dbaas.contract import errors
from dbaas.strategies.archive import statements
from dbaas.strategies.archive.events import HEADER, MAGIC, Kind

ROWS = 23
BEGIN = (Kind.GTID, b"begin")
END = (Kind.XID, b"end")


def table(name: bytes) -> tuple[int, bytes]:
    return Kind.TABLE_MAP, bytes(8) + b"\4shop\0" + bytes([len(name)]) + name + b"\0and more"


TABLE = table(b"table")


def rows(content: bytes, flags: int = 0) -> tuple[int, bytes]:
    return ROWS, bytes(6) + struct.pack("<H", flags) + content


def log(*events: tuple[int, bytes]) -> bytes:
    """Return a log with checksums."""
    head = (Kind.DESCRIPTION, b"how it is written" + b"\1")
    written = b"".join(_event(*each) for each in (head, *events))
    return MAGIC + written


def _event(kind: int, body: bytes) -> bytes:
    size = HEADER.size + len(body) + 4
    made = HEADER.pack(1000, kind, 1, size, 0, 0) + body
    return made + struct.pack("<I", zlib.crc32(made))


def shortened(content: bytes, most: int = 100) -> bytes:
    return b"".join(statements.shortened(io.BytesIO(content), most))


def test_a_long_statement_becomes_several_that_each_know_their_tables() -> None:
    x = b"x" * 60
    other = table(b"other")
    before = log(BEGIN, TABLE, other, rows(x), rows(x), rows(x, 2), rows(x), rows(x, 1), END)
    after = log(
        *(BEGIN, TABLE, other, rows(x), rows(x, 1)),
        *(TABLE, other, rows(x, 2), rows(x, 1)),
        *(TABLE, other, rows(x, 1), END),
    )
    assert shortened(before) == after


def test_short_ones_stay_as_they_are() -> None:
    x = b"x" * 60
    one = (BEGIN, TABLE, rows(x, 1), TABLE, rows(x), rows(x, 1), END)
    content = log(*one * 20_000)
    assert shortened(content, 1000) == content


def test_an_event_of_any_length_is_one() -> None:
    content = log(BEGIN, TABLE, rows(b"x" * (5 << 20), 1), END)
    assert shortened(content) == content


def test_a_log_that_is_cut_off_is_refused() -> None:
    with pytest.raises(errors.Failed, match="cut off"):
        shortened(log(BEGIN, TABLE)[:-1])
