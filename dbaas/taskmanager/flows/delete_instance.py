"""Everything that an instance has goes; there is no way back."""

from dataclasses import dataclass

from dbaas.catalog import archives, guests, instances
from dbaas.contract import errors
from dbaas.contract.operations import Operation
from dbaas.contract.requests import DeleteInstance
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import HOUR, Flow, Step, Unreachable
from dbaas.taskmanager.steps import bus, cloud, storing
from dbaas.taskmanager.steps.storing import Storing
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Deletion:
    instance_id: str


def begin(op: Operation, _request: DeleteInstance) -> Deletion:
    return Deletion(op.instance_id)


def give_guest_up(op: Deletion, tools: Toolbox) -> None:
    """From here on nobody makes again what the broker has for the guest."""
    tools.write(lambda unit: guests.gone(unit, op.instance_id))


def record_deletion(op: Deletion, tools: Toolbox) -> None:
    """Forget the guest, and give back what the instance took of its project's quota."""
    tools.write(lambda unit: instances.bury(unit, op.instance_id))  # first: no archive begins then
    tools.write(lambda unit: archives.end(unit, op.instance_id))  # with what the guest said last
    tools.write(lambda unit: guests.remove(unit, op.instance_id))


_GONE = (
    Step(give_guest_up, pivot=True),
    Step(cloud.delete_server),
    Step(cloud.delete_volume),
    Step(cloud.delete_ports),
    Step(bus.remove_bus_objects),
    Step(record_deletion),
)

DELETE_INSTANCE = Flow(
    "delete_instance",
    DeleteInstance,
    Deletion,
    begin,
    _GONE,
    unreachable=Unreachable.GO_ON,
    ends_guest=True,
)


@dataclass
class LastDays(Storing, Deletion):
    """The same after a last backup."""


def begin_with_backup(op: Operation, request: DeleteInstance) -> LastDays:
    if request.final_backup is None:
        raise errors.Failed("There is no backup to be taken first.")
    return LastDays(op.instance_id, request.final_backup)


def show_instance_deleting(op: LastDays, tools: Toolbox) -> None:
    storing.record_backup(op, tools)
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.DELETE))


BACK_UP_AND_DELETE_INSTANCE = Flow(
    "back_up_and_delete_instance",
    DeleteInstance,
    LastDays,
    begin_with_backup,
    (
        *storing.STORE,
        Step(show_instance_deleting),
        *_GONE,
    ),
    deadline=storing.PATIENCE + 6 * HOUR,
    unreachable=Unreachable.GO_ON,
)
"""Without a backup nothing is deleted: the instance goes on then, and says why."""
