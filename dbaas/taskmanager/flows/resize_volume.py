"""The data volume grows while the database server goes on serving."""

from dataclasses import dataclass

from dbaas.catalog import instances
from dbaas.contract import errors
from dbaas.contract.messages import VolumeGrowth
from dbaas.contract.operations import LedgerKind, Operation
from dbaas.contract.requests import ResizeVolume
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import cloud
from dbaas.taskmanager.toolbox import Toolbox

GIB = 1024**3


@dataclass
class Growth:
    instance_id: str
    old_gib: int
    new_gib: int


def begin(op: Operation, request: ResizeVolume) -> Growth:
    return Growth(op.instance_id, request.old_gib, request.new_gib)


def extend_volume(op: Growth, tools: Toolbox) -> None:
    name = tools.name_of(op.instance_id, LedgerKind.VOLUME)
    volumes = tools.cloud.volumes
    volume = volumes.find_volume(name)
    if volume is None:
        raise errors.Failed("The instance's volume is gone.")
    if volume.size_gib < op.new_gib:
        volume = tools.effect(lambda: volumes.extend_volume(name, op.new_gib))
    cloud.expect_volume(volume.state, tools)


def keep_what_grew(op: Growth, tools: Toolbox) -> None:
    """A volume never shrinks: account for the size that it has, and give back the rest."""
    volume = tools.cloud.volumes.find_volume(tools.name_of(op.instance_id, LedgerKind.VOLUME))
    size_gib = op.old_gib if volume is None else max(op.old_gib, volume.size_gib)
    tools.write(lambda unit: instances.settle_volume(unit, op.instance_id, size_gib))


def grow_file_system(op: Growth, tools: Toolbox) -> None:
    tools.guest(op.instance_id).grow_volume(VolumeGrowth(op.new_gib * GIB))


def record_size(op: Growth, tools: Toolbox) -> None:
    tools.write(lambda unit: instances.settle_volume(unit, op.instance_id, op.new_gib))
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.RESIZED))


RESIZE_VOLUME = Flow(
    "resize_volume",
    ResizeVolume,
    Growth,
    begin,
    (
        Step(extend_volume, undo=keep_what_grew),
        Step(grow_file_system, pivot=True),
        Step(record_size),
    ),
)
