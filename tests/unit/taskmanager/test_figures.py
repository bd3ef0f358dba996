"""What a task manager shows Prometheus."""

import json
from collections.abc import Iterator

import pytest
import sqlalchemy
from prometheus_client.parser import text_string_to_metric_families

from dbaas.catalog import tables
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common.metrics import Metrics
from dbaas.contract import codec
from dbaas.contract.messages import ArchiveReport
from dbaas.contract.operations import Operation, Position, State
from dbaas.taskmanager.figures import OwnWork, Whole
from tests.catalog_server import CatalogServer, catalog_at

Samples = dict[str, dict[tuple[str, ...], float]]


def samples(metrics: Metrics) -> Samples:
    """Return all values by the names of their figures and, by name, the values of their labels."""
    found: Samples = {}
    for family in text_string_to_metric_families(metrics.text().decode()):
        for sample in family.samples:
            labels = tuple(value for _, value in sorted(sample.labels.items()))
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def operation(age: float) -> Operation:
    return Operation(
        id="o",
        kind="restart_instance",
        instance_id="i",
        project_id="p",
        user_id="u",
        request_id="req-1",
        position=Position(),
        request=None,
        data=None,
        started=True,
        superseded=False,
        predecessor_ended=True,
        wakes=0,
        step_left=None,
        left=None,
        age=age,
    )


def test_own_work_is_counted_by_kind_and_end() -> None:
    metrics = Metrics()
    own = OwnWork(metrics)
    own.ran(operation(1.0), "restart_engine", 0.003, "waiting")
    own.ran(operation(1.0), "restart_engine", 0.2, "done")
    own.stopped(operation(4.0), State.SUCCEEDED)
    own.stopped(operation(90.0), State.FAILED)
    found = samples(metrics)
    assert found["dbaas_operations_total"] == {
        ("restart_instance", "succeeded"): 1,
        ("restart_instance", "failed"): 1,
    }
    assert found["dbaas_operation_seconds_sum"]["restart_instance", "failed"] == 90.0
    buckets = found["dbaas_operation_seconds_bucket"]
    assert buckets["restart_instance", "2.5", "succeeded"] == 0
    assert buckets["restart_instance", "5.0", "succeeded"] == 1
    assert found["dbaas_steps_total"]["restart_instance", "waiting", "restart_engine"] == 1
    assert found["dbaas_step_seconds_count"]["restart_instance", "restart_engine"] == 2
    assert "req-1" not in metrics.text().decode()


@pytest.fixture
def catalog(catalog_server: CatalogServer) -> Iterator[Catalog]:
    with catalog_server.opened() as made:
        made.run(fill)
        yield made


def fill(one: Unit) -> None:
    """Three instances of which one is deleted, two guests, four operations of which two ended."""
    ago = sqlalchemy.text("NOW(6) - INTERVAL 100 SECOND")
    one.execute(tables.datastores.insert().values(id="d", name="mariadb"))
    one.execute(
        tables.datastore_versions.insert().values(
            id="v",
            datastore_id="d",
            name="11.8",
            version="11.8.3",
            manager="mariadb",
            image_tags="[]",
            packages="[]",
            active=True,
        )
    )
    for id_, status, deleted in (
        ("a", "ACTIVE", None),
        ("b", "ERROR", None),
        ("c", "DELETED", ago),
    ):
        one.execute(
            tables.instances.insert().values(
                id=id_,
                project_id="p",
                user_id="u",
                name=id_,
                status=status,
                datastore_version_id="v",
                flavor_id="1",
                flavor_ram_mib=1,
                ram_charged_mib=1,
                volume_gib=1,
                volume_charged_gib=1,
                access="{}",
                addresses="[]",
                deleted_at=deleted,
            )
        )
        one.execute(
            tables.guest_health.insert().values(
                instance_id=id_, boot=1, seq=1, service="healthy", progress="{}", heard_at=ago
            )
        )
    one.execute(
        tables.guest_health.update()
        .where(tables.guest_health.c.instance_id == "a")
        .values(heard_at=sqlalchemy.func.now(6))
    )
    for id_, state, run_at in (
        ("1", "runnable", ago),
        ("2", "parked", None),
        ("3", "succeeded", None),
        ("4", "failed", None),
    ):
        one.execute(
            tables.operations.insert().values(
                id=id_,
                kind="create_instance",
                project_id="p",
                user_id="u",
                request_id="r",
                instance_id="a",
                state=state,
                request="{}",
                run_at=run_at,
            )
        )
    for project, used in (("p", 3), ("q", 4)):
        one.execute(
            tables.quota_usages.insert().values(project_id=project, resource="volumes", in_use=used)
        )


