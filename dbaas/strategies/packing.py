"""How streams are packed: by zstd, at the level that a database server beside it bears."""

import re

from dbaas.contract import errors

PACK = ("zstd", "-1", "-T2", "-c", "-v", "-v", "--no-progress")
"""Verbose enough to say how many bytes went in."""
UNPACK = ("zstd", "-d", "-c", "-q")

_SUMMARY = re.compile(r"\((\d+) B =>\s*\d+ B")


def packed(said: str) -> int:
    """Return how many bytes were packed, by what zstd says in the end; 0 if it does not say it."""
    found = _SUMMARY.findall(said)
    return int(found[-1]) if found else 0


UNPACKERS = {"zst": UNPACK, "gz": ("gzip", "-d", "-c")}


def packed_with(ending: str) -> str:
    """Return how a plain stream of this name's ending is packed; raise `Unsupported`."""
    kinds = {".xbstream.gz": "gz", ".xbstream.zst": "zst"}
    if ending not in kinds:
        raise errors.Unsupported(
            f"a stream whose name ends in {ending[:32]!r} cannot be restored: only"
            f" {' or '.join(kinds)} can"
        )
    return kinds[ending]
