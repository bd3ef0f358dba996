"""A backup of an instance, taken while its database server goes on serving."""

from dbaas.catalog import instances
from dbaas.contract.operations import Operation
from dbaas.contract.requests import CreateBackup
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import HOUR, Flow, Step, Unreachable
from dbaas.taskmanager.steps import storing
from dbaas.taskmanager.steps.storing import Storing
from dbaas.taskmanager.toolbox import Toolbox


def begin(op: Operation, request: CreateBackup) -> Storing:
    return Storing(op.instance_id, request)


def show_instance_active(op: Storing, tools: Toolbox) -> None:
    storing.record_backup(op, tools)
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.BACKED_UP))


CREATE_BACKUP = Flow(
    "create_backup",
    CreateBackup,
    Storing,
    begin,
    (*storing.STORE, Step(show_instance_active)),
    deadline=storing.PATIENCE + HOUR,
    unreachable=Unreachable.GO_ON,  # what it may still store is swept when its leave has ended
)
