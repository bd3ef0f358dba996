"""Shows operations and instances to a person at a terminal."""

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

from rich.console import Console
from rich.table import Column, Table
from rich.text import Text

WIDE = 240
"""Characters of a line for whoever is no terminal: a program needs whole ids."""

SELDOM = 2.0
"""Seconds between two lines that say how far something is."""

OUT = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
ERR = Console(stderr=True, highlight=False)

Json = dict[str, Any]


def live(indent: str = "  ") -> Callable[[Json], None]:
    """Return what prints each step of an operation when it is done, with the seconds it took.

    Of a long one it prints, every few seconds, how far a guest is.
    """
    shown: set[tuple[str, str]] = set()
    last = told = time.monotonic()

    def seen(operation: Json) -> None:
        nonlocal last, told
        work = operation.get("work")
        if work and time.monotonic() - told >= SELDOM:
            told = time.monotonic()
            OUT.print(f"{indent}{indent}{progress(work)}", markup=False)
        for step in operation["steps"]:
            key = (step["name"], step["state"])
            if step["state"] in ("done", "failed", "undone") and key not in shown:
                shown.add(key)
                now = time.monotonic()
                note = "" if step["state"] == "done" else f"  {step['state']}: {step['message']}"
                words = step["name"].replace("_", " ")
                OUT.print(f"{indent}{words:28} {now - last:6.3f} s{note}", markup=False)
                last = now

    return seen


def progress(work: Json) -> str:
    """Return in words what an operation says of its guest's work."""
    done = f"{work['bytes'] / 1e6:,.1f} MB"
    if work["total_bytes"]:
        done = f"{work['percent']:5.1f} %  {done} of about {work['total_bytes'] / 1e6:,.1f} MB"
    return f"{done}, {work['rate_mb_s']} MB/s"


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    shown = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        shown.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    OUT.print(shown)
