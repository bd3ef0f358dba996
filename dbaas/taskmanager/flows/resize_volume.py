"""The data volume grows, while the database server goes on serving where the cloud can do that.

Where it cannot, the server is stopped for as long as its volume is taken from it and given back.
"""

from dataclasses import dataclass

from dbaas.catalog import guests, instances
from dbaas.cloud.base import Volume, VolumeState
from dbaas.contract import errors
from dbaas.contract.messages import Health, VolumeGrowth
from dbaas.contract.operations import LedgerKind, Operation
from dbaas.contract.requests import ResizeVolume
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import cloud
from dbaas.taskmanager.toolbox import Toolbox

GIB = 1024**3

OFFLINE = (
    "This cloud cannot grow the volume while it is in use: the database server is stopped for as "
    "long as that takes."
)


@dataclass
class Growth:
    instance_id: str
    old_gib: int
    new_gib: int
    offline: bool = False
    """Whether it turned out that the volume cannot grow while it is in use."""
    health: Health | None = None
    """Of the database server, where it was started again."""


def begin(op: Operation, request: ResizeVolume) -> Growth:
    return Growth(op.instance_id, request.old_gib, request.new_gib)


def extend_volume(op: Growth, tools: Toolbox) -> None:
    volume = _volume(op, tools)
    if volume.state is VolumeState.AVAILABLE:
        raise errors.Failed("The instance's volume is not attached to its server.")
    volume = _grown(volume, op, tools)
    if volume.state is VolumeState.GROWS_DETACHED:
        op.offline = True
        tools.say(OFFLINE)
    else:
        cloud.expect_volume(volume.state, tools)


def keep_what_grew(op: Growth, tools: Toolbox) -> None:
    """A volume never shrinks: account for the size that it has, and give back the rest."""
    attach_volume(op, tools)
    volume = tools.cloud.volumes.find_volume(tools.name_of(op.instance_id, LedgerKind.VOLUME))
    size_gib = op.old_gib if volume is None else max(op.old_gib, volume.size_gib)
    tools.write(lambda unit: instances.settle_volume(unit, op.instance_id, size_gib))


def release_volume(op: Growth, tools: Toolbox) -> None:
    if op.offline:
        tools.guest(op.instance_id).release_volume()


def take_volume(op: Growth, tools: Toolbox) -> None:
    if op.offline:
        op.health = tools.guest(op.instance_id).take_volume()


def detach_volume(op: Growth, tools: Toolbox) -> None:
    if not op.offline:
        return
    volume, server = _volume(op, tools), tools.name_of(op.instance_id, LedgerKind.SERVER)
    if volume.state is not VolumeState.AVAILABLE:
        tools.effect(lambda: tools.cloud.compute.detach_volume(server, volume.name))
        tools.look_again()


def extend_detached_volume(op: Growth, tools: Toolbox) -> None:
    if op.offline:
        cloud.expect_volume(_grown(_volume(op, tools), op, tools).state, tools)


def attach_volume(op: Growth, tools: Toolbox) -> None:
    if not op.offline:
        return
    volume, server = _volume(op, tools), tools.name_of(op.instance_id, LedgerKind.SERVER)
    if volume.state is not VolumeState.IN_USE:
        tools.effect(lambda: tools.cloud.compute.attach_volume(server, volume.name))
        tools.look_again()


def grow_file_system(op: Growth, tools: Toolbox) -> None:
    tools.guest(op.instance_id).grow_volume(VolumeGrowth(op.new_gib * GIB))


def record_size(op: Growth, tools: Toolbox) -> None:
    health = op.health
    if health is not None:
        tools.write(lambda unit: guests.reported(unit, op.instance_id, health))
    tools.write(lambda unit: instances.settle_volume(unit, op.instance_id, op.new_gib))
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.RESIZED))


def _grown(volume: Volume, op: Growth, tools: Toolbox) -> Volume:
    """Return the volume, which is or becomes as large as it is to be, if it can."""
    volumes = tools.cloud.volumes
    if volume.size_gib < op.new_gib and volume.state in cloud.USABLE:
        return tools.effect(lambda: volumes.extend_volume(volume.name, op.new_gib))
    return volume


def _volume(op: Growth, tools: Toolbox) -> Volume:
    volume = tools.cloud.volumes.find_volume(tools.name_of(op.instance_id, LedgerKind.VOLUME))
    if volume is None:
        raise errors.Failed("The instance's volume is gone.")
    return volume


RESIZE_VOLUME = Flow(
    "resize_volume",
    ResizeVolume,
    Growth,
    begin,
    (
        Step(extend_volume, undo=keep_what_grew),
        Step(release_volume, undo=take_volume),
        Step(detach_volume, undo=attach_volume),
        Step(extend_detached_volume),
        Step(attach_volume),
        Step(take_volume),
        Step(grow_file_system, pivot=True),
        Step(record_size),
    ),
)
