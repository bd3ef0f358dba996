"""Who the agent is: at first what its contact file says, then what the control plane has sent it.

Kept on the server's own disk, readable by root only: a snapshot of the data volume holds no key.
"""

import hashlib
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from dbaas.contract import codec, errors
from dbaas.contract.messages import Contact, Introduction
from dbaas.contract.secret import Secret
from dbaas.host import files
from dbaas.rpc.envelope import CONTACT
from dbaas.rpc.guests import Address

T = TypeVar("T")


@dataclass(frozen=True)
class Identity:
    """Who the agent is for good: where its broker is, and the keys of both directions."""

    instance: str
    address: Address
    key_id: str
    command_key: Secret
    event_key: Secret
    contact_key: Secret | None
    """The key of the introduction, until the first command under `command_key` shows that it was
    heard of."""
    contact_mark: str
    """Tells this first contact from that of a rebuilt server: a hash of the contact key."""
    contact_key_id: str = CONTACT
    """Of `contact_key`: where keys were rotated, the one before."""


@dataclass(frozen=True)
class Paths:
    """Where the agent keeps what it must know after a restart, and finds its contact."""

    state: Path
    contact: Path

    @property
    def identity(self) -> Path:
        return self.state / "identity.json"


def current(paths: Paths) -> Contact | Identity | None:
    """Return who the agent is now; a contact that is not known yet begins everything anew."""
    contact = _read(Contact, paths.contact)
    identity = _read(Identity, paths.identity)
    if contact and not (identity and identity.contact_mark == _mark(contact.key)):
        return contact
    if contact:
        files.remove(paths.contact)  # a crash came between writing the one and removing the other
    return identity


def become(paths: Paths, me: Contact | Identity, order: Introduction) -> Identity:
    """Write down who the agent is from now on; the contact file goes when that is on the disk."""
    if isinstance(me, Contact):
        identity = _first(me, order)
    elif order.key_id == me.key_id:
        identity = me  # it was told before
    else:
        identity = replace(
            me,
            address=replace(me.address, user=order.user, password=order.password),
            key_id=order.key_id,
            command_key=order.command_key,
            event_key=order.event_key,
            contact_key=me.command_key,
            contact_key_id=me.key_id,
        )
    files.write(paths.identity, json.dumps(codec.dump(identity)), mode=0o600)
    files.remove(paths.contact)
    return identity


def forget_contact(paths: Paths, me: Identity) -> Identity:
    """Accept nothing under the contact key any more."""
    met = replace(me, contact_key=None)
    files.write(paths.identity, json.dumps(codec.dump(met)), mode=0o600)
    return met


def address(me: Contact | Identity) -> Address:
    if isinstance(me, Identity):
        return me.address
    return Address(me.host, me.port, me.vhost, me.user, me.password, me.authority)


def command_keys(me: Contact | Identity) -> dict[str, Secret]:
    """Return the keys under which commands may come, by their ids."""
    if isinstance(me, Contact):
        return {me.key_id: me.key}
    keys = {me.key_id: me.command_key}
    return keys if me.contact_key is None else {**keys, me.contact_key_id: me.contact_key}


def count_boot(paths: Paths) -> int:
    """Return the number of this start of the agent: higher than any before, on any disk.

    The clock counts too, so that the numbers go on when the disk is replaced or rolled back.
    """
    path = paths.state / "boot"
    try:
        last = int(path.read_text())
    except (FileNotFoundError, ValueError):
        last = 0
    boot = max(last + 1, int(time.time()))
    files.write(path, str(boot), mode=0o600)
    return boot


def _first(contact: Contact, order: Introduction) -> Identity:
    return Identity(
        instance=contact.instance,
        address=replace(address(contact), user=order.user, password=order.password),
        key_id=order.key_id,
        command_key=order.command_key,
        event_key=order.event_key,
        contact_key=contact.key,
        contact_mark=_mark(contact.key),
    )


def _mark(key: Secret) -> str:
    return hashlib.sha256(key.reveal().encode()).hexdigest()


def _read(kind: type[T], path: Path) -> T | None:
    try:
        return codec.load(kind, json.loads(path.read_bytes()))
    except FileNotFoundError:
        return None
    except (ValueError, errors.Invalid) as error:
        raise errors.Failed(f"{path} cannot be read: {error}") from error
