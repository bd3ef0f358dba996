"""What an instance's engine logs is archived from now on, or not any more.

The same carries an archive on: a guest whose leave ends gets another, and one whose stream broke
gets a new one.
"""

import secrets
from dataclasses import dataclass

from dbaas.catalog import archive_bases, archives, instances
from dbaas.catalog.archives import StreamRecord
from dbaas.contract import archives as names
from dbaas.contract import errors
from dbaas.contract.messages import ArchiveOrder, Grant
from dbaas.contract.operations import Operation
from dbaas.contract.requests import SetArchiving
from dbaas.contract.secret import Secret
from dbaas.engines import manifests
from dbaas.taskmanager.flow import HOUR, Flow, Step, Unreachable
from dbaas.taskmanager.steps import streams
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox

GRANTED = 6 * HOUR
"""Seconds for which a guest may add to a stream; it gets more long before."""
AHEAD = 512
"""Objects for which a guest has leave in advance, where each needs its own."""
SMALL_MIB, SMALL_PIECE, PIECE = 2048, 4 << 20, 16 << 20
"""Below so much memory a guest's pieces are smaller: it has a few times one in memory."""


@dataclass
class Archiving:
    instance_id: str
    request: SetArchiving
    operation_id: str
    project_id: str
    user_id: str
    stream: str = ""
    reached: int = 0
    key: Secret | None = None
    grant: Grant | None = None
    piece_size: int = PIECE


def begin(op: Operation, request: SetArchiving) -> Archiving:
    return Archiving(op.instance_id, request, op.id, op.project_id, op.user_id)


def prepare_stream(op: Archiving, tools: Toolbox) -> None:
    """Have a stream that goes on, and leave for the guest to add to it."""
    if not op.request.enabled:
        return
    services: Services = tools.services
    before = services.catalog.read(lambda unit: archives.live(unit, op.instance_id))
    is_broken = before is not None and before.report is not None and before.report.ended
    engine, ram_mib = services.catalog.read(lambda unit: archives.source(unit, op.instance_id))
    now = _new_stream(op, services, engine) if before is None or is_broken else before
    vault = services.vault(now.storage)
    place = streams.place(now)
    tools.effect(lambda: vault.ensure(place))
    op.stream = now.id
    op.key = services.sealer.show(now.data_key)
    op.reached = now.report.sequence if now.report else 0
    op.piece_size = SMALL_PIECE if ram_mib < SMALL_MIB else PIECE
    wanted = [names.single_name(op.reached + number) for number in range(1, AHEAD + 1)]
    op.grant = vault.grant(place, "PUT", wanted, GRANTED)
    stream = now
    # An instance that was deleted meanwhile has none: nobody would ever end it.
    tools.write(lambda unit: instances.lock(unit, op.instance_id))
    tools.write(lambda unit: archives.end(unit, op.instance_id, keep=stream.id))
    tools.write(lambda unit: archives.add(unit, stream, op.operation_id, op.user_id))
    tools.write(lambda unit: archives.granted(unit, stream.id, GRANTED))
    if before is not None and is_broken:
        tools.write(lambda unit: archive_bases.note_gap(unit, stream.id, before))


def _new_stream(op: Archiving, services: Services, engine: str) -> StreamRecord:
    """Return one under this operation's id: the same, if this runs again."""
    storage = services.storage
    return StreamRecord(
        id=op.operation_id,
        instance_id=op.instance_id,
        project_id=op.project_id,
        strategy=manifests.archive(engine),
        storage=storage,
        account=services.vault(storage).account(op.project_id),
        container=services.archives,
        data_key=services.sealer.hide(Secret(secrets.token_hex(32))),
        live=True,
        report=None,
    )


def tell_guest(op: Archiving, tools: Toolbox) -> None:
    services: Services = tools.services
    engine, _ = services.catalog.read(lambda unit: archives.source(unit, op.instance_id))
    if op.stream and (op.key is None or op.grant is None):
        raise errors.Failed("The archive has no place to go to.")
    tools.guest(op.instance_id).archive(
        ArchiveOrder(
            strategy=manifests.archive(engine),
            instance=op.instance_id,
            stream=op.stream,
            key=op.key,
            grant=op.grant,
            piece_size=op.piece_size,
            reached=op.reached,
        )
    )


def record_archiving(op: Archiving, tools: Toolbox) -> None:
    """Note, where it is switched off, how far it came."""
    if not op.request.enabled:
        tools.write(lambda unit: archives.end(unit, op.instance_id))


SET_ARCHIVING = Flow(
    "set_archiving",
    SetArchiving,
    Archiving,
    begin,
    (
        Step(prepare_stream, deadline=HOUR / 4),
        Step(tell_guest, deadline=HOUR / 4),
        Step(record_archiving),
    ),
    deadline=HOUR,
    unreachable=Unreachable.GO_ON,  # it is told again when it is heard
    moves_instance=False,
)
