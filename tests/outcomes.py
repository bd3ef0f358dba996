"""What tests learn about faults, and the page `docs/reliability.md` that tells it.

A test tells what became of a fault by the fixture `tell`. All of it is printed after the last
test, and appended as lines of JSON to the file that `DBAAS_OUTCOMES` names. The page is written
from such a file, `docs/reliability.jsonl`: see `python -m tests.outcomes --help`.
"""

import argparse
import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

VARIABLE = "DBAAS_OUTCOMES"

_DOCS = Path(__file__).parents[1] / "docs"
RECORDED, PAGE = _DOCS / "reliability.jsonl", _DOCS / "reliability.md"


class Part(StrEnum):
    """Where faults happen, in the order of the page."""

    KILL_POINTS = "Kill points"
    SERVICES = "Our own processes"
    SEVERAL = "Several of each"
    BROKER = "Broker"
    CATALOG = "Catalog"
    CLOCK = "Clocks"
    MESSAGES = "Messages"
    GUESTS = "Guests"
    BACKUPS = "Backups"
    OPERATORS = "Operators' mistakes"
    SCHEDULES = "Random schedules"
    HOSTILE = "A hostile guest"
    QUOTA = "Quota"
    CLOUD = "On a real OpenStack"


@dataclass(frozen=True)
class Outcome:
    """`seconds`: until all was as it would be without the fault, of the slowest it touched."""

    part: Part
    fault: str
    result: str
    seconds: float | None = None

    def __str__(self) -> str:
        after = "" if self.seconds is None else f" ({self.seconds:.1f} s)"
        return f"{self.part}: {self.fault}: {self.result}{after}"


class Tell(Protocol):
    """The fixture `tell`: what went wrong, and what happened then, each without a full stop."""

    def __call__(
        self, part: Part, fault: str, result: str, seconds: float | None = None, /
    ) -> None: ...


def record(outcome: Outcome) -> None:
    """Append it to the file that the environment names, if any."""
    if path := os.environ.get(VARIABLE):
        with Path(path).open("a") as file:
            file.write(json.dumps(dataclasses.asdict(outcome), ensure_ascii=False) + "\n")


def recorded(lines: Iterable[str]) -> list[Outcome]:
    """Return what was recorded; of what was told more than once, the last."""
    told = [json.loads(line) for line in lines]
    by_fault = {
        (one["part"], one["fault"]): Outcome(**one | {"part": Part(one["part"])}) for one in told
    }
    return list(by_fault.values())


def page(outcomes: Iterable[Outcome]) -> str:
    """Return the page as Markdown."""
    told = list(outcomes)
    text = [
        "# Reliability",
        "",
        "What happens when something breaks, and how long it takes until all is well again. The",
        "tests wrote this page: each row is what one of them did and saw, on two cores with a real",
        "broker, catalog and guests, in runs of the chaos suite. The lease of an operation",
        "was 2 s (15 s by default): a dead task manager's work is taken over after that.",
        "",
        "To write it anew: `rm docs/reliability.jsonl`, run `tox -e chaos` with",
        f"`{VARIABLE}` naming that file, and then `python -m tests.outcomes`.",
    ]
    for part in Part:
        rows = [outcome for outcome in told if outcome.part is part]
        if rows:
            text += ["", f"## {part}", "", "| what goes wrong | what happens | seconds |"]
            text += ["| --- | --- | ---: |", *(_row(outcome) for outcome in rows)]
    return "\n".join([*text, ""])


def _row(outcome: Outcome) -> str:
    seconds = "" if outcome.seconds is None else f"{outcome.seconds:.1f}"
    cells = (outcome.fault, outcome.result, seconds)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(
        description="Write docs/reliability.md from what was recorded."
    )
    parser.parse_args()
    PAGE.write_text(page(recorded(RECORDED.read_text().splitlines())))


if __name__ == "__main__":
    main()
