"""What happens to a guest, or in it: how each fault begins, and how it is over again."""

import os
import signal
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from dbaas.cloud.local import faults
from dbaas.cloud.local.faults import Way
from dbaas.cloud.local.namespaces import VOLUME
from dbaas.contract.operations import LedgerKind
from dbaas.guestagent.service import STATE
from tests.functional.guest import AGENT, SERVER, Guest

BALLAST = f"{VOLUME}/ballast"


@dataclass(frozen=True)
class Fault:
    """`seconds`: from its begin to its end; 0.0 for what is over at once."""

    name: str
    begin: Callable[[Guest], None]
    end: Callable[[Guest], None] = lambda _guest: None
    seconds: float = 0.0

    def __str__(self) -> str:
        return self.name if not self.seconds else f"{self.name} for {self.seconds:.0f} s"


def _server(guest: Guest) -> str:
    return guest.name(LedgerKind.SERVER)


def _fill_volume(guest: Guest) -> None:
    """Take every byte: most of it at once, and the last blocks one by one."""
    most = f"$(( $(df -BM --output=avail {VOLUME} | tr -dc 0-9) - 8 ))MiB"
    last = f"dd if=/dev/zero of={BALLAST}.last bs=4k || true"
    guest.run("sh", "-c", f"fallocate -l {most} {BALLAST}; {last}")


def _empty_volume(guest: Guest) -> None:
    guest.run("sh", "-c", f"rm -f {BALLAST} {BALLAST}.last")


def _fill_state(guest: Guest) -> None:
    """Let the agent be unable to write: over each of its directories is a disk that is full."""
    where = f"{STATE}/$d"
    each = f"mkdir -p {where}; mount -t tmpfs -o size=4k full {where}; echo > {where}/ballast"
    guest.run("sh", "-c", f"for d in accepted unsent sent begun; do {each}; done")


def _empty_state(guest: Guest) -> None:
    guest.run("sh", "-c", f"for d in accepted unsent sent begun; do umount -l {STATE}/$d; done")


def _garble_journal(guest: Guest) -> None:
    """Have the agent come back to a disk that forgot what was in its newest files."""
    journal = f"find {STATE} -mindepth 2 -type f -exec truncate -s 0 {{}} +"
    guest.run("sh", "-c", f"{journal}; truncate -s 0 {STATE}/boot")
    guest.kill(AGENT)


def _signal_engine(number: signal.Signals) -> Callable[[Guest], None]:
    def send(guest: Guest) -> None:
        for pid in guest.processes(SERVER):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    return send


KILLED = Fault("the guest is killed", lambda guest: faults.kill(guest.cloud, _server(guest)))
FROZEN = Fault(
    "the guest hangs",
    lambda guest: faults.freeze(guest.cloud, _server(guest)),
    lambda guest: faults.thaw(guest.cloud, _server(guest)),
    20.0,
)
UNPLUGGED = Fault(
    "the guest is cut off",
    lambda guest: faults.link_down(guest.cloud, _server(guest)),
    lambda guest: faults.link_up(guest.cloud, _server(guest)),
    20.0,
)
DEAF = Fault(
    "all packets to the guest are lost",
    lambda guest: faults.drop(guest.cloud, _server(guest), Way.TO_GUEST),
    lambda guest: faults.drop_nothing(guest.cloud, _server(guest)),
    20.0,
)
MUTE = Fault(
    "all packets from the guest are lost",
    lambda guest: faults.drop(guest.cloud, _server(guest), Way.FROM_GUEST),
    lambda guest: faults.drop_nothing(guest.cloud, _server(guest)),
    20.0,
)
VOLUME_FULL = Fault("the volume is full", _fill_volume, _empty_volume, 15.0)
STATE_FULL = Fault("the agent's own disk is full", _fill_state, _empty_state, 15.0)
JOURNAL_LOST = Fault("the agent dies and its newest files are empty", _garble_journal)
ENGINE_KILLED = Fault("the database server is killed", _signal_engine(signal.SIGKILL))
ENGINE_HUNG = Fault(
    "the database server hangs",
    _signal_engine(signal.SIGSTOP),
    _signal_engine(signal.SIGCONT),
    20.0,
)
