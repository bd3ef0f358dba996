"""From an accepted request to a database server that answers."""

from dataclasses import dataclass, field

from dbaas.catalog import guests, instances
from dbaas.contract.messages import ArchiveReplay, Health, Restored, RestorePart, ServerCertificate
from dbaas.contract.operations import Operation
from dbaas.contract.requests import CreateInstance
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import HOUR, Flow, Step, Unreachable
from dbaas.taskmanager.steps import building, restoring
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Creation:
    """Plain data, journalled after every step."""

    instance_id: str
    request: CreateInstance
    address: str = ""
    address6: str = ""
    public_address: str = ""
    certificate: ServerCertificate | None = None
    health: Health | None = None


@dataclass
class Restoration(Creation):
    """The same with what it begins with."""

    parts: tuple[RestorePart, ...] = field(default=())
    replay: ArchiveReplay | None = None
    restored: Restored | None = None


def begin(op: Operation, request: CreateInstance) -> Creation:
    return Creation(op.instance_id, request)


def begin_restoration(op: Operation, request: CreateInstance) -> Restoration:
    return Restoration(op.instance_id, request)


def show_instance_active(op: Creation, tools: Toolbox) -> None:
    health = op.health
    if health is not None:
        tools.write(lambda unit: guests.reported(unit, op.instance_id, health))
    tools.write(lambda unit: instances.became_ready(unit, op.instance_id))
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.PREPARED))


CREATE_INSTANCE = Flow(
    "create_instance",
    CreateInstance,
    Creation,
    begin,
    (*building.BUILD, Step(building.prepare_database), Step(show_instance_active)),
    unreachable=Unreachable.GO_ON,  # a failure undoes, and that deletes the server
)

RESTORE_INSTANCE = Flow(
    "restore_instance",
    CreateInstance,
    Restoration,
    begin_restoration,
    (
        *building.BUILD,
        Step(restoring.open_backups),
        Step(restoring.restore_data, deadline=restoring.PATIENCE),
        Step(building.prepare_database),
        Step(show_instance_active),
    ),
    deadline=restoring.PATIENCE + 2 * HOUR,
    unreachable=Unreachable.GO_ON,
)
"""The same, on what backups hold."""
