"""What failed and why, in a few lines each: often only the end of a log is read."""

from typing import Protocol

WHERE, BEGIN, END = 6, 6, 2
"""Lines of the way to where it failed, and of what was said there: its begin and its end."""
WIDTH = 300
"""Characters of a line."""


class Report(Protocol):
    """A test's, or that of a module which cannot be read."""

    nodeid: str

    @property
    def longreprtext(self) -> str: ...


def told(report: Report) -> list[str]:
    """Return the lines, from a traceback in pytest's short form."""
    lines = [line[:WIDTH] for line in report.longreprtext.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("E ")]
    where = [line for line in lines if not line.startswith("E ")]
    if len(said) > BEGIN + END:
        said[BEGIN:-END] = [f"E   ({len(said) - BEGIN - END} lines more)"]
    return [f"{report.nodeid}:", *(f"  {line}" for line in (*where[-WHERE:], *said))]
