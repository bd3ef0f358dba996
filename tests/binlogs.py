"""MariaDB's binary log as a server writes it, for tests of who reads it; without checksums."""

import struct
from pathlib import Path

from dbaas.strategies.archive.binlog import INDEX
from dbaas.strategies.archive.events import HEADER, MAGIC, Kind

ROWS = 23
FILE = "binlog.000001"


def event(kind: int, body: bytes, stamp: int = 1000) -> bytes:
    return HEADER.pack(stamp, kind, 1, HEADER.size + len(body), 0, 0) + body


def transaction(size: int, stamp: int = 1000) -> bytes:
    """Return one of about this size."""
    begin = event(Kind.GTID, struct.pack("<QIB", 1, 0, 0), stamp)
    return begin + event(ROWS, b"x" * size, stamp) + event(Kind.XID, bytes(8), stamp)


def begin(directory: Path, content: bytes = b"") -> Path:
    """Have a log of one file there, which has this after its description; return the file."""
    (directory / INDEX).write_text(f"./{FILE}\n")
    description = event(Kind.DESCRIPTION, b"how it is written" + bytes(5), 990)
    (directory / FILE).write_bytes(MAGIC + description + content)
    return directory / FILE
