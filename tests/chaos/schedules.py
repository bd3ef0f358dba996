"""Random schedules: what a tenant asks and what goes wrong when, all from one seed."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from tests.chaos import requests

SLOTS = 3
"""Instances that the tenant has at the most; the first one is never deleted."""

_MEAN_PAUSE = 1.3
"""Seconds between two requests, and between two faults other than kill points."""


class Fault(StrEnum):
    """What goes wrong; `on` says with whom, and `seconds` how long."""

    KILL = "kill a service"
    FREEZE = "freeze a service"
    KILL_AGENT = "kill an agent"
    KILL_ENGINE = "kill an engine"
    CUT_OFF = "cut off a guest"
    FREEZE_GUEST = "freeze a guest"
    KILL_POINT = "arm a kill point"


_WEIGHTS = {
    Fault.KILL: 6,
    Fault.FREEZE: 4,
    Fault.KILL_AGENT: 3,
    Fault.KILL_ENGINE: 1,
    Fault.CUT_OFF: 2,
    Fault.FREEZE_GUEST: 1,
}
_LONGEST = 4.0
_DEADLY = 0.5
_REQUESTS = {
    kind: 1 if kind in ("delete_instance", "reset_status") else 2 for kind in requests.CHANGES
}


@dataclass(frozen=True)
class Event:
    """`at`: seconds from the schedule's begin; `on`: a program, a slot's number, a kill point."""

    at: float
    what: str
    on: str
    seconds: float = 0.0

    def __str__(self) -> str:
        lasting = f" for {self.seconds:.1f} s" if self.seconds else ""
        return f"{self.at:5.1f} s: {self.what}: {self.on}{lasting}"


def schedule(
    seed: int, length: float, programs: Sequence[str], points: Mapping[str, Sequence[object]]
) -> list[Event]:
    """Return the events of `length` seconds, in order: the same ones for the same arguments.

    `points` has the kill points of each kind of request; half of the requests meet one.
    """
    chance = random.Random(seed)  # no secret
    events = [Event(0.0, requests.CREATE, str(slot)) for slot in range(SLOTS)]
    at = 0.0
    while (at := at + chance.expovariate(1 / _MEAN_PAUSE)) < length:
        kind = chance.choices(list(_REQUESTS), list(_REQUESTS.values()))[0]
        if chance.random() < _DEADLY:
            events.append(Event(at, Fault.KILL_POINT, str(chance.choice(points[kind]))))
        events.append(Event(at, kind, str(chance.randrange(SLOTS))))
    at = 0.0
    while (at := at + chance.expovariate(1 / _MEAN_PAUSE)) < length:
        fault = chance.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
        services = fault in (Fault.KILL, Fault.FREEZE)
        on = chance.choice(programs) if services else str(chance.randrange(SLOTS))
        lasts = fault in (Fault.FREEZE, Fault.CUT_OFF, Fault.FREEZE_GUEST)
        events.append(Event(at, fault, on, chance.uniform(0.3, _LONGEST) if lasts else 0.0))
    return sorted(events, key=lambda event: event.at)
