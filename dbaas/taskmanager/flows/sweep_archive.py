"""A stream of an archive by which nothing can be rolled forward any more goes."""

from dataclasses import dataclass

from dbaas.catalog import archives
from dbaas.contract.operations import Operation
from dbaas.contract.requests import SweepArchive
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import streams
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Sweep:
    stream: str


def begin(_op: Operation, request: SweepArchive) -> Sweep:
    return Sweep(request.stream)


def delete_stream(op: Sweep, tools: Toolbox) -> None:
    services: Services = tools.services
    stream = streams.show(op.stream, services)
    if stream is None:
        return
    vault = services.vault(stream.storage)
    tools.effect(lambda: vault.delete(streams.place(stream)))
    tools.write(lambda unit: archives.remove(unit, op.stream))


SWEEP_ARCHIVE = Flow(
    "sweep_archive",
    SweepArchive,
    Sweep,
    begin,
    (Step(delete_stream),),
    moves_instance=False,
)
