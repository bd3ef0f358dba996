"""An operation as the catalog keeps it and a task manager carries it on.

Shared by the catalog (which stores it), the task manager (which moves it) and the API (which shows
it). Ages and delays are seconds; moments stay in the database, which alone has a clock.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class State(StrEnum):
    """Where an operation is. *Runnable* covers waiting: it has a time at which it is looked at."""

    RUNNABLE = "runnable"
    PARKED = "parked"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.ABANDONED)


class Phase(StrEnum):
    DO = "do"
    UNDO = "undo"


class StepState(StrEnum):
    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


@dataclass(frozen=True)
class Position:
    """How far an operation has come; `attempt` counts from 1 within a step and phase."""

    phase: Phase = Phase.DO
    step: int = 0
    attempt: int = 1
    pivoted: bool = False
    """Whether the step of no return was begun."""


@dataclass(frozen=True)
class Claim:
    """The right to carry an operation on, until the lease ends or another epoch begins."""

    operation_id: str
    epoch: int
    takeover: bool = False
    """Whether an earlier owner stopped without releasing it: what it did last is unknown."""


@dataclass(frozen=True)
class Fault:
    """Why something failed: the error's class by name, and texts for a tenant and an operator."""

    kind: str
    message: str
    details: str = ""


@dataclass(frozen=True)
class CommandRecord:
    """A journalled call. `age`: since it was last published; `left`: until nobody waits for it."""

    id: str
    instance_id: str
    method: str
    digest: str
    answered: bool
    result: Any
    age: float
    left: float


@dataclass(frozen=True)
class LedgerEntry:
    """An object that may exist outside the catalog. `tried_age`: since its last create, if any."""

    name: str
    kind: str
    external_id: str
    tried_age: float | None
    new: bool = False
    """Whether nobody can have tried to make it yet: the entry was written just now."""


@dataclass(frozen=True)
class Made:
    """It is known now that the object of this name exists, and under which id."""

    name: str
    external_id: str


@dataclass(frozen=True)
class Gone:
    """It is known now that the object of this name does not exist, and will not."""

    name: str


Fact = Made | Gone
"""What was learnt about the world: it is written with whatever is journalled next."""


@dataclass(frozen=True)
class Operation:
    """What a runner needs to carry an operation on."""

    id: str
    kind: str
    instance_id: str
    project_id: str
    user_id: str
    request_id: str
    position: Position
    request: Any
    """The request as JSON; secrets are sealed."""
    data: Any
    """The flow's own journalled dataclass as JSON; None before the first step."""
    started: bool
    superseded: bool
    """Whether another operation waits for its end."""
    predecessor_ended: bool
    wakes: int
    step_left: float | None
    """Seconds until the deadline of the step; None before it has one."""
    left: float | None
    """Seconds until the deadline of the whole operation."""
    fault: Fault | None = None
    """Why it is undone, or was parked before."""
    age: float = 0.0
    """Seconds since it was accepted."""
    commands: Mapping[str, CommandRecord] = field(default_factory=dict)
    superseder: str = ""
    """The kind of the operation that waits for its end, if any."""


class LedgerKind(StrEnum):
    """What leaves a trace outside the catalog."""

    BUS = "bus"
    PORT = "port"
    MANAGEMENT_PORT = "management_port"
    VOLUME = "volume"
    SERVER = "server"


ROLES: Mapping[LedgerKind, str] = {
    LedgerKind.BUS: "bus",
    LedgerKind.PORT: "port",
    LedgerKind.MANAGEMENT_PORT: "mgmt",
    LedgerKind.VOLUME: "vol",
    LedgerKind.SERVER: "srv",
}


def object_name(instance_id: str, kind: LedgerKind, generation: int) -> str:
    """Return the deterministic name under which an object is made and found again."""
    return f"dbaas-{instance_id}-{ROLES[kind]}{generation}"
