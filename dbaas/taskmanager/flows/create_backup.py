"""A backup of an instance, taken while its database server goes on serving."""

from dataclasses import dataclass, field

from dbaas.catalog import instances
from dbaas.contract.messages import Grant, StoredBackup
from dbaas.contract.operations import Operation
from dbaas.contract.requests import CreateBackup
from dbaas.contract.secret import Secret
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import HOUR, Flow, Step, Unreachable
from dbaas.taskmanager.steps import storing
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Backup:
    """What happens when it fails is not in here: whatever the end, the backup's row tells it."""

    instance_id: str
    backup: CreateBackup
    account: str = ""
    key: Secret | None = None
    grant: Grant | None = None
    since: dict[str, str] = field(default_factory=dict)
    marked: dict[str, str] = field(default_factory=dict)
    stored: StoredBackup | None = None
    manifest_sha256: str = ""


def begin(op: Operation, request: CreateBackup) -> Backup:
    return Backup(op.instance_id, request)


def show_instance_active(op: Backup, tools: Toolbox) -> None:
    storing.record_backup(op, tools)
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.BACKED_UP))


CREATE_BACKUP = Flow(
    "create_backup",
    CreateBackup,
    Backup,
    begin,
    (
        Step(storing.prepare_storage, deadline=HOUR / 4),
        Step(storing.take_backup, deadline=storing.PATIENCE),
        Step(storing.see_what_is_stored, deadline=storing.APPEARS),
        Step(storing.store_manifest, deadline=HOUR / 4),
        Step(show_instance_active),
    ),
    deadline=storing.PATIENCE + HOUR,
    unreachable=Unreachable.GO_ON,  # what it may still store is swept when its leave has ended
)
