"""The streams of archives, as flows have them."""

from dbaas.catalog import archives
from dbaas.catalog.archives import StreamRecord
from dbaas.contract import archives as names
from dbaas.strategies.grants.base import Place
from dbaas.taskmanager.steps.services import Services


def show(stream_id: str, services: Services) -> StreamRecord | None:
    """Return a stream as it is now; None where it is gone."""
    return services.catalog.read(lambda unit: archives.show(unit, stream_id))


def place(stream: StreamRecord) -> Place:
    """Return where its objects are."""
    prefix = names.prefix(stream.instance_id, stream.id)
    return Place(stream.account, stream.container, prefix)
