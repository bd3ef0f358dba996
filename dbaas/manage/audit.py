"""`dbaas-manage audit`: do ledger, cloud, broker and storages agree, both ways?"""

import re
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated

import typer
from rich.table import Column, Table

from dbaas.catalog import guests, ledger, operation_views
from dbaas.cloud import drivers
from dbaas.cloud.base import Cloud
from dbaas.common import sealing
from dbaas.contract.operations import ROLES, LedgerEntry, LedgerKind
from dbaas.manage import stored
from dbaas.manage.deployment import OUT, deployment
from dbaas.rpc import broker
from dbaas.rpc.broker import Broker
from dbaas.strategies.grants import vaults

_OURS = re.compile(r"dbaas-([0-9a-f-]{36})-[a-z]+\d+")
_ID = re.compile(r"dbaas-([0-9a-f-]{36})-")
_GUESTS = re.compile(r"(?:user [fg]-|queue agent\.|exchange evt\.)([0-9a-f-]{36})$")

MISSING = "is in the ledger, but not there"
UNKNOWN = "is there, but not in the ledger"
ADVICE = {
    MISSING: "What is missing of a bus is made again by itself, within a minute or so. Without its "
    "server, volume or port an instance cannot be repaired: its owner should delete it.",
    UNKNOWN: "What is not in the ledger is nobody's here, and is never touched: remove it by hand, "
    "if it is of no use elsewhere.",
}
"""What to do about a problem."""

_ORDER = (
    LedgerKind.SERVER,
    LedgerKind.BUS,
    LedgerKind.PORT,
    LedgerKind.MANAGEMENT_PORT,
    LedgerKind.VOLUME,
)
"""What uses another goes before it."""


@dataclass(frozen=True)
class Difference:
    """Something that is on one side only."""

    kind: LedgerKind
    name: str
    problem: str
    is_ours: bool = False
    """Whether we made it, so that it may be removed."""


@dataclass(frozen=True)
class Findings:
    """What was compared, and what differs."""

    compared: int
    differences: tuple[Difference, ...]


def compare(entries: Iterable[LedgerEntry], there: dict[LedgerKind, Collection[str]]) -> Findings:
    """Compare what the ledger says with what is there; names by kind.

    An entry that was intended and has no object is an operation that is under way or stopped
    half way: it is no difference as long as that operation has not ended.
    """
    differences = []
    written: dict[LedgerKind, set[str]] = {kind: set() for kind in LedgerKind}
    for entry in entries:
        kind = LedgerKind(entry.kind)
        written[kind].add(entry.name)
        if entry.external_id and entry.name not in there[kind]:
            differences.append(Difference(kind, entry.name, MISSING))
    for kind, names in there.items():
        differences += [
            Difference(kind, name, UNKNOWN) for name in sorted(set(names) - written[kind])
        ]
    compared = sum(len(names) for names in written.values())
    return Findings(compared, tuple(differences))


def sort_out(differences: Iterable[Difference], gone: Iterable[LedgerEntry]) -> list[Difference]:
    """Tell what we left behind from what we never made, by what the ledger says is gone.

    A task manager that is paused in the call that makes an object, for so long that another one
    goes on and deletes the instance, makes it in vain when it continues.
    """
    known = {(LedgerKind(entry.kind), entry.name) for entry in gone}
    buses = {_instance(name) for kind, name in known if kind is LedgerKind.BUS}

    def ours(one: Difference) -> bool:
        if one.kind is LedgerKind.BUS:
            return _instance(one.name) in buses
        return (one.kind, one.name) in known

    return [
        replace(one, problem="was left behind: --fix removes it", is_ours=True)
        if one.problem == UNKNOWN and ours(one)
        else one
        for one in differences
    ]


def remove_all(left: Iterable[Difference], cloud: Cloud, bus: Broker) -> Iterator[Difference]:
    """Delete what is ours, and nowhere in use; give each that is gone. It may be repeated."""
    for one in sorted(left, key=lambda one: _ORDER.index(one.kind)):
        _remove(one, cloud, bus)
        yield one


def _remove(one: Difference, cloud: Cloud, bus: Broker) -> None:
    if one.kind is LedgerKind.BUS:
        instance = _instance(one.name)
        bus.remove_guest(instance, (f"g-{instance}", f"f-{instance}"))
        return
    delete = {
        LedgerKind.SERVER: cloud.compute.delete_server,
        LedgerKind.PORT: cloud.networks.delete_port,
        LedgerKind.MANAGEMENT_PORT: cloud.networks.delete_port,
        LedgerKind.VOLUME: cloud.volumes.delete_volume,
    }
    delete[one.kind](one.name)


