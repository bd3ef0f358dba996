"""Shows what was measured: a table for people, one line of JSON for programs."""

import argparse
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from tests.functional.stack import Stack

Row = dict[str, Any]


def stack_of_arguments(purpose: str) -> Stack:
    """Return the stack whose directory the command line names; it must be up."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--dir", type=Path, default=Path(".run"), help="The stack's directory.")
    return Stack(parser.parse_args().dir.resolve())


def show(title: str, rows: Sequence[Row]) -> None:
    load = os.getloadavg()[0]
    table = Table(*rows[0], title=f"{title} (load of the host: {load:.1f})")
    for row in rows:
        table.add_row(*(_text(value) for value in row.values()))
    Console(width=120).print(table)
    measured = {"what": title, "load": round(load, 1), "rows": rows}
    Console(soft_wrap=True, highlight=False).print(json.dumps(measured), markup=False)


def _text(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
