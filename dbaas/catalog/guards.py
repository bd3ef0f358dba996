"""Whether an instance may be changed now; refusals are in the words that clients know."""

from dbaas.catalog import instances
from dbaas.catalog.records import LockedInstance
from dbaas.catalog.unit import Unit
from dbaas.contract import errors
from dbaas.contract.messages import ServiceStatus
from dbaas.contract.states import HEALTH_WORDS, WORDS, Status

_MANAGEABLE = (
    ServiceStatus.HEALTHY,
    ServiceStatus.RUNNING,
    ServiceStatus.SHUTDOWN,
    ServiceStatus.CRASHED,
)
"""How a database server may be for its instance to be changed."""

_KINDS = {Status.ERROR: "instance", Status.BACKING_UP: "backup"}
"""What it is that stands in the way, where that is no task."""


def check_ready(unit: Unit, instance: LockedInstance) -> None:
    """Raise `Busy` unless the instance may be changed now."""
    status = instance.status
    if status is Status.BUILDING:
        raise errors.Busy(f"Instance {instance.id} is not ready.")
    if status is not Status.ACTIVE:
        word = WORDS[status] if status is Status.BACKING_UP else status
        raise not_available(instance, _KINDS.get(status, "task"), word)
    health = instances.health(unit, instance.id)
    if health not in _MANAGEABLE:
        raise not_available(instance, "instance", HEALTH_WORDS[health])


def not_available(instance: LockedInstance, kind: str, word: str) -> errors.Busy:
    return errors.Busy(
        f"Instance {instance.id} is not currently available for an action to be performed "
        f"({kind} status was {word})."
    )
