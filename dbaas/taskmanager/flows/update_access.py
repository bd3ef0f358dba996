"""From where an instance can be reached, changed while it runs."""

from dataclasses import dataclass

from dbaas.catalog import instances
from dbaas.contract import errors
from dbaas.contract.operations import LedgerKind, Operation
from dbaas.contract.requests import Reach, UpdateAccess
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import cloud
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Update:
    instance_id: str
    request: UpdateAccess


def begin(op: Operation, request: UpdateAccess) -> Update:
    return Update(op.instance_id, request)


def apply_new_access(op: Update, tools: Toolbox) -> None:
    _apply(op, op.request.new, tools)


def apply_old_access(op: Update, tools: Toolbox) -> None:
    _apply(op, op.request.old, tools)


def record_access(op: Update, tools: Toolbox) -> None:
    new = op.request.new
    tools.write(lambda unit: instances.set_access(unit, op.instance_id, new))
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.UPDATED))


def _apply(op: Update, reach: Reach, tools: Toolbox) -> None:
    name, networks = tools.name_of(op.instance_id, LedgerKind.PORT), tools.cloud.networks
    tools.effect(lambda: networks.set_reach(name, reach))
    port = networks.find_port(name)
    if port is None:
        raise errors.Failed("The instance's port is gone.")
    cloud.show_addresses(op.instance_id, port, tools)


UPDATE_ACCESS = Flow(
    "update_access",
    UpdateAccess,
    Update,
    begin,
    (
        Step(apply_new_access, undo=apply_old_access),
        Step(record_access),
    ),
)
