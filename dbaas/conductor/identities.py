"""Remembers who the guests are, so that an event costs no statement."""

import time
from collections.abc import Iterable
from dataclasses import dataclass

from dbaas.catalog import guests
from dbaas.catalog.records import GuestIdentity
from dbaas.catalog.unit import Catalog
from dbaas.common.sealing import Sealer

FRESH = 60.0
"""Seconds for which what is known of a guest holds: others remove and quarantine guests too."""


@dataclass(frozen=True)
class _Known:
    guest: GuestIdentity | None
    since: float


class Identities:
    """What the catalog knows of guests, some of it up to `FRESH` seconds old."""

    def __init__(self, catalog: Catalog, sealer: Sealer) -> None:
        self._catalog = catalog
        self._sealer = sealer
        self._known: dict[str, _Known] = {}

    def of(self, ids: Iterable[str]) -> dict[str, GuestIdentity | None]:
        """Return these guests, None for those that are none; raise `Unavailable`."""
        return self._since(set(ids), time.monotonic() - FRESH)

    def again(self, instance_id: str, since: float) -> GuestIdentity | None:
        """Return the guest as the catalog has it now, or had it `since` (monotonic time).

        Who gives the time when a message had come has it judged by all that its sender may have
        been told before, and a guest looked up once for all that came until then.
        """
        return self._since({instance_id}, since)[instance_id]

    def forget(self, instance_id: str) -> None:
        self._known.pop(instance_id, None)

    def _since(self, ids: set[str], since: float) -> dict[str, GuestIdentity | None]:
        known = {
            name: one.guest
            for name in ids
            if (one := self._known.get(name)) is not None and one.since >= since
        }
        if unknown := ids - known.keys():
            known |= self._looked_up(unknown)
        return known

    def _looked_up(self, ids: set[str]) -> dict[str, GuestIdentity | None]:
        now = time.monotonic()
        found = self._catalog.read(lambda unit: guests.known(unit, self._sealer, ids))
        if len(self._known) > _MANY:  # of guests that are gone, mostly
            self._known.clear()
        self._known |= {name: _Known(found.get(name), now) for name in ids}
        return {name: found.get(name) for name in ids}


_MANY = 50_000
