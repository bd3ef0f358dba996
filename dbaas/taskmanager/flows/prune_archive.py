"""Objects of an archive go that were stored before the oldest backup which it can be played on.

Nobody asks for them any more when this begins: that they may be gone is in the catalog.
"""

from dataclasses import dataclass

from dbaas.catalog import archives
from dbaas.contract import archives as names
from dbaas.contract.operations import Operation
from dbaas.contract.requests import PruneArchive
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import streams
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Pruning:
    stream: str
    first: int
    """The first object that stays."""


def begin(_op: Operation, request: PruneArchive) -> Pruning:
    return Pruning(request.stream, request.first)


def delete_objects(op: Pruning, tools: Toolbox) -> None:
    services: Services = tools.services
    stream = streams.show(op.stream, services)
    if stream is None:
        return
    vault, place = services.vault(stream.storage), streams.place(stream)
    going = names.before(vault.listing(place), op.first)
    tools.effect(lambda: vault.remove(place, going))
    tools.write(lambda unit: archives.pruned(unit, op.stream, op.first - 1))


PRUNE_ARCHIVE = Flow(
    "prune_archive",
    PruneArchive,
    Pruning,
    begin,
    (Step(delete_objects),),
    moves_instance=False,
)