def of_cloud(cloud: Cloud) -> dict[LedgerKind, Collection[str]]:
    """Return the names of all that this deployment has in the cloud."""
    ports = _ours(cloud.networks.ports())
    management = f"-{ROLES[LedgerKind.MANAGEMENT_PORT]}"
    return {
        LedgerKind.PORT: [name for name in ports if management not in name],
        LedgerKind.MANAGEMENT_PORT: [name for name in ports if management in name],
        LedgerKind.VOLUME: _ours(cloud.volumes.volumes()),
        LedgerKind.SERVER: _ours(cloud.compute.servers()),
    }


def _ours(names: Iterable[str]) -> list[str]:
    return [name for name in names if _OURS.fullmatch(name)]


def of_broker(
    objects: Collection[str], entries: Iterable[LedgerEntry], shut_out: Collection[str] = ()
) -> Collection[str]:
    """Return the names of the guests that have anything in the broker.

    A guest that is in the ledger is complete with its user, its queue and its exchange; one that
    was shut out, by its instance's id, without its user.
    """
    parts: dict[str, set[str]] = {}
    for name in objects:
        if match := _GUESTS.match(name):
            parts.setdefault(match[1], set()).add(name.split()[0])
    names = {entry.name: match[1] for entry in entries if (match := _OURS.fullmatch(entry.name))}
    by_instance = {instance: name for name, instance in names.items()}
    complete = {"user", "queue", "exchange"}
    silent = {"queue", "exchange"}
    return [
        by_instance.get(instance, f"dbaas-{instance}-bus?")
        for instance, found in parts.items()
        if found == (silent if instance in shut_out else complete) or instance not in by_instance
    ]


def _instance(name: str) -> str:
    match = _ID.match(name)
    return match[1] if match else ""


def audit(
    context: typer.Context,
    fix: Annotated[
        bool,
        typer.Option(help="Remove what instances and backups that are gone left behind."),
    ] = False,
) -> None:
    """Compare ledger, broker, cloud and storages, both ways; exit status 1 when they differ."""
    with deployment(context) as ours:
        cloud, bus = drivers.load(ours.conf), broker.from_conf(ours.conf)
        objects = bus.objects()
        entries = ours.catalog.read(ledger.living)
        there = of_cloud(cloud)
        buses = [entry for entry in entries if entry.kind == LedgerKind.BUS]
        known = ours.catalog.read(guests.on_the_bus)
        shut_out = [one.instance_id for one in known if one.state == guests.QUARANTINED]
        there[LedgerKind.BUS] = of_broker(objects, buses, shut_out)
        findings = compare(entries, there)
        unknown = {_instance(one.name) for one in findings.differences}
        gone = ours.catalog.read(lambda unit: ledger.gone(unit, unknown))
        differences = sort_out(findings.differences, gone)
        left = [one for one in differences if one.is_ours and fix]
        for one in remove_all(left, cloud, bus):
            OUT.print(f"removed {one.kind} {one.name}")
        stuck = ours.catalog.read(operation_views.stuck)
        storages = vaults.load(ours.conf, sealing.from_conf(ours.conf))
        known_stored = ours.catalog.read(stored.known)
        strays = stored.compare(storages, known_stored)
        strays = stored.still(strays, known_stored, ours.catalog.read(stored.known))
        swept = [stray for stray in strays if stray.is_ours and fix]
        for stray in stored.remove_all(storages, swept):
            OUT.print(f"removed objects of {stray.kind} {stray.id}")
    table = Table("kind", Column("name", overflow="fold"), "problem")
    for one in differences:
        if one not in left:
            table.add_row(one.kind, one.name, one.problem)
    for stray in strays:
        if stray not in swept:
            table.add_row(stray.kind, stray.id, stray.problem)
    for operation_id in stuck:
        table.add_row("operation", operation_id, "is stuck")
    wrong = table.row_count
    if wrong:
        OUT.print(table)
        problems = {one.problem for one in differences} | {stray.problem for stray in strays}
        advice = ADVICE | stored.ADVICE
        for problem in sorted(advice.keys() & problems):
            OUT.print(advice[problem])
    found = f"{findings.compared} objects in the ledger, {len(known_stored.backups)} backups"
    OUT.print(f"{found}, {len(known_stored.streams)} archives' streams, {wrong} differences")
    sys.exit(1 if wrong else 0)
