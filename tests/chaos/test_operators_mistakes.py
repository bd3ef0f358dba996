"""An operator removes by hand what instances need, or sets something wrong.

What is missing is made again where it can be; else the audit names it and says what to do, tenants
see it, and a delete succeeds. What was made by hand is told and never touched.
"""

import re
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbaas.cloud.base import VolumeOrder
from dbaas.conductor import rebuilding
from dbaas.contract.operations import LedgerKind, State, object_name
from dbaas.contract.secret import Secret
from dbaas.manage import audit
from dbaas.manage.stack import lifecycle
from dbaas.rpc import broker, guests
from dbaas.rpc.broker import Broker
from tests.catalog_server import CatalogServer
from tests.chaos import relay, requests
from tests.chaos.ground import Ground, create_many
from tests.chaos.test_guest_faults import assert_explained, end_of, wait_for_ends
from tests.functional.guest import Guest
from tests.outcomes import Part, Tell


@dataclass(frozen=True)
class Mistake:
    """`kind`: of what is missing then; `heals`: by itself."""

    name: str
    make: Callable[[Guest], None]
    kind: LedgerKind
    heals: bool = False


@contextmanager
def management(guest: Guest) -> Iterator[Broker]:
    conf = relay.configuration(Ground(guest.stack))
    made = broker.from_conf(conf)
    try:
        yield made
    finally:
        made.close()


def remove_server(guest: Guest) -> None:
    guest.cloud.compute.delete_server(guest.name(LedgerKind.SERVER))


def remove_volume(guest: Guest) -> None:
    """Remove its files, as somebody who looks for space; the guest has it open."""
    name = guest.name(LedgerKind.VOLUME)
    where = guest.stack.plan.cloud / "volumes"
    found = list(where.glob(f"{name}.*"))
    assert found
    for path in found:
        path.unlink()


def remove_port(guest: Guest) -> None:
    guest.cloud.networks.delete_port(guest.name(LedgerKind.PORT))


def remove_user(guest: Guest) -> None:
    with management(guest) as there:
        there.remove_user(f"g-{guest.instance_id}")


def remove_queue(guest: Guest) -> None:
    _delete(guest, "queue_delete", guests.command_queue(guest.instance_id))


def remove_exchange(guest: Guest) -> None:
    _delete(guest, "exchange_delete", guests.event_exchange(guest.instance_id))


def _delete(guest: Guest, verb: str, name: str) -> None:
    connection = relay.connect(relay.configuration(Ground(guest.stack))[broker.GROUP].url)
    getattr(connection.channel(), verb)(name)
    connection.close()


MISTAKES = (
    Mistake("the server is deleted", remove_server, LedgerKind.SERVER),
    Mistake("the volume's files are removed", remove_volume, LedgerKind.VOLUME),
    Mistake("the port is deleted", remove_port, LedgerKind.PORT),
    Mistake("the guest's user in the broker is deleted", remove_user, LedgerKind.BUS, heals=True),
    Mistake("the guest's queue is deleted", remove_queue, LedgerKind.BUS, heals=True),
    Mistake("the guest's exchange is deleted", remove_exchange, LedgerKind.BUS, heals=True),
)


def audited(ground: Ground) -> str:
    done = ground.stack.manage("audit", check=False)
    return re.sub(r"[^\S\n]+|│", " ", done.stdout)


def test_what_was_removed_by_hand_is_made_again_or_named_and_can_be_deleted(
    ground: Ground, tell: Tell
) -> None:
    instances = create_many(ground, len(MISTAKES))
    ground.wait_until_done(instances, "ACTIVE")
    found = [Guest(ground.stack, instance) for instance in instances]
    names = [guest.name(mistake.kind) for guest, mistake in zip(found, MISTAKES, strict=True)]
    began = time.monotonic()
    with ThreadPoolExecutor(len(found)) as pool:
        list(pool.map(lambda guest, mistake: mistake.make(guest), found, MISTAKES))
    for instance, mistake in zip(instances, MISTAKES, strict=True):
        if mistake.heals:
            requests.restart_instance(ground, instance)
            ground.wait_until_done([instance], "ACTIVE")
            assert ground.not_done_once(instance) == []
            tell(
                Part.OPERATORS,
                mistake.name,
                "conductors make it again; a restart that was asked for meanwhile succeeds",
                time.monotonic() - began,
            )
    report = audited(ground)
    assert audit.ADVICE[audit.MISSING].split(".")[0] in " ".join(report.split())
    for instance, mistake, name in zip(instances, MISTAKES, names, strict=True):
        assert (name in report) is not mistake.heals, (mistake.name, report)
        began = time.monotonic()
        requests.delete_instance(ground, instance)
        ground.wait_until_done([instance], "GONE")
        if not mistake.heals:
            said = "the audit names it and says what to do; a delete succeeds"
            tell(Part.OPERATORS, mistake.name, said, time.monotonic() - began)
    ground.assert_nothing_left()


