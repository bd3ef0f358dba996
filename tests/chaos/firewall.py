"""Ports that nobody reaches any more, of a stack in a network namespace of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

_TABLE = "inet chaos"


class Verdict(StrEnum):
    """What becomes of packets, of open connections too."""

    REFUSED = "reject with tcp reset"
    DROPPED = "drop"


@contextmanager
def closed(verdict: Verdict, *ports: int) -> Iterator[None]:
    """Let nobody reach these TCP ports of this host, from itself or from guests."""
    listed = ", ".join(str(port) for port in ports)
    _nft(
        f"table {_TABLE} {{ chain input {{ type filter hook input priority -200; "
        f"tcp dport {{ {listed} }} {verdict}; }}; }}"
    )
    try:
        yield
    finally:
        _nft(f"delete table {_TABLE}")


def _nft(script: str) -> None:
    subprocess.run(["nft", "-f", "-"], input=script, text=True, check=True)
