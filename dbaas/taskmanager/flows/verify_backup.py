"""A backup is restored into an instance of its own, read from end to end, and that is thrown away.

That a backup cannot be restored is an answer, not a failure: the operation succeeds in finding out.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from dbaas.catalog import backups, guests, instances
from dbaas.catalog.records import NewInstance
from dbaas.contract import errors
from dbaas.contract.messages import (
    ArchiveReplay,
    DataCheck,
    Health,
    Restored,
    RestorePart,
    ServerCertificate,
)
from dbaas.contract.operations import Operation
from dbaas.contract.requests import CreateInstance, VerifyBackup
from dbaas.taskmanager.flow import HOUR, Flow, Step, Unreachable
from dbaas.taskmanager.steps import attending, building, bus, cloud, restoring
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Verification:
    """`instance_id` is that of the instance made for it."""

    backup_id: str
    instance_id: str
    request: CreateInstance
    address: str = ""
    address6: str = ""
    public_address: str = ""
    certificate: ServerCertificate | None = None
    health: Health | None = None
    parts: tuple[RestorePart, ...] = field(default=())
    replay: ArchiveReplay | None = None
    restored: Restored | None = None
    check: DataCheck | None = None
    complaint: str = ""
    """Why it cannot be restored."""


def begin(_op: Operation, request: VerifyBackup) -> Verification:
    return Verification(request.backup_id, request.scratch_id, request.scratch)


def write_scratch_instance(op: Verification, tools: Toolbox) -> None:
    """Have a row for what is made, so that it is found whatever happens; no tenant pays for it."""
    services: Services = tools.services
    backup = services.catalog.read(lambda unit: backups.show(unit, op.backup_id, None))
    wanted = op.request
    row = NewInstance(
        id=op.instance_id,
        project_id=instances.SCRATCH_PROJECT,
        user_id=backup.user_id,
        name=wanted.name,
        datastore_version_id=backup.version_id,
        flavor_id=wanted.flavor,
        flavor_ram_mib=wanted.flavor_ram_mib,
        volume_gib=wanted.volume_gib,
        volume_type=wanted.volume_type,
        availability_zone=wanted.availability_zone,
        region="",
        access={},
    )
    tools.write(lambda unit: instances.add_scratch(unit, row))


def bury_scratch_instance(op: Verification, tools: Toolbox) -> None:
    tools.write(lambda unit: guests.remove(unit, op.instance_id))
    tools.write(lambda unit: instances.bury_scratch(unit, op.instance_id))


def open_backups(op: Verification, tools: Toolbox) -> None:
    _judge(op, lambda: restoring.open_backups(op, tools))


def restore_data(op: Verification, tools: Toolbox) -> None:
    _judge(op, lambda: restoring.restore_data(op, tools))


def start_database(op: Verification, tools: Toolbox) -> None:
    _judge(op, lambda: building.prepare_database(op, tools))


def read_all_data(op: Verification, tools: Toolbox) -> None:
    def check() -> None:
        op.check = tools.guest(op.instance_id).check_data()

    _judge(op, check)


def _judge(op: Verification, work: Callable[[], None]) -> None:
    """Do it unless it is known by now that the backup is no good; what shows that is noted.

    That a host died shows nothing of the backup.
    """
    if op.complaint:
        return
    try:
        work()
    except (*errors.RETRYABLE, attending.Silent):
        raise
    except errors.Error as error:
        op.complaint = error.text


def give_guest_up(op: Verification, tools: Toolbox) -> None:
    """From here on nobody makes again what the broker has for the guest."""
    tools.write(lambda unit: guests.gone(unit, op.instance_id))


def record_verification(op: Verification, tools: Toolbox) -> None:
    bury_scratch_instance(op, tools)
    restored, check = op.restored, op.check
    found = {
        "restorable": not op.complaint,
        "message": op.complaint or None,
        "restore_seconds": None if restored is None else round(restored.seconds, 1),
        "tables": None if check is None else check.tables,
        "rows": None if check is None else check.rows,
    }
    tools.write(lambda unit: backups.verified(unit, op.backup_id, found))


VERIFY_BACKUP = Flow(
    "verify_backup",
    VerifyBackup,
    Verification,
    begin,
    (
        Step(write_scratch_instance, undo=bury_scratch_instance),
        *building.BUILD,
        Step(open_backups),
        Step(restore_data, deadline=restoring.PATIENCE),
        Step(start_database),
        Step(read_all_data, deadline=restoring.PATIENCE),
        Step(give_guest_up, pivot=True),
        Step(cloud.delete_server),
        Step(cloud.delete_volume),
        Step(cloud.delete_ports),
        Step(bus.remove_bus_objects),
        Step(record_verification),
    ),
    deadline=2 * restoring.PATIENCE + 2 * HOUR,
    unreachable=Unreachable.GO_ON,
    moves_instance=False,
)
