"""Guests: who they are on the bus, how they said they are, and the answers that they gave.

Secrets are sealed here, on their way in and out. Nobody asks a cloud or a guest in here.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.dialects.mysql import insert as upsert

from dbaas.catalog import instances
from dbaas.catalog.moments import later, seconds_since
from dbaas.catalog.records import (
    GuestIdentity,
    GuestUsers,
    GuestView,
    Heartbeat,
    Outstanding,
    users_of,
)
from dbaas.catalog.tables import commands, guest_health, operations
from dbaas.catalog.tables import guests as table
from dbaas.catalog.unit import Unit
from dbaas.common.sealing import Sealer
from dbaas.contract import codec, errors
from dbaas.contract.codec import Json
from dbaas.contract.messages import Health, Progress, ServiceStatus
from dbaas.contract.operations import State
from dbaas.contract.secret import Secret

NEW = "new"
"""It has its objects on the bus, and was not heard under its own key yet."""
INTRODUCED = "introduced"
QUARANTINED = "quarantined"
GONE = "gone"

SHUT_OUT = (
    "The instance's guest said more than any guest may, and was shut out: its database may still "
    "serve, but nothing can be done to it or known of it. Delete the instance, or ask the operator "
    "to look into the guest and to let it in again."
)
"""What a tenant is told of a quarantine."""

_NO_LATER = (1 << 63) - 1
"""Boot and number of a heartbeat after which none can come."""

_LONG_AGO = 3600.0
_NOW = text("NOW(6)")
_ANSWERED = "answered"


def add(unit: Unit, sealer: Sealer, guest: GuestIdentity) -> None:
    """Write down who a guest is to be, before anything of it exists; a repetition replaces it."""
    values = {
        "state": guest.state,
        "bus_user": guest.user,
        "bus_password": _hidden(sealer, guest.password),
        "key_id": guest.key_id,
        "command_key": _hidden(sealer, guest.command_key),
        "event_key": _hidden(sealer, guest.event_key),
        "contact_user": guest.contact_user,
        "contact_password": _hidden_or_none(sealer, guest.contact_password),
        "contact_key": _hidden_or_none(sealer, guest.contact_key),
        "contact_key_id": guest.contact_key_id,
        "quarantined_at": None,
    }
    known = unit.scalar(select(table.c.instance_id).where(table.c.instance_id == guest.instance_id))
    if known is None:
        unit.execute(insert(table).values(instance_id=guest.instance_id, **values))
    else:
        _set(unit, guest.instance_id, **values)


def get(unit: Unit, sealer: Sealer, instance_id: str) -> GuestIdentity:
    """Return the guest; raise `NotFound`."""
    found = known(unit, sealer, [instance_id])
    if not found:
        raise errors.NotFound(f"Instance {instance_id} has no guest.")
    return found[instance_id]


def known(unit: Unit, sealer: Sealer, ids: Iterable[str]) -> dict[str, GuestIdentity]:
    """Return those of these instances that have a guest."""
    rows = unit.execute(select(table).where(table.c.instance_id.in_(list(ids))))
    return {row.instance_id: _identity(sealer, row) for row in rows}


def expect_key(unit: Unit, sealer: Sealer) -> None:
    """Raise `Invalid` when the guests' secrets are sealed under another master key."""
    for row in unit.execute(select(table).limit(1)):
        try:
            _identity(sealer, row)
        except errors.Invalid as error:
            raise errors.Invalid(
                "the secrets in the catalog are not sealed under this master key"
            ) from error


def on_the_bus(unit: Unit) -> list[GuestUsers]:
    """Return every guest that ought to reach the bus, or must not."""
    columns = (table.c.instance_id, table.c.state, table.c.bus_user, table.c.contact_user)
    rows = unit.execute(select(*columns).where(table.c.state != GONE))
    return [GuestUsers(id_, state, users_of(user, contact)) for id_, state, user, contact in rows]


def listed(unit: Unit, state: str | None = None) -> list[GuestView]:
    """Return guests, or those in one state, as operators see them."""
    columns = (table.c.instance_id, table.c.state, table.c.quarantined_at, guest_health.c.heard_at)
    query = select(*columns).select_from(
        table.outerjoin(guest_health, guest_health.c.instance_id == table.c.instance_id)
    )
    if state is not None:
        query = query.where(table.c.state == state)
    return [GuestView(*row) for row in unit.execute(query.order_by(table.c.instance_id))]


def introduced(unit: Unit, instance_id: str) -> None:
    """Note that the guest was heard under its own key: what first contact needed is wiped."""
    unit.execute(
        update(table)
        .where(table.c.instance_id == instance_id, table.c.state.in_((NEW, INTRODUCED)))
        .values(
            state=INTRODUCED,
            contact_user=None,
            contact_password=None,
            contact_key=None,
            contact_key_id=None,
        )
    )


