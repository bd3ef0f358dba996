"""The database server is stopped and started; its guest stays up."""

from dataclasses import dataclass

from dbaas.catalog import guests, instances
from dbaas.contract.messages import Health
from dbaas.contract.operations import Operation
from dbaas.contract.requests import RestartInstance
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Restart:
    instance_id: str
    health: Health | None = None


def begin(op: Operation, _request: RestartInstance) -> Restart:
    return Restart(op.instance_id)


def restart_database(op: Restart, tools: Toolbox) -> None:
    op.health = tools.guest(op.instance_id).restart()


def show_instance_active(op: Restart, tools: Toolbox) -> None:
    health = op.health
    if health is not None:
        tools.write(lambda unit: guests.reported(unit, op.instance_id, health))
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.RESTARTED))


RESTART_INSTANCE = Flow(
    "restart_instance",
    RestartInstance,
    Restart,
    begin,
    (
        Step(restart_database, pivot=True),
        Step(show_instance_active),
    ),
)
