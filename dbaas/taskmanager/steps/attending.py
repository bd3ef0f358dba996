"""Waiting for what takes a guest long, and giving it meanwhile what it needs to go on."""

from collections.abc import Callable
from typing import TypeVar

from dbaas.catalog import guests
from dbaas.catalog.guests import Report
from dbaas.contract import errors
from dbaas.contract.messages import GrantRenewal, Progress
from dbaas.taskmanager.flow import Wait
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox

T = TypeVar("T")

LOOK = 2.0
"""Seconds between two looks at how far it has come."""

SILENCE = 120.0
"""Seconds without a heartbeat after which a guest is given up: nothing goes on in it."""


class Silent(errors.Failed):
    """A guest was given up: it did not say what became of what it was asked for."""


Renew = Callable[[str, Progress], GrantRenewal | None]
"""Returns what the command of this id gets; None where it needs nothing."""


def answer(ask: Callable[[], T], instance_id: str, renew: Renew, tools: Toolbox) -> T:
    """Return what `ask`, a journalled call, gives; raise `Silent` for a guest that went silent."""
    try:
        return ask()
    except Wait as wait:
        _attend(instance_id, renew, tools)
        raise Wait(min(wait.seconds, LOOK)) from None
    except errors.Unavailable:
        # Who was given up is told to stop, and that is what interrupts the call.
        _report(instance_id, tools)
        raise


def _report(instance_id: str, tools: Toolbox) -> Report:
    """Return what the guest said of its commands; raise `Silent`."""
    services: Services = tools.services
    report = services.catalog.read(lambda unit: guests.progress(unit, instance_id))
    for command in tools.outstanding():
        # One that was sent just now cannot have been heard of; the broker may have been away.
        if report.silence > SILENCE and command.age > LOOK:
            raise Silent(f"The guest has said nothing for {SILENCE:.0f} seconds: it was given up.")
    return report


def _attend(instance_id: str, renew: Renew, tools: Toolbox) -> None:
    report = _report(instance_id, tools)
    for command in tools.outstanding():
        progress = report.progress.get(command.id)
        if progress is None or not progress.wants:
            continue
        renewal = renew(command.id, progress)
        if renewal is not None:
            tools.tell(instance_id, "renew_grant", renewal, f"grant{progress.wants}")
