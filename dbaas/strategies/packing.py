"""How streams are packed: by zstd, at the level that a database server beside it bears."""

import re

PACK = ("zstd", "-1", "-T2", "-c", "-v", "-v", "--no-progress")
"""Verbose enough to say how many bytes went in."""
UNPACK = ("zstd", "-d", "-c", "-q")

_SUMMARY = re.compile(r"\((\d+) B =>\s*\d+ B")


def packed(said: str) -> int:
    """Return how many bytes were packed, by what zstd says in the end; 0 if it does not say it."""
    found = _SUMMARY.findall(said)
    return int(found[-1]) if found else 0
