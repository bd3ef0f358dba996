"""Whatever an instance is at, an operation on it can end, and it is told that it did."""

import itertools
from collections.abc import Iterator

import pytest
from sqlalchemy import select

from dbaas.catalog import journal, operation_views, operations, tables
from dbaas.catalog.moments import NOW
from dbaas.catalog.operations import Request
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common.sealing import Sealer
from dbaas.contract.operations import Claim, Fault, Operation, Position, State
from dbaas.contract.requests import RestartInstance
from dbaas.contract.states import Status
from dbaas.rpc.notifications import Look
from dbaas.taskmanager.announcements import Announcing
from dbaas.taskmanager.endings import InstanceEndings
from dbaas.taskmanager.journal import CatalogJournal, Effects
from tests.catalog_server import CatalogServer

FAULT = Fault("Failed", "it broke", "in many lines")

_NUMBERS = itertools.count()


@pytest.fixture(scope="module")
def catalog(catalog_server: CatalogServer) -> Iterator[Catalog]:
    with catalog_server.opened() as made:
        made.run(_offer)
        yield made


def _offer(one: Unit) -> None:
    one.execute(tables.datastores.insert().values(id="d", name="mariadb"))
    one.execute(
        tables.datastore_versions.insert().values(
            id="v", datastore_id="d", name="11.8", version="11.8.3", manager="mariadb",
            image_tags="[]", packages="[]", active=True,
        )
    )  # fmt: skip


def begin(catalog: Catalog, status: Status) -> tuple[Claim, Operation]:
    """Make an instance of this status, and have an operation on it begun."""
    instance_id = f"{next(_NUMBERS):036}"

    def make(one: Unit) -> None:
        one.execute(
            tables.instances.insert().values(
                id=instance_id, project_id="p", user_id="u", name="n", status=status,
                datastore_version_id="v", flavor_id="1", flavor_ram_mib=1, ram_charged_mib=1,
                volume_gib=1, volume_charged_gib=1, access="{}", addresses="[]",
                deleted_at=NOW if status is Status.DELETED else None,
            )
        )  # fmt: skip

    catalog.run(make)
    request = Request(
        kind="restart_instance", instance_id=instance_id, project_id="p", user_id="u",
        request_id="r", body=RestartInstance(), locks=(instance_id,), supersede=False,
    )  # fmt: skip
    number = catalog.run(lambda one: operations.accept(one, request, Sealer(bytes(32))))
    (claim,) = catalog.run(lambda one: operations.claim_one(one, "tm", 15.0, number))
    return claim, catalog.read(lambda one: journal.load(one, claim))


def shown(catalog: Catalog, op: Operation) -> tuple[Status, str | None]:
    columns = tables.instances.c
    query = select(columns.status, columns.fault_message).where(columns.id == op.instance_id)
    row = catalog.read(lambda one: one.execute(query).one())
    return Status(row.status), row.fault_message


@pytest.mark.parametrize("status", Status)
def test_an_operation_can_be_undone_whatever_its_instance_is_at(
    catalog: Catalog, status: Status
) -> None:
    claim, op = begin(catalog, status)
    effects = Effects(writes=InstanceEndings().failed(op, FAULT))
    own = CatalogJournal(catalog, lambda _operation, _seconds: None)
    own.finish(claim, Position(), State.FAILED, FAULT, effects)
    assert state(catalog, op) == State.FAILED
    assert_blamed(catalog, op, status)


@pytest.mark.parametrize("status", Status)
def test_an_operation_can_be_parked_whatever_its_instance_is_at(
    catalog: Catalog, status: Status
) -> None:
    claim, op = begin(catalog, status)
    effects = Effects(writes=InstanceEndings().parked(op, FAULT))
    own = CatalogJournal(catalog, lambda _operation, _seconds: None)
    assert not own.park(claim, Position(), FAULT, effects)
    assert state(catalog, op) == State.PARKED
    assert_blamed(catalog, op, status)
    if status not in (Status.ACTIVE, Status.DELETED):
        assert shown(catalog, op)[0] is Status.ERROR


def test_who_listens_is_told_that_an_operation_was_parked_unless_it_goes_on(
    catalog: Catalog,
) -> None:
    claim, op = begin(catalog, Status.REBOOTING)
    looks: list[Look] = []
    catalog.run(lambda one: journal.park(one, claim, Position(), FAULT))
    Announcing(looks.append, catalog).stopped(op, State.PARKED)
    (look,) = looks
    told = look()
    assert told is not None
    assert (told.event, told.failed) == ("dbaas.instance_restart.error", True)
    assert told.payload["instance_id"] == op.instance_id
    assert told.payload["message"] == FAULT.message
    catalog.run(lambda one: operation_views.retry(one, op.id))
    assert look() is None


def state(catalog: Catalog, op: Operation) -> str:
    return catalog.read(lambda one: operation_views.show(one, op.id)).state


def assert_blamed(catalog: Catalog, op: Operation, status: Status) -> None:
    """What is still there shows why; what was deleted meanwhile stays as it is."""
    now, message = shown(catalog, op)
    if status is Status.DELETED:
        assert (now, message) == (Status.DELETED, None)
    else:
        assert message is not None
        assert FAULT.message in message
        assert op.id in message
