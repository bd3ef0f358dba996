"""What failed or deleted backups may have left in the storage: operations that sweep it.

They come when no grant for a backup's objects is good any more: nothing can be added after them.
"""

from dbaas.catalog import backups, operations
from dbaas.catalog.unit import Unit
from dbaas.common.sealing import Sealer
from dbaas.contract.requests import SweepBackup

BATCH = 100


def sweep(unit: Unit, sealer: Sealer) -> None:
    """Ask for the sweep of each backup that needs one, and has none yet."""
    for backup in backups.unswept(unit, BATCH):
        operation_id = operations.accept(
            unit,
            operations.Request(
                kind=backups.SWEEP,
                instance_id=backup.instance_id or "",
                project_id=backup.project_id,
                user_id=backup.user_id,
                request_id="",
                body=SweepBackup(backup.id),
            ),
            sealer,
        )
        backups.in_hand(unit, backup.id, operation_id)
