"""What is left of a backup that failed, or was deleted, goes; nobody can write more by then."""

from dataclasses import dataclass

from dbaas.catalog import backups
from dbaas.contract.operations import Operation
from dbaas.contract.requests import SweepBackup
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import sweeping
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Sweep:
    backup_id: str


def begin(_op: Operation, request: SweepBackup) -> Sweep:
    return Sweep(request.backup_id)


def delete_leftovers(op: Sweep, tools: Toolbox) -> None:
    sweeping.delete_objects(op.backup_id, tools)
    tools.write(lambda unit: backups.swept(unit, op.backup_id))


SWEEP_BACKUP = Flow(
    "sweep_backup",
    SweepBackup,
    Sweep,
    begin,
    (Step(delete_leftovers),),
    moves_instance=False,
)