def hear_anew(unit: Unit, instance_id: str) -> None:
    """Believe the next heartbeat, whatever the number of the last: it comes under another key.

    Whoever was shut out is no longer.
    """
    unit.execute(
        update(guest_health).where(guest_health.c.instance_id == instance_id).values(boot=0, seq=0)
    )
    instances.forgive(unit, instance_id, SHUT_OUT)


@dataclass(frozen=True)
class Report:
    """How far a guest's long commands are; `silence`: seconds since it was heard."""

    silence: float
    progress: Mapping[str, Progress]


def progress(unit: Unit, instance_id: str) -> Report:
    """Return what the guest said of its long commands, by their ids."""
    row = unit.execute(
        select(guest_health.c.progress, seconds_since(guest_health.c.heard_at)).where(
            guest_health.c.instance_id == instance_id
        )
    ).one_or_none()
    if row is None:
        return Report(0.0, {})
    said = {id_: codec.load(Progress, one) for id_, one in json.loads(row[0]).items()}
    return Report(float(row[1]), said)


def volume_used(unit: Unit, instance_id: str) -> int:
    """Return how many bytes of its volume are used, as its guest said last; 0 before that."""
    used = unit.scalar(
        select(guest_health.c.volume_used).where(guest_health.c.instance_id == instance_id)
    )
    return int(used or 0)


def quarantined(unit: Unit, instance_id: str) -> list[str]:
    """Note that nothing of this guest is let in any more; return the operations that it wakes.

    The instance shows why. Operations that wait for an answer of the guest's ask it again, which
    fails at once: they need not wait for their deadline.
    """
    changed = unit.execute(
        update(table)
        .where(table.c.instance_id == instance_id, table.c.state.in_((NEW, INTRODUCED)))
        .values(state=QUARANTINED, quarantined_at=_NOW)
    )
    if not changed.rowcount:
        return []
    instances.blame(unit, instance_id, SHUT_OUT, "It says too much: see the conductors' logs.")
    last = {"boot": _NO_LATER, "seq": _NO_LATER, "service": ServiceStatus.UNKNOWN.value}
    statement = upsert(guest_health).values(instance_id=instance_id, progress="{}", **last)
    unit.execute(statement.on_duplicate_key_update(**last))
    waiting = (commands.c.instance_id == instance_id) & (commands.c.state != _ANSWERED)
    unit.execute(update(commands).where(waiting).values(sent_at=later(-_LONG_AGO)))
    found = list(unit.scalars(select(commands.c.operation_id).where(waiting).distinct()))
    return [operation_id for operation_id in found if _wake(unit, operation_id)]


def gone(unit: Unit, instance_id: str) -> None:
    """Note that the guest is being deleted: it is not made again when the broker lost it."""
    _set(unit, instance_id, state=GONE)


def remove(unit: Unit, instance_id: str) -> None:
    """Forget the guest and its health."""
    unit.execute(delete(guest_health).where(guest_health.c.instance_id == instance_id))
    unit.execute(delete(table).where(table.c.instance_id == instance_id))


def forget_strangers(unit: Unit) -> int:
    """Forget the health of guests that there are no more; return of how many.

    A conductor may have known one for a moment longer, and written a heartbeat after its end.
    """
    known_ones = guest_health.outerjoin(table, table.c.instance_id == guest_health.c.instance_id)
    strangers = list(
        unit.scalars(
            select(guest_health.c.instance_id)
            .select_from(known_ones)
            .where(table.c.instance_id.is_(None))
        )
    )
    unit.execute(delete(guest_health).where(guest_health.c.instance_id.in_(strangers)))
    return len(strangers)


def fold(unit: Unit, heartbeats: Mapping[str, Heartbeat]) -> None:
    """Write what guests said of their health, one statement for all of them.

    The statement decides which is newer: messages come in any order to any conductor. Its
    assignments are done from left to right (MySQL manual, "UPDATE"), so `boot` and `seq`, which the
    conditions look at, come last.
    """
    if not heartbeats:
        return
    parameters: list[Any] = []
    for instance_id in sorted(heartbeats):  # two conductors lock rows in the same order
        beat = heartbeats[instance_id]
        health, archive = beat.health, beat.health.archive
        parameters += (
            instance_id,
            beat.boot,
            beat.seq,
            health.service.value,
            health.volume_total,
            health.volume_used,
            health.engine_version,
            health.uptime,
            json.dumps(codec.dump(health.progress)),
            None if archive is None else json.dumps(codec.dump(archive)),
            archive is not None and bool(archive.wants or archive.ended),
        )
    rows = ",".join([_ROW] * len(heartbeats))
    unit.exec_driver_sql(_FOLD.format(rows=rows), tuple(parameters))


