"""Everything that an instance has goes; there is no way back."""

from dataclasses import dataclass

from dbaas.catalog import guests, instances
from dbaas.contract.operations import Operation
from dbaas.contract.requests import DeleteInstance
from dbaas.taskmanager.flow import Flow, Step, Unreachable
from dbaas.taskmanager.steps import bus, cloud
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
    tools.write(lambda unit: guests.remove(unit, op.instance_id))
    tools.write(lambda unit: instances.bury(unit, op.instance_id))


DELETE_INSTANCE = Flow(
    "delete_instance",
    DeleteInstance,
    Deletion,
    begin,
    (
        Step(give_guest_up, pivot=True),
        Step(cloud.delete_server),
        Step(cloud.delete_volume),
        Step(cloud.delete_ports),
        Step(bus.remove_bus_objects),
        Step(record_deletion),
    ),
    unreachable=Unreachable.GO_ON,
    ends_guest=True,
)