@pytest.mark.thorough
@pytest.mark.timeout(600)
@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name.replace(" ", "-"))
def test_what_is_removed_by_hand_in_the_middle_of_an_operation_does_not_hold_it_up_for_ever(
    ground: Ground, tell: Tell, mistake: Mistake
) -> None:
    kinds = ("restart_instance", "resize_volume", "ask_guest", "delete_instance")
    instances = create_many(ground, len(kinds))
    ground.wait_until_done(instances, "ACTIVE")
    began = time.monotonic()
    with ThreadPoolExecutor(2 * len(kinds)) as pool:
        asked = [
            pool.submit(requests.CHANGES[kind].ask, ground, instance)
            for kind, instance in zip(kinds, instances, strict=True)
        ]
        ground.sleep(0.1)
        for instance in instances[:-1]:
            mistake.make(Guest(ground.stack, instance))
        for one in asked:
            one.result()
    wait_for_ends(ground, instances, 400.0)
    seconds = time.monotonic() - began
    ends = [end_of(ground, instance, kind) for kind, instance in zip(kinds, instances, strict=True)]
    for instance, ended in zip(instances, ends, strict=True):
        assert_explained(ground, instance, ended)
        assert ended.state == State.SUCCEEDED or not mistake.heals, ended
    assert ends[-1].state == State.SUCCEEDED
    told = [f"{ended.kind}: {ended.state}" for ended in ends]
    tell(Part.OPERATORS, f"{mistake.name} in the middle of operations", "; ".join(told), seconds)
    ground.delete_all(instances[:-1])
    ground.assert_nothing_left()


@pytest.mark.thorough
def test_what_was_made_by_hand_under_our_names_is_told_and_never_touched(
    ground: Ground, tell: Tell
) -> None:
    stranger = str(uuid.uuid4())
    volume = object_name(stranger, LedgerKind.VOLUME, 1)
    cloud = ground.cloud()
    (instance,) = create_many(ground, 1)
    ground.wait_until_done([instance], "ACTIVE")
    guest = Guest(ground.stack, instance)
    with management(guest) as there:
        cloud.volumes.create_volume(VolumeOrder(volume, 1))
        there.add_guest(stranger, f"g-{stranger}", Secret("of-nobody"))
        try:
            ground.delete_all([instance])
            ground.sleep(rebuilding.EVERY + 6)  # in which a conductor has looked at the broker
            report = audited(ground)
            assert volume in report
            assert f"dbaas-{stranger}-bus?" in report
            assert audit.ADVICE[audit.UNKNOWN].split(":")[0] in " ".join(report.split())
            assert cloud.volumes.find_volume(volume) is not None
            assert f"user g-{stranger}" in there.objects()
        finally:
            cloud.volumes.delete_volume(volume)
            there.remove_guest(stranger, (f"g-{stranger}",))
    tell(
        Part.OPERATORS,
        "a volume and a guest's user are made by hand under names like ours",
        "the audit says that nobody knows them; they are left alone",
    )
    ground.assert_nothing_left()


