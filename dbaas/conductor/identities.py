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
PATIENCE = 1.0
"""Seconds in which a guest is looked up once at most, whatever it says."""


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
        wanted = set(ids)
        now = time.monotonic()
        unknown = [name for name in wanted if not self._is_younger(name, FRESH, now)]
        if unknown:
            self._look_up(unknown, now)
        return {name: self._known[name].guest for name in wanted}

    def again(self, instance_id: str) -> GuestIdentity | None:
        """Return the guest as the catalog has it now, or had it a moment ago."""
        now = time.monotonic()
        if not self._is_younger(instance_id, PATIENCE, now):
            self._look_up([instance_id], now)
        return self._known[instance_id].guest

    def forget(self, instance_id: str) -> None:
        self._known.pop(instance_id, None)

    def _is_younger(self, instance_id: str, age: float, now: float) -> bool:
        known = self._known.get(instance_id)
        return known is not None and now - known.since < age

    def _look_up(self, ids: list[str], now: float) -> None:
        found = self._catalog.read(lambda unit: guests.known(unit, self._sealer, ids))
        if len(self._known) > _MANY:  # of guests that are gone, mostly
            self._known.clear()
        self._known |= {name: _Known(found.get(name), now) for name in ids}


_MANY = 50_000
