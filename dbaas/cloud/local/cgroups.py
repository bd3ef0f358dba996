"""Limits of memory, cpu and processes, and freezing, by control groups: version 1, 2, or none.

Kernel documentation: admin-guide/cgroup-v1 and admin-guide/cgroup-v2. On a hybrid host the
controllers are those of version 1. Where a host lets us have none of a kind, that limit is not
there: a container with a read-only view of them still runs guests.
"""

import errno
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from dbaas.cloud.base import Flavor
from dbaas.contract import errors

PROCESSES = 8192
"""Processes and threads in a guest: an engine may have a thread per connection."""

CPU_PERIOD = 100_000
"""Microseconds over which a guest's share of the cpus is counted."""

REMOVE_TIMEOUT = 5.0

MIB = 1024 * 1024

_CONTROLLERS = ("memory", "cpu", "pids", "freezer")


@dataclass(frozen=True)
class Hierarchies:
    """Where this host's controllers are mounted; `unified` when version 2 has them."""

    split: dict[str, Path]
    unified: Path | None = None


def detect(mounts: str | None = None) -> Hierarchies:
    """Read /proc/mounts, or what is given in its place."""
    split: dict[str, Path] = {}
    unified: Path | None = None
    for line in (mounts or Path("/proc/mounts").read_text()).splitlines():
        _, target, kind, options, *_ = line.split()
        if kind == "cgroup":
            split |= {name: Path(target) for name in _CONTROLLERS if name in options.split(",")}
        elif kind == "cgroup2":
            unified = Path(target)
    if split:
        return Hierarchies(split)
    return Hierarchies({}, unified)


class Groups:
    """The control groups of one deployment's guests, each under the deployment's own."""

    def __init__(self, deployment: str, hierarchies: Hierarchies | None = None) -> None:
        self._parent = f"dbaas-{deployment}"
        self._at = hierarchies or detect()

    def make(self, name: str, flavor: Flavor) -> list[str]:
        """Make a guest's groups with its limits; return the files that a process joins them by.

        May be repeated, with another flavor too.
        """
        made = []
        for directory, limits in self._wanted(name, flavor):
            if not _made(directory):
                continue
            for file, value in limits:
                _write(directory / file, value)
            made.append(str(directory / "cgroup.procs"))
        return made

    def change(self, name: str, flavor: Flavor) -> None:
        """Give a running guest other limits.

        What of its memory can be freed is freed first; raise `Unavailable` when it still uses more
        than it is to have. No process is killed for it.
        """
        if self._at.unified:
            group = self._at.unified / self._parent / name
            self._squeeze(group, flavor.ram_mib * MIB)
            self.make(name, flavor)
            _write(group / "memory.high", "max")
            return
        if "memory" in self._at.split:
            limit = self._at.split["memory"] / self._parent / name / "memory.limit_in_bytes"
            try:
                limit.write_text(str(flavor.ram_mib * MIB))
            except OSError as error:
                if error.errno == errno.EBUSY:  # cgroup-v1/memory, 2.2: what is left is in use
                    raise _too_much() from error
        self.make(name, flavor)

    def _squeeze(self, group: Path, ram: int) -> None:
        """Have version 2 free memory: above `high` it reclaims, where above `max` it would kill."""
        _write(group / "memory.high", str(ram))
        used = group / "memory.current"
        if used.exists() and int(used.read_text()) > ram:
            _write(group / "memory.high", "max")
            raise _too_much()

    def _wanted(
        self, name: str, flavor: Flavor
    ) -> Iterable[tuple[Path, tuple[tuple[str, str], ...]]]:
        ram = str(flavor.ram_mib * MIB)
        quota = str(flavor.vcpus * CPU_PERIOD)
        if self._at.unified:
            self._delegate(self._at.unified)
            limits = (
                ("memory.max", ram),
                ("memory.swap.max", "0"),
                ("cpu.max", f"{quota} {CPU_PERIOD}"),
                ("pids.max", str(PROCESSES)),
            )
            yield self._at.unified / self._parent / name, limits
            return
        by_controller = {
            "memory": (
                ("memory.limit_in_bytes", ram),
                ("memory.memsw.limit_in_bytes", ram),
                ("memory.limit_in_bytes", ram),  # may only grow to what the line above allows
            ),
            "cpu": (("cpu.cfs_period_us", str(CPU_PERIOD)), ("cpu.cfs_quota_us", quota)),
            "pids": (("pids.max", str(PROCESSES)),),
            "freezer": (),
        }
        for controller, root in self._at.split.items():
            yield root / self._parent / name, by_controller[controller]

    def _delegate(self, root: Path) -> None:
        for directory in (root, root / self._parent):
            if not _made(directory):
                return
            for controller in ("memory", "cpu", "pids"):
                _write(directory / "cgroup.subtree_control", f"+{controller}")

    def remove(self, name: str) -> None:
        """Remove a guest's groups; its processes are gone."""
        deadline = time.monotonic() + REMOVE_TIMEOUT
        for directory in self._directories(name):
            while directory.exists():
                try:
                    directory.rmdir()
                except OSError:  # the kernel still counts the dead
                    if time.monotonic() > deadline:
                        raise
                    time.sleep(0.002)

    def remove_parent(self) -> None:
        """Remove the deployment's own groups, when no guest has one any more."""
        for directory in self._directories(""):
            with suppress(OSError):
                directory.rmdir()

    def freeze(self, name: str, frozen: bool) -> None:
        """Stop every process of a guest where it is, or let it go on. May be repeated."""
        if self._at.unified:
            file, word = self._at.unified / self._parent / name / "cgroup.freeze", str(int(frozen))
        elif "freezer" in self._at.split:
            directory = self._at.split["freezer"] / self._parent / name
            file, word = directory / "freezer.state", "FROZEN" if frozen else "THAWED"
        else:
            raise errors.Unsupported("this host has no control group that freezes")
        if file.exists():
            file.write_text(word)
        elif frozen:
            raise errors.NotFound(f"{name} has no control group")

    def thaw_if_frozen(self, name: str) -> None:
        """A frozen process would not die when it is killed (version 1)."""
        if self._at.unified or "freezer" in self._at.split:
            self.freeze(name, frozen=False)

    def _directories(self, name: str) -> list[Path]:
        roots = [self._at.unified] if self._at.unified else self._at.split.values()
        return [root / self._parent / name for root in roots if root]


def _too_much() -> errors.Unavailable:
    return errors.Unavailable("The server uses more memory than it would have.")


def _made(directory: Path) -> bool:
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:  # a container's read-only view of them
        return False
    return True


def _write(file: Path, value: str) -> None:
    """Set what can be set: a host may lack swap accounting, or a controller."""
    with suppress(OSError):
        file.write_text(value)
