"""What the audit makes of names in the ledger, the cloud and the broker."""

import uuid
from collections.abc import Collection
from unittest.mock import Mock

from dbaas.cloud.base import PortOrder
from dbaas.contract.operations import LedgerEntry, LedgerKind, object_name
from dbaas.manage.audit import Difference, compare, of_broker, remove_all, sort_out
from dbaas.rpc.broker import Broker
from tests.fakes.cloud import FakeCloud

MINE, OTHER = str(uuid.uuid4()), str(uuid.uuid4())
NOTHING: dict[LedgerKind, Collection[str]] = dict.fromkeys(LedgerKind, ())


def entry(instance: str, kind: LedgerKind, external_id: str = "there") -> LedgerEntry:
    return LedgerEntry(object_name(instance, kind, 1), kind, external_id, None)


def unknown(*names: tuple[LedgerKind, str]) -> tuple[Difference, ...]:
    there: dict[LedgerKind, Collection[str]] = {
        kind: [name for of, name in names if of is kind] for kind in LedgerKind
    }
    return compare([], there).differences


def test_what_is_on_both_sides_or_may_be_under_way_is_no_difference() -> None:
    made, intended = entry(MINE, LedgerKind.PORT), entry(OTHER, LedgerKind.PORT, "")
    found = compare([made, intended], {**NOTHING, LedgerKind.PORT: [made.name]})
    assert (found.compared, found.differences) == (2, ())


def test_what_is_on_one_side_only_is_named() -> None:
    missing = entry(MINE, LedgerKind.SERVER)
    stray = object_name(OTHER, LedgerKind.VOLUME, 1)
    found = compare([missing], {**NOTHING, LedgerKind.VOLUME: [stray]})
    assert {(one.kind, one.name) for one in found.differences} == {
        (LedgerKind.SERVER, missing.name),
        (LedgerKind.VOLUME, stray),
    }


def test_only_what_the_ledger_says_is_gone_is_ours_to_remove() -> None:
    left, foreign = (object_name(one, LedgerKind.PORT, 1) for one in (MINE, OTHER))
    differences = unknown((LedgerKind.PORT, left), (LedgerKind.PORT, foreign))
    sorted_out = sort_out(differences, [entry(MINE, LedgerKind.PORT)])
    assert {one.name: one.is_ours for one in sorted_out} == {left: True, foreign: False}


def test_what_is_missing_is_not_ours_to_remove_though_an_earlier_one_is_gone() -> None:
    lost = entry(MINE, LedgerKind.PORT)
    missing = compare([lost], NOTHING).differences
    assert [one.is_ours for one in sort_out(missing, [lost])] == [False]


def test_the_remains_of_a_guest_in_the_broker_are_ours_when_its_bus_is_gone() -> None:
    objects = [f"user g-{one}" for one in (MINE, OTHER)]
    differences = unknown(*((LedgerKind.BUS, name) for name in of_broker(objects, [])))
    sorted_out = sort_out(differences, [entry(MINE, LedgerKind.BUS)])
    assert {one.name[6:42]: one.is_ours for one in sorted_out} == {MINE: True, OTHER: False}


def test_whatever_kind_is_left_is_removed_and_users_of_others_first() -> None:
    cloud, bus = FakeCloud(), Mock(spec=Broker)
    cloud.networks.create_port(PortOrder(object_name(MINE, LedgerKind.MANAGEMENT_PORT, 1)))
    left = [Difference(kind, object_name(MINE, kind, 1), "was left behind") for kind in LedgerKind]
    removed = [one.kind for one in remove_all(left, cloud, bus)]
    assert set(removed) == set(LedgerKind)
    assert removed[0] is LedgerKind.SERVER
    assert cloud.networks.ports() == {}
    assert bus.remove_guest.called
