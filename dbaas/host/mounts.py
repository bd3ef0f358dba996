"""What is mounted where, as this process sees it."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """`number`: the file system's device as `major:minor`; `source`: what was mounted."""

    number: str
    source: Path


def at(path: Path) -> Mount | None:
    """Return what is mounted at exactly this path, the topmost where there are several.

    proc_pid_mountinfo(5): field 3 is the device, 5 the path; the source follows a lone hyphen.
    """
    found = None
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        fields, _, rest = line.partition(" - ")
        _, _, number, _, where, *_ = fields.split()
        if where == str(path):
            found = Mount(number, Path(rest.split()[1]))
    return found
