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

OUT = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
ERR = Console(stderr=True, highlight=False)

Json = dict[str, Any]


def live(indent: str = "  ") -> Callable[[Json], None]:
    """Return what prints each step of an operation when it is done, with the seconds it took."""
    shown: set[tuple[str, str]] = set()
    last = time.monotonic()

    def seen(operation: Json) -> None:
        nonlocal last
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


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    shown = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        shown.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    OUT.print(shown)
