"""Archives: what an engine logs, kept outside of it, so that any second can be gone back to.

An archive is a row of streams. A stream has no gap: where something is missing, it has ended, and
the next one begins. Its objects are numbered from 1. Small ones in a row are merged into one after
a while, and a restore takes whichever are there.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dbaas.contract import errors

_INSTANCES = "log-"
_SINGLE = re.compile(r"\d{10}")
_MERGED = re.compile(r"(\d{10})-(\d{10})")


def prefix(instance_id: str, stream: str) -> str:
    """Return what the names of all objects of a stream begin with."""
    return f"{_INSTANCES}{instance_id}/{stream}/"


def instance_of(group: str) -> str | None:
    """Return whose archive is below a name up to its first slash; None: it is none."""
    return group.removeprefix(_INSTANCES) if group.startswith(_INSTANCES) else None


@dataclass(frozen=True, order=True)
class Run:
    """Numbers in a row: each an object of its own, or all of them in one."""

    first: int
    last: int
    merged: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """Of its objects, below the stream's prefix."""
        if self.merged:
            return (merged_name(self.first, self.last),)
        return tuple(single_name(number) for number in range(self.first, self.last + 1))

    @property
    def objects(self) -> "tuple[Run, ...]":
        """Return the run as runs of one object each."""
        if self.merged:
            return (self,)
        return tuple(Run(number, number) for number in range(self.first, self.last + 1))


def write_run(run: Run) -> str:
    """Return it as it travels."""
    return f"{'=' if run.merged else ''}{run.first}-{run.last}"


def read_run(text: str) -> Run:
    match = re.fullmatch(r"(=?)(\d{1,10})-(\d{1,10})", text)
    if match is None:
        raise errors.Invalid(f"{text[:32]!r} is no row of objects")
    return Run(int(match[2]), int(match[3]), merged=bool(match[1]))


def single_name(number: int) -> str:
    return f"{number:010d}"


def merged_name(first: int, last: int) -> str:
    return f"{first:010d}-{last:010d}"


def covering(names: Iterable[str], first: int, last: int) -> tuple[Run, ...]:
    """Return objects that hold the numbers from `first` to `last`, each of them once, in order.

    Merged ones are taken first: there are fewer. Raise `Failed` naming a number that is missing.
    """
    merged, single = _sorted(names)
    runs: list[Run] = []
    number = first
    while number <= last:
        if number in merged:
            runs.append(Run(number, merged[number], merged=True))
        elif number in single:
            end = number
            while end < last and end + 1 in single and end + 1 not in merged:
                end += 1
            runs.append(Run(number, end))
        else:
            around = [Run(a, b, merged=True) for a, b in merged.items() if a <= number <= b]
            if not around:
                raise errors.Failed(f"object {single_name(number)} of the archive is missing")
            runs.append(around[0])
        number = runs[-1].last + 1
    return tuple(runs)


def before(names: Iterable[str], first: int) -> tuple[str, ...]:
    """Return the names of objects that hold only numbers before `first`, in order."""
    merged, single = _sorted(names)
    whole = [merged_name(begin, end) for begin, end in merged.items() if end < first]
    return (*sorted(whole), *map(single_name, sorted(n for n in single if n < first)))


MERGED_SIZE = 16 << 20
"""Bytes that an object has at most which was merged."""
MERGED_MOST = 500
"""Objects that one is merged of at most."""


def mergeable(sizes: Mapping[str, int], last: int) -> tuple[Run, ...]:
    """Return rows of objects, each of which is worth being merged into one.

    `sizes`: of a stream's objects, by name; `last`: up to which number. What is large stays.
    """
    found: list[Run] = []
    first, count, size = 0, 0, 0
    numbers = sorted(int(name) for name in sizes if _SINGLE.fullmatch(name) and int(name) <= last)
    for number in [*numbers, last + 2]:
        own = sizes.get(single_name(number), MERGED_SIZE)
        follows = count and number == first + count
        if follows and size + own <= MERGED_SIZE and count < MERGED_MOST:
            count, size = count + 1, size + own
            continue
        if count > 1:
            found.append(Run(first, first + count - 1))
        first, count, size = number, 1, own
    return tuple(found)


def _sorted(names: Iterable[str]) -> tuple[dict[int, int], set[int]]:
    merged: dict[int, int] = {}
    single = set()
    for name in names:
        if _SINGLE.fullmatch(name):
            single.add(int(name))
        elif match := _MERGED.fullmatch(name):
            begin, end = int(match[1]), int(match[2])
            merged[begin] = max(end, merged.get(begin, 0))
    return merged, single
