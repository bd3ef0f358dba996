"""Makes again from the catalog what the guests' virtual host lacks.

That is all of it when the broker has lost it, and a part when somebody has removed one by hand: so
it is looked at every now and then, too.
"""

import logging
import threading

from dbaas.catalog import guests, leases
from dbaas.catalog.records import GuestIdentity, GuestUsers
from dbaas.catalog.unit import Catalog
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.rpc.broker import Broker
from dbaas.rpc.guests import COMMANDS, command_queue, event_exchange, event_queue

EVERY = 20.0
"""Seconds between two looks, by one conductor of all."""

_LOG = logging.getLogger(__name__)
_LOOK = 5.0


def watch(catalog: Catalog, sealer: Sealer, broker: Broker, stop: threading.Event) -> None:
    """Rebuild every now and then, until `stop` is set; whatever is away is waited for."""
    while not stop.wait(_LOOK):
        try:
            if catalog.run(lambda unit: leases.take(unit, "guest-bus-watch", EVERY)):
                rebuild(catalog, sealer, broker)
        except errors.Error as error:
            _LOG.warning("The guests' bus cannot be looked at: %s", error.text)
        except Exception:  # noqa: BLE001  # a defect in here must not end it for good
            _LOG.exception("The guests' bus cannot be looked at")


def rebuild(catalog: Catalog, sealer: Sealer, broker: Broker) -> None:
    """Make what is missing of the event queues and for living guests.

    May be repeated, by several at once too, and costs one statement when nothing is missing. Does
    for quarantined guests what is left to do. Raises `Unavailable` when the catalog or the broker
    is away.
    """
    broker.ensure_topology()
    there = broker.objects()
    known = catalog.read(guests.on_the_bus)
    for guest in known:
        if guest.state == guests.QUARANTINED and there & {f"user {user}" for user in guest.users}:
            broker.quarantine(guest.instance_id, guest.users)
    incomplete = [
        guest for guest in known if guest.state != guests.QUARANTINED and not needed(guest) <= there
    ]
    for guest in incomplete:
        _add(catalog, sealer, broker, guest.instance_id)
    # One that is new may just be being made.
    if lost := [guest for guest in incomplete if guest.state == guests.INTRODUCED]:
        _LOG.warning("Made what the broker had lost of %d guests", len(lost))


def needed(guest: GuestUsers) -> set[str]:
    """Return what a living guest has in the broker, as `Broker.objects` names it."""
    queue, exchange = command_queue(guest.instance_id), event_exchange(guest.instance_id)
    return {
        f"queue {queue}",
        f"exchange {exchange}",
        f"binding {COMMANDS} {queue}",
        f"binding {exchange} {event_queue(guest.instance_id)}",
        *(f"user {user}" for user in guest.users),
        *(f"permission {user}" for user in guest.users),
    }


def _add(catalog: Catalog, sealer: Sealer, broker: Broker, instance_id: str) -> None:
    guest = _now(catalog, sealer, instance_id)
    if guest is None or guest.state == guests.QUARANTINED:
        return
    broker.add_guest(instance_id, guest.user, guest.password)
    if guest.contact_user and guest.contact_password:
        broker.add_user(instance_id, guest.contact_user, guest.contact_password)
    # Whoever removes a guest, or shuts it out, says so in the catalog before the last time that he
    # looks at the broker: either he has found what was made here, or it is in the catalog by now.
    now = _now(catalog, sealer, instance_id)
    if now is None:
        broker.remove_guest(instance_id, guest.users)
    elif now.state == guests.QUARANTINED:
        broker.quarantine(instance_id, guest.users)
    elif left := set(guest.users).difference(now.users):
        for user in left:
            broker.remove_user(user)


def _now(catalog: Catalog, sealer: Sealer, instance_id: str) -> GuestIdentity | None:
    """Return the guest; None when it is gone, or being deleted."""
    found = catalog.read(lambda unit: guests.known(unit, sealer, [instance_id])).get(instance_id)
    return None if found is None or found.state == guests.GONE else found
