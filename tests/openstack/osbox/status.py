"""Shows what runs in the box, and how much memory it takes."""

import sys
from pathlib import Path

from dbaas.contract import errors
from dbaas.manage.stack import processes
from dbaas.manage.stack.supervisor import Supervisor
from tests.openstack.osbox.place import HOME


def show() -> None:
    """Write a line for every program and the guests; raise `Unavailable` when one does not run."""
    states = Supervisor(HOME).states().values()
    total = 0
    for state in states:
        usage = processes.usage(state.pid) if state.pid else processes.NOTHING
        total += usage.memory
        _line(state.name, state.state, usage.memory)
    guests = [processes.usage(pid).memory for pid in _guests()]
    _line("guests", f"{len(guests)} run", sum(guests))
    _line("all", "", total + sum(guests))
    if missing := [state.name for state in states if not state.runs]:
        raise errors.Unavailable(f"not running: {', '.join(missing)}")


def _line(name: str, state: str, memory: int) -> None:
    sys.stdout.write(f"{name:22} {state:10} {memory / (1 << 20):8.0f} MiB\n")


def _guests() -> list[int]:
    """Return the qemu processes: by their command, since libvirt starts them to be on their own."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            program = path.read_bytes().split(b"\0")[0]
        except OSError:  # it has ended meanwhile
            continue
        if b"qemu-system" in program:
            found.append(int(path.parent.name))
    return found
