"""What the broker must have so that a guest can be talked to, and first contact with it."""

import secrets
from dataclasses import dataclass, replace
from typing import Protocol

from dbaas.catalog import guests
from dbaas.catalog.records import GuestIdentity
from dbaas.contract import errors
from dbaas.contract.messages import Contact, Introduction
from dbaas.contract.operations import LedgerKind
from dbaas.contract.secret import Secret
from dbaas.rpc import envelope
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox

KEY_ID = "k1"


class OfInstance(Protocol):
    instance_id: str


@dataclass(frozen=True)
class _BusObjects:
    """A guest's queue, exchange and users, as one object of the ledger."""

    id: str


def write_credentials(op: OfInstance, tools: Toolbox) -> None:
    """Make up who the guest is to be, and write it down before anybody hears of it."""
    identity = GuestIdentity(
        instance_id=op.instance_id,
        state="new",
        user=f"g-{op.instance_id}",
        password=Secret(secrets.token_hex(32)),
        key_id=KEY_ID,
        command_key=envelope.new_key(),
        event_key=envelope.new_key(),
        contact_user=f"f-{op.instance_id}",
        contact_password=Secret(secrets.token_hex(32)),
        contact_key=envelope.new_key(),
        contact_key_id=envelope.CONTACT,
    )
    sealer = _services(tools).sealer
    tools.write(lambda unit: guests.add(unit, sealer, identity))


def renew_credentials(op: OfInstance, tools: Toolbox) -> None:
    """Make up who the guest is to be from now on; who it was is how it hears of that.

    One that was shut out is let in again. One that was to become another already may have done so:
    it is told the same once more.
    """
    was = guest_identity(op.instance_id, tools)
    if was.state == guests.GONE:
        raise errors.Failed("The instance is being deleted.")
    identity = replace(was, state=guests.NEW) if was.contact_user else _successor(was)
    sealer = _services(tools).sealer
    tools.write(lambda unit: guests.add(unit, sealer, identity))
    tools.write(lambda unit: guests.hear_anew(unit, op.instance_id))


def _successor(was: GuestIdentity) -> GuestIdentity:
    return GuestIdentity(
        instance_id=was.instance_id,
        state=guests.NEW,
        user=_other_name(was.instance_id, was.user),
        password=Secret(secrets.token_hex(32)),
        key_id=f"k{int(was.key_id[1:]) + 1}",
        command_key=envelope.new_key(),
        event_key=envelope.new_key(),
        contact_user=was.user,
        contact_password=was.password,
        contact_key=was.command_key,
        contact_key_id=was.key_id,
    )


def _names(instance_id: str) -> tuple[str, str]:
    """A guest has two names for the broker, by turns, since both are needed for a moment."""
    return f"g-{instance_id}", f"f-{instance_id}"


def _other_name(instance_id: str, user: str) -> str:
    one, other = _names(instance_id)
    return other if user == one else one


def forget_credentials(op: OfInstance, tools: Toolbox) -> None:
    tools.write(lambda unit: guests.remove(unit, op.instance_id))


def make_bus_objects(op: OfInstance, tools: Toolbox) -> None:
    """Let the guest's two users in: the one for first contact, and the one for ever after."""
    identity = guest_identity(op.instance_id, tools)
    broker = _services(tools).broker

    def create(_name: str) -> _BusObjects:
        broker.add_guest(op.instance_id, identity.user, identity.password)
        if identity.contact_user is not None and identity.contact_password is not None:
            broker.add_user(op.instance_id, identity.contact_user, identity.contact_password)
        return _BusObjects(op.instance_id)

    # Made anew each time: every part of it may be repeated, and half of it is of no use.
    tools.make(op.instance_id, LedgerKind.BUS, lambda _name: None, create, settle=0.0)


def remove_bus_objects(op: OfInstance, tools: Toolbox) -> None:
    services = _services(tools)
    broker = services.broker
    # First, so that nobody makes again what the broker lacks. It needs no fence: there is no way
    # back from it, and whoever removes a guest's objects removes the guest.
    services.catalog.run(lambda unit: guests.gone(unit, op.instance_id))

    def find(_name: str) -> _BusObjects | None:
        return None

    tools.unmake(
        op.instance_id,
        LedgerKind.BUS,
        find,
        lambda _name: broker.remove_guest(op.instance_id, _names(op.instance_id)),
        settle=0.0,
    )


def contact_of(instance_id: str, tools: Toolbox) -> Contact:
    """Return what a new server is told: enough for first contact, and worthless after it."""
    identity = guest_identity(instance_id, tools)
    if (
        identity.contact_user is None
        or identity.contact_password is None
        or identity.contact_key is None
    ):
        raise errors.Failed("The guest was introduced already: it cannot be booted anew.")
    services = _services(tools)
    return Contact(
        instance=instance_id,
        host=services.entrance.host,
        port=services.entrance.port,
        vhost=services.entrance.vhost,
        authority=services.authority.cert_pem,
        user=identity.contact_user,
        password=identity.contact_password,
        key_id=envelope.CONTACT,
        key=identity.contact_key,
    )


def introduce(op: OfInstance, tools: Toolbox) -> None:
    """Tell the guest, under the contact key, who it is; it answers as that one."""
    identity = guest_identity(op.instance_id, tools)
    tools.guest(op.instance_id).introduce(
        Introduction(
            user=identity.user,
            password=identity.password,
            key_id=identity.key_id,
            command_key=identity.command_key,
            event_key=identity.event_key,
        )
    )


def note_introduction(op: OfInstance, tools: Toolbox) -> None:
    """Forget what the server was booted with, or who the guest was before.

    It is written before the broker is told: who rebuilds the bus by the catalog makes nothing again
    that is removed then.
    """
    tools.write(lambda unit: guests.introduced(unit, op.instance_id))


def retire_first_contact(op: OfInstance, tools: Toolbox) -> None:
    """Make that worthless."""
    broker, user = _services(tools).broker, guest_identity(op.instance_id, tools).user
    former = _other_name(op.instance_id, user)
    tools.effect(lambda: broker.remove_user(former))


def guest_identity(instance_id: str, tools: Toolbox) -> GuestIdentity:
    """Return who the guest is; raise `NotFound` if nobody is known under this id."""
    services = _services(tools)
    return services.catalog.read(lambda unit: guests.get(unit, services.sealer, instance_id))


def _services(tools: Toolbox) -> Services:
    services: Services = tools.services
    return services