def passed(unit: Unit, instance_id: str, boot: int, seq: int) -> None:
    """Let heartbeats count no more that the guest said before it answered with its health.

    They may come later than the answer, which its operation writes down by `reported`.
    """
    unit.exec_driver_sql(_PASS, (instance_id, boot, seq, ServiceStatus.NEW.value))


def reported(unit: Unit, instance_id: str, health: Health) -> None:
    """Write the health that came with the answer to a command: later heartbeats go over it."""
    values = {
        "service": health.service.value,
        "volume_total": health.volume_total,
        "volume_used": health.volume_used,
        "engine_version": health.engine_version,
        "uptime": health.uptime,
        "heard_at": _NOW,
    }
    statement = upsert(guest_health).values(
        instance_id=instance_id, boot=0, seq=0, progress="{}", **values
    )
    unit.execute(statement.on_duplicate_key_update(**values))


_SAID = (
    *("service", "volume_total", "volume_used", "engine_version", "uptime", "progress"),
    *("archive", "archive_calls"),
)
_ROW = f"({','.join(['%s'] * (3 + len(_SAID)))},NOW(6))"
# A guest that was just booted does not know yet how far its archive is: what it said before counts.
_VALUE = {name: f"VALUES({name})" for name in (*_SAID, "heard_at")} | {
    "archive": "COALESCE(VALUES(archive),archive)"
}
_NEWER = "VALUES(boot)>boot OR (VALUES(boot)=boot AND VALUES(seq)>seq)"
_LATEST = f"seq=IF({_NEWER},VALUES(seq),seq),boot=GREATEST(boot,VALUES(boot))"
_FOLD = (
    f"INSERT INTO guest_health (instance_id,boot,seq,{','.join(_SAID)},heard_at) VALUES {{rows}}"  # noqa: S608  # constants
    " ON DUPLICATE KEY UPDATE "
    + ",".join(f"{name}=IF({_NEWER},{_VALUE[name]},{name})" for name in (*_SAID, "heard_at"))
    + f",{_LATEST}"
)
_PASS = (
    "INSERT INTO guest_health (instance_id,boot,seq,service,progress) VALUES (%s,%s,%s,%s,'{}')"  # noqa: S608  # constants
    f" ON DUPLICATE KEY UPDATE {_LATEST}"
)


def outstanding(unit: Unit, ids: Iterable[str]) -> dict[str, Outstanding]:
    """Return those of these commands that wait for their answer."""
    rows = unit.execute(
        select(
            commands.c.id, commands.c.operation_id, commands.c.instance_id, commands.c.method
        ).where(commands.c.id.in_(list(ids)), commands.c.state != _ANSWERED)
    )
    return {
        row.id: Outstanding(row.id, row.operation_id, row.instance_id, row.method) for row in rows
    }


def answer(unit: Unit, command: Outstanding, result: Json) -> bool:
    """Store the answer, whose secrets are sealed already, and make the operation look at it.

    Returns whether it was the first one. The operation's row is locked before the command's, as its
    runner does it. A runner that is at work sees by `wakes` that it was woken.
    """
    _wake(unit, command.operation_id)
    changed = unit.execute(
        update(commands)
        .where(
            commands.c.id == command.id,
            commands.c.instance_id == command.instance_id,
            commands.c.state != _ANSWERED,
        )
        .values(state=_ANSWERED, result=json.dumps(result), answered_at=_NOW)
    )
    return changed.rowcount == 1


def _wake(unit: Unit, operation_id: str) -> bool:
    changed = unit.execute(
        update(operations)
        .where(operations.c.id == operation_id, operations.c.state == State.RUNNABLE)
        .values(
            wakes=operations.c.wakes + 1,
            run_at=func.least(func.coalesce(operations.c.run_at, _NOW), _NOW),
        )
    )
    return changed.rowcount == 1


def _set(unit: Unit, instance_id: str, **values: Any) -> None:
    unit.execute(update(table).where(table.c.instance_id == instance_id).values(**values))


def _identity(sealer: Sealer, row: Any) -> GuestIdentity:
    return GuestIdentity(
        instance_id=row.instance_id,
        state=row.state,
        user=row.bus_user,
        password=sealer.show(json.loads(row.bus_password)),
        key_id=row.key_id,
        command_key=sealer.show(json.loads(row.command_key)),
        event_key=sealer.show(json.loads(row.event_key)),
        contact_user=row.contact_user,
        contact_password=_shown_or_none(sealer, row.contact_password),
        contact_key=_shown_or_none(sealer, row.contact_key),
        contact_key_id=row.contact_key_id,
    )


def _hidden(sealer: Sealer, secret: Secret) -> str:
    return json.dumps(sealer.hide(secret))


def _hidden_or_none(sealer: Sealer, secret: Secret | None) -> str | None:
    return None if secret is None else _hidden(sealer, secret)


def _shown_or_none(sealer: Sealer, sealed: str | None) -> Secret | None:
    return None if sealed is None else sealer.show(json.loads(sealed))
