"""Whatever was going on was stopped; find out how the instance really is."""

from dataclasses import dataclass

from dbaas.catalog import guests, instances
from dbaas.contract.operations import Operation
from dbaas.contract.requests import ResetStatus
from dbaas.taskmanager.flow import Flow, Step, Unreachable
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Reset:
    instance_id: str


def begin(op: Operation, _request: ResetStatus) -> Reset:
    return Reset(op.instance_id)


def ask_guest_how_it_is(op: Reset, tools: Toolbox) -> None:
    services: Services = tools.services
    if services.catalog.read(lambda unit: instances.is_ready(unit, op.instance_id)):
        health = tools.guest(op.instance_id).ping()
        tools.write(lambda unit: guests.reported(unit, op.instance_id, health))


RESET_STATUS = Flow(
    "reset_status",
    ResetStatus,
    Reset,
    begin,
    (Step(ask_guest_how_it_is),),
    unreachable=Unreachable.GO_ON,  # a guest that does not answer is what this is about
)
