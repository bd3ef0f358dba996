"""Sends commands to guests: sealed under each guest's own key, published with confirmation."""

import time

from dbaas.catalog import guests
from dbaas.catalog.unit import Catalog
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header
from dbaas.rpc.guests import CommandPublisher


class GuestBus:
    """The broker's half of a journalled call; safe in several threads."""

    def __init__(self, catalog: Catalog, sealer: Sealer, publisher: CommandPublisher) -> None:
        self._catalog = catalog
        self._sealer = sealer
        self._publisher = publisher

    def send(
        self,
        instance_id: str,
        command_id: str,
        epoch: int,
        method: str,
        body: bytes,
        request_id: str,
    ) -> None:
        """Publish a command; raise `Unavailable` when the broker does not take it.

        Raises `NotFound` for a guest that is not known any more, `Failed` for one that was shut
        out.
        """
        identity = self._catalog.read(lambda unit: guests.get(unit, self._sealer, instance_id))
        if identity.state == guests.QUARANTINED:
            raise errors.Failed(guests.SHUT_OUT)
        key_id, key = identity.key_id, identity.command_key
        if method == "introduce":
            if identity.contact_key is None or identity.contact_key_id is None:
                raise errors.Failed("The guest was introduced already.")
            key_id, key = identity.contact_key_id, identity.contact_key
        header = Header(
            v=envelope.VERSION,
            instance=instance_id,
            key=key_id,
            direction=envelope.DOWN,
            command=command_id,
            epoch=epoch,
            boot=0,
            seq=0,
            sent=time.time(),
            method=method,
            request=request_id,
        )
        self._publisher.publish(instance_id, envelope.seal(key, header, body))