def test_the_catalog_is_counted_without_naming_anybody(catalog: Catalog) -> None:
    metrics = Metrics()
    metrics.looked_up(Whole(catalog).collect)
    found = samples(metrics)
    assert 100 <= found.pop("dbaas_overdue_seconds")[()] < 200
    assert found == {
        "dbaas_open_operations": {
            ("create_instance", "runnable"): 1,
            ("create_instance", "parked"): 1,
        },
        "dbaas_instances": {("ACTIVE",): 1, ("ERROR",): 1},
        "dbaas_guests": {("healthy",): 2},
        "dbaas_silent_guests": {(): 1},
        "dbaas_quota_in_use": {("volumes",): 7},
        "dbaas_archives": {(): 0},
        "dbaas_archives_in_trouble": {("behind",): 0, ("faulty",): 0, ("ended",): 0},
        "dbaas_archive_lag_seconds": {(): 0},
    }


@pytest.fixture
def archived(catalog: Catalog) -> Catalog:
    """Three archives that are on, one of which was not heard of yet, and one that has ended."""
    worst = ArchiveReport("a", lag=12.5, fault="away", behind=True)
    broken = ArchiveReport("b", lag=3.0, fault="lost", ended=True)
    catalog.run(lambda one: archive(one, {"a": worst, "b": broken, "c": None}))
    return catalog


def archive(one: Unit, said: dict[str, ArchiveReport | None]) -> None:
    for id_, report in said.items():
        for stream, ended in ((id_, None), (f"{id_}-before", sqlalchemy.func.now(6))):
            one.execute(
                tables.archives.insert().values(
                    id=stream,
                    instance_id=id_,
                    project_id="p",
                    user_id="u",
                    strategy="mariadb_binlog",
                    storage="local",
                    account="p",
                    container="c",
                    data_key="{}",
                    ended_at=ended,
                )
            )
        one.execute(
            tables.guest_health.update()
            .where(tables.guest_health.c.instance_id == id_)
            .values(archive=report and json.dumps(codec.dump(report)))
        )


def test_archives_are_counted_by_what_is_wrong_with_them(archived: Catalog) -> None:
    metrics = Metrics()
    metrics.looked_up(Whole(archived).collect)
    found = samples(metrics)
    assert found["dbaas_archives"] == {(): 3}
    assert found["dbaas_archives_in_trouble"] == {("behind",): 1, ("faulty",): 2, ("ended",): 1}
    assert found["dbaas_archive_lag_seconds"] == {(): 12.5}


def test_what_is_said_of_an_earlier_stream_is_not_counted(archived: Catalog) -> None:
    late = ArchiveReport("a-before", lag=99.0, ended=True)
    archived.run(
        lambda one: one.execute(
            tables.guest_health.update().values(archive=json.dumps(codec.dump(late)))
        )
    )
    metrics = Metrics()
    metrics.looked_up(Whole(archived).collect)
    found = samples(metrics)
    assert found["dbaas_archives_in_trouble"] == {("behind",): 0, ("faulty",): 0, ("ended",): 0}
    assert found["dbaas_archive_lag_seconds"] == {(): 0}


def test_every_guest_that_is_silent_is_counted(catalog: Catalog) -> None:
    ago = sqlalchemy.text("NOW(6) - INTERVAL 100 SECOND")
    catalog.run(lambda one: one.execute(tables.guest_health.update().values(heard_at=ago)))
    metrics = Metrics()
    metrics.looked_up(Whole(catalog).collect)
    assert samples(metrics)["dbaas_silent_guests"] == {(): 2}


def test_a_catalog_that_is_away_leaves_the_other_figures_there(catalog: Catalog) -> None:
    away = catalog_at("mysql+pymysql://root@127.0.0.1:1/none")
    metrics = Metrics()
    metrics.looked_up(Whole(away).collect)
    OwnWork(metrics).stopped(operation(1.0), State.SUCCEEDED)
    assert set(samples(metrics)) >= {"dbaas_operations_total"}
    away.close()
