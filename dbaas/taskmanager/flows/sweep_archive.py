"""A stream of an archive by which nothing can be rolled forward any more goes."""

from dataclasses import dataclass

from dbaas.catalog import archives
from dbaas.contract import archives as names
from dbaas.contract.operations import Operation
from dbaas.contract.requests import SweepArchive
from dbaas.strategies.grants.base import Place
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Sweep:
    stream: str


def begin(_op: Operation, request: SweepArchive) -> Sweep:
    return Sweep(request.stream)


def delete_stream(op: Sweep, tools: Toolbox) -> None:
    services: Services = tools.services
    stream = services.catalog.read(lambda unit: archives.show(unit, op.stream))
    if stream is None:
        return
    prefix = names.prefix(stream.instance_id, stream.id)
    vault = services.vault(stream.storage)
    tools.effect(lambda: vault.delete(Place(stream.account, stream.container, prefix)))
    tools.write(lambda unit: archives.remove(unit, op.stream))


SWEEP_ARCHIVE = Flow(
    "sweep_archive",
    SweepArchive,
    Sweep,
    begin,
    (Step(delete_stream),),
    moves_instance=False,
)
