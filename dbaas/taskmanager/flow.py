"""What a flow is: a list of steps over plain, journalled data."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any, Generic, TypeVar

from dbaas.contract.operations import Operation

HOUR = 3600.0

D = TypeVar("D")


class Wait(BaseException):
    """Raised by a step that must wait; no `except Exception` may eat it.

    The step runs again after `seconds`, or sooner if something it waits for happens.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


@dataclass(frozen=True)
class Step:
    """One thing that is done, and how it is undone. Both may run twice, or half.

    `deadline`: seconds for which what may be retried is retried.
    """

    function: Callable[[Any, Any], None]
    undo: Callable[[Any, Any], None] | None = None
    pivot: bool = False
    """No way back once this was tried: failures are retried, then parked, never undone."""
    deadline: float = HOUR

    @property
    def name(self) -> str:
        return self.function.__name__


class Unreachable(Enum):
    """What to do about a guest that does not even say whether it has stopped."""

    GO_ON = "go on: the server is deleted anyway"
    PARK = "park: a human has to look"


@dataclass(frozen=True)
class Flow(Generic[D]):
    """An operation as steps. `begin` makes the data from the operation and its typed request."""

    kind: str
    request: type
    data: type[D]
    begin: Callable[[Operation, Any], D]
    steps: tuple[Step, ...]
    deadline: float = 6 * HOUR
    unreachable: Unreachable = Unreachable.PARK
    moves_instance: bool = True
    """Whether a failure shows on the instance, as its status and its fault."""
    ends_guest: bool = False
    """Whether the guest's server goes before all else: what the guest is at does not matter."""
