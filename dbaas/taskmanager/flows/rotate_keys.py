"""The guest gets other keys and another user of the broker; one that was shut out is let in again.

There is no way back: who heard what is unknown once the guest was told, so it is told again until
it answers as who it is now.
"""

from dataclasses import dataclass

from dbaas.contract.operations import Operation
from dbaas.contract.requests import RotateKeys
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import bus


@dataclass
class Rotation:
    instance_id: str


def begin(op: Operation, _request: RotateKeys) -> Rotation:
    return Rotation(op.instance_id)


ROTATE_KEYS = Flow(
    "rotate_keys",
    RotateKeys,
    Rotation,
    begin,
    (
        Step(bus.renew_credentials, pivot=True),
        Step(bus.make_bus_objects),
        Step(bus.introduce),
        Step(bus.note_introduction),
        Step(bus.retire_first_contact),
    ),
    moves_instance=False,
)