@pytest.mark.thorough
def test_an_instance_whose_ledger_was_emptied_can_be_deleted_and_leaves_what_the_audit_names(
    ground: Ground, tell: Tell
) -> None:
    (instance,) = create_many(ground, 1)
    ground.wait_until_done([instance], "ACTIVE")
    guest = Guest(ground.stack, instance)
    server, volume = guest.name(LedgerKind.SERVER), guest.name(LedgerKind.VOLUME)
    ground.sql(f"DELETE FROM ledger WHERE instance_id = '{instance}' AND kind <> 'bus'")
    try:
        assert ground.serves(instance)
        requests.delete_instance(ground, instance)
        ground.wait_until_done([instance], "GONE")
        report = audited(ground)
        assert server in report
        assert volume in report
    finally:
        cloud = ground.cloud()
        cloud.compute.delete_server(server)
        cloud.volumes.delete_volume(volume)
        cloud.networks.delete_port(object_name(instance, LedgerKind.PORT, 1))
    tell(
        Part.OPERATORS,
        "rows are deleted from the ledger",
        "the instance goes on; after its delete the audit names what is left of it",
    )
    ground.assert_nothing_left()


def test_programs_refuse_to_start_with_a_wrong_master_key_and_say_so(
    ground: Ground, tell: Tell, tmp_path: Path
) -> None:
    (instance,) = create_many(ground, 1)
    ground.wait_until_done([instance], "ACTIVE")
    absent, open_, rubbish, other = (tmp_path / n for n in ("absent", "open", "rubbish", "other"))
    for path, text, mode in ((open_, "ab" * 32, 0o644), (rubbish, "key", 0o600)):
        path.write_text(text)
        path.chmod(mode)
    other.write_text("ab" * 32)
    other.chmod(0o600)
    api, conductor, manager = lifecycle.SERVICES
    for program, key, says in (
        (api, absent, "cannot read"),
        (manager, open_, "chmod 600"),
        (conductor, rubbish, "64 hexadecimal digits"),
        (manager, other, "not sealed under"),
        (conductor, other, "not sealed under"),
    ):
        settings = tmp_path / "more.conf"
        settings.write_text(f"[secrets]\nmaster_key_file = {key}\n")
        done = start(ground, program, settings, "Traceback")
        assert done.returncode == 1, (program, key, done)
        assert f"{program} cannot start: " in done.stderr
        assert says in done.stderr
        assert "Traceback" not in done.stderr
    tell(
        Part.OPERATORS,
        "the master key's file is absent, open to others, damaged, or another one's",
        "services refuse to start and say why",
    )
    ground.delete_all([instance])
    ground.assert_nothing_left()


@pytest.mark.thorough
def test_services_over_a_catalog_without_tables_wait_and_say_what_to_do(
    ground: Ground, catalog_server: CatalogServer, tell: Tell, tmp_path: Path
) -> None:
    url = catalog_server.fresh()
    name = url.rpartition("/")[2]
    with catalog_server.connect(name) as link, link.cursor() as cursor:
        cursor.execute(f"DROP DATABASE {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    settings = tmp_path / "more.conf"
    settings.write_text(f"[catalog]\nconnection = {url}\n")
    for program in ("dbaas-taskmanager", "dbaas-conductor"):
        done = start(ground, program, settings, "dbaas-manage db upgrade")
        assert done.returncode is None, done
        assert "Traceback" not in done.stderr
    tell(
        Part.OPERATORS,
        "services are started over a catalog whose tables nobody made",
        "they wait for them, and say how they are made",
    )


def test_a_stack_that_is_started_while_it_runs_stays_as_it_is(ground: Ground, tell: Tell) -> None:
    before = {name: state.pid for name, state in ground.programs().states().items()}
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda _: ground.stack.command("up"), range(2)))
    assert {name: state.pid for name, state in ground.programs().states().items()} == before
    tell(Part.OPERATORS, "a running stack is started twice at once", "nothing changes")


@dataclass(frozen=True)
class Started:
    """`returncode`: None for a program that went on, and had to be stopped."""

    returncode: int | None
    stderr: str


def start(ground: Ground, program: str, settings: Path, says: str) -> Started:
    """Start one more of a service, with other settings, until it ends or has said this."""
    files = (ground.stack.configuration, settings)
    command = [str(Path(sys.executable).parent / program)]
    log = settings.with_suffix(".log")
    with log.open("w") as stderr:
        process = subprocess.Popen(
            [*command, *(f"--config-file={file}" for file in files)],
            stderr=stderr,
            stdout=stderr,
        )
    try:
        ground.wait_for(
            lambda: process.poll() is not None or says in log.read_text(), f"{program}: {says}"
        )
        return Started(process.poll(), log.read_text())
    finally:
        process.kill()
        process.wait()
