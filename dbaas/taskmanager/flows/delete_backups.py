"""Backups go: their objects first, then their rows, and each gives back what it took."""

import functools
from dataclasses import dataclass

from dbaas.catalog import backups
from dbaas.contract.operations import Operation
from dbaas.contract.requests import DeleteBackups
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import sweeping
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Deletion:
    backup_ids: tuple[str, ...]


def begin(_op: Operation, request: DeleteBackups) -> Deletion:
    return Deletion(request.backup_ids)


def delete_objects(op: Deletion, tools: Toolbox) -> None:
    for backup_id in op.backup_ids:
        sweeping.delete_objects(backup_id, tools)


def record_deletion(op: Deletion, tools: Toolbox) -> None:
    for backup_id in op.backup_ids:
        tools.write(functools.partial(backups.bury, backup_id=backup_id))


DELETE_BACKUPS = Flow(
    "delete_backups",
    DeleteBackups,
    Deletion,
    begin,
    (Step(delete_objects), Step(record_deletion)),
    moves_instance=False,
)
