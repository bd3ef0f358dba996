"""What an instance shows after an operation that did not end well.

None of this may fail, whatever the instance's status: the operation could not end then.
"""

from dbaas.catalog import instances
from dbaas.catalog.unit import Unit
from dbaas.contract import errors
from dbaas.contract.operations import Fault, Operation
from dbaas.contract.states import Event
from dbaas.taskmanager.journal import Write


class InstanceEndings:
    """Moves the instance's status and gives it the fault; it is the same for every flow."""

    def failed(self, op: Operation, fault: Fault) -> list[Write]:
        return [_blaming(op, fault, Event.UNDONE)]

    def parked(self, op: Operation, fault: Fault) -> list[Write]:
        return [_blaming(op, fault, Event.PARK)]


def _blaming(op: Operation, fault: Fault, event: Event) -> Write:
    def write(unit: Unit) -> None:
        try:
            instances.happened(unit, op.instance_id, event)
        except errors.NotFound:  # it was deleted meanwhile: nobody looks at it any more
            return
        instances.blame(unit, op.instance_id, _explained(op, fault, event), fault.details)

    return write


def _explained(op: Operation, fault: Fault, event: Event) -> str:
    what = op.kind.replace("_", " ")
    if event is Event.PARK:
        advice = (
            f"It stopped half way (operation {op.id}): delete the instance, or ask the operator to "
            "retry or abandon the operation."
        )
    else:
        advice = f"What it had done was undone (operation {op.id})."
    reason = fault.message.strip()
    if not reason.endswith((".", "!", "?")):  # a database server's own words, mostly
        reason += "."
    return f"Could not {what}: {reason} {advice}"
