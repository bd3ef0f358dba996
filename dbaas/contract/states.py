"""The life of an instance: which event leads where, and what a tenant sees of it.

`status` is moved by operations only; `health` is what the guest reports. The words of the API
follow from both, through the rules at the end.
"""

from collections.abc import Mapping
from enum import StrEnum

from dbaas.contract.errors import Busy
from dbaas.contract.messages import ServiceStatus


class Status(StrEnum):
    """What is being done to an instance; kept in the catalog."""

    BUILDING = "BUILDING"
    ACTIVE = "ACTIVE"
    REBOOTING = "REBOOTING"
    RESIZING = "RESIZING"
    UPDATING = "UPDATING"
    BACKING_UP = "BACKING_UP"
    DELETING = "DELETING"
    DELETED = "DELETED"
    ERROR = "ERROR"


class Event(StrEnum):
    """What happens to an instance."""

    PREPARED = "prepare"
    RESTART = "restart"
    RESTARTED = "finish the restart of"
    RESIZE = "resize"
    RESIZED = "finish the resize of"
    UPDATE = "update"
    UPDATED = "finish the update of"
    BACK_UP = "back up"
    BACKED_UP = "finish the backup of"
    DELETE = "delete"
    DELETED = "finish the deletion of"
    UNDONE = "undo the operation on"
    PARK = "park the operation on"
    RESET = "reset the status of"
    WRITE_OFF = "write off"
    """Reset of an instance that never was ready: there is no server to become active again."""


_EVERY = tuple(status for status in Status if status is not Status.DELETED)

MOVES: Mapping[tuple[Status, Event], Status] = {
    (Status.BUILDING, Event.PREPARED): Status.ACTIVE,
    (Status.BUILDING, Event.UNDONE): Status.ERROR,
    (Status.ACTIVE, Event.RESTART): Status.REBOOTING,
    (Status.REBOOTING, Event.RESTARTED): Status.ACTIVE,
    (Status.REBOOTING, Event.UNDONE): Status.ACTIVE,
    (Status.ERROR, Event.RESTARTED): Status.ACTIVE,
    (Status.ACTIVE, Event.RESIZE): Status.RESIZING,
    (Status.RESIZING, Event.RESIZED): Status.ACTIVE,
    (Status.RESIZING, Event.UNDONE): Status.ACTIVE,
    (Status.ERROR, Event.RESIZED): Status.ACTIVE,
    (Status.ERROR, Event.PREPARED): Status.ACTIVE,
    (Status.ACTIVE, Event.UPDATE): Status.UPDATING,
    (Status.UPDATING, Event.UPDATED): Status.ACTIVE,
    (Status.UPDATING, Event.UNDONE): Status.ACTIVE,
    (Status.ERROR, Event.UPDATED): Status.ACTIVE,
    (Status.ACTIVE, Event.BACK_UP): Status.BACKING_UP,
    (Status.BACKING_UP, Event.BACKED_UP): Status.ACTIVE,
    (Status.BACKING_UP, Event.UNDONE): Status.ACTIVE,
    # A superseded operation is undone under the status that its successor has set.
    (Status.ACTIVE, Event.UNDONE): Status.ACTIVE,
    (Status.ERROR, Event.UNDONE): Status.ERROR,
    (Status.DELETING, Event.UNDONE): Status.DELETING,
    (Status.ACTIVE, Event.PARK): Status.ACTIVE,
    (Status.DELETING, Event.DELETED): Status.DELETED,
    (Status.ERROR, Event.DELETED): Status.DELETED,
    **{(status, Event.DELETE): Status.DELETING for status in _EVERY},
    **{
        (status, Event.PARK): Status.ERROR
        for status in (
            Status.BUILDING,
            Status.REBOOTING,
            Status.RESIZING,
            Status.UPDATING,
            Status.BACKING_UP,
            Status.DELETING,
        )
    },
    (Status.ERROR, Event.PARK): Status.ERROR,
    **{(status, Event.RESET): Status.ACTIVE for status in _EVERY},
    **{(status, Event.WRITE_OFF): Status.ERROR for status in _EVERY},
}

WORDS: Mapping[Status, str] = {
    Status.BUILDING: "BUILD",
    Status.ACTIVE: "ACTIVE",
    Status.REBOOTING: "REBOOT",
    Status.RESIZING: "RESIZE",
    Status.UPDATING: "ACTIVE",
    Status.BACKING_UP: "BACKUP",
    Status.DELETING: "SHUTDOWN",
    Status.DELETED: "SHUTDOWN",
    Status.ERROR: "ERROR",
}
"""`status` as the API spells it."""

HEALTH_WORDS: Mapping[ServiceStatus, str] = {
    ServiceStatus.NEW: "NEW",
    ServiceStatus.BUILDING: "BUILD",
    ServiceStatus.HEALTHY: "HEALTHY",
    ServiceStatus.RUNNING: "ACTIVE",
    ServiceStatus.RESTARTING: "RESTARTING",
    ServiceStatus.SHUTDOWN: "SHUTDOWN",
    ServiceStatus.CRASHED: "SHUTDOWN",
    ServiceStatus.FAILED: "FAILED",
    ServiceStatus.UNKNOWN: "ERROR",
    ServiceStatus.GUEST_ERROR: "ERROR",
}
"""A guest's health as the API spells it."""


def after(status: Status, event: Event) -> Status:
    """Return the status that follows; raise `Busy` if the event is not allowed now."""
    try:
        return MOVES[status, event]
    except KeyError:
        raise Busy(f"cannot {event} an instance while it is {WORDS[status]}") from None


def operating_status(status: Status, health: ServiceStatus, silence: float, patience: float) -> str:
    """Return the API's `operating_status`; `silence` is the heartbeat's age in seconds."""
    if status not in (Status.ACTIVE, Status.BACKING_UP):
        return ""
    if silence > patience:
        return "ERROR"
    return HEALTH_WORDS[health]
