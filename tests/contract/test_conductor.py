"""The conductor on a real broker and a real catalog, with honest guests and with others."""

import dataclasses
import json
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dbaas.catalog import guests, unit
from dbaas.catalog.records import GuestIdentity, Heartbeat
from dbaas.common.sealing import Sealer
from dbaas.conductor.rebuilding import EVERY, rebuild, watch
from dbaas.conductor.service import REFUSALS_LOGGED, Conductor
from dbaas.contract import codec, errors
from dbaas.contract.messages import Health, Progress, ServiceStatus
from dbaas.contract.secret import Secret
from dbaas.rpc import envelope
from dbaas.rpc.broker import Broker
from dbaas.rpc.envelope import Header
from dbaas.rpc.guests import Address, AgentLink, Event, EventConsumer
from tests.bus_server import VHOST, BusServer
from tests.catalog_server import CatalogServer, catalog_at

MASTER_KEY = "ab" * 32
HEALTH = Health(ServiceStatus.HEALTHY, 1000, 10, "11.8.2", 5.0)


class Guest:
    """A guest that says what a test wants it to say."""

    def __init__(self, identity: GuestIdentity, server: BusServer) -> None:
        self.identity = identity
        self.instance = identity.instance_id
        self.seq = 0
        self._address = Address(
            "127.0.0.1",
            server.guest_port,
            VHOST,
            identity.user,
            identity.password,
            server.authority,
        )
        self.link = AgentLink(self._address, self.instance)

    def say(self, kind: str, data: Any, **header: Any) -> int:
        """Say `data` as an event of this kind; return its number."""
        self.link.publish(kind, self.sealed(kind, data, **header))
        return int(header.get("seq", self.seq))

    def sealed(self, kind: str, data: Any, **header: Any) -> bytes:
        """Return `data` as its next event, of this kind, and with a header as it ought to be but
        for `header`."""
        self.seq += 1
        fields: dict[str, Any] = {
            "v": 1, "instance": self.instance, "key": self.identity.key_id, "direction": "up",
            "command": "", "epoch": 0, "boot": 1, "seq": self.seq, "sent": time.time(),
            "method": kind,
        }  # fmt: skip
        body = json.dumps(data).encode()
        return envelope.seal(self.identity.event_key, Header(**(fields | header)), body)

    def beat(self, health: Health = HEALTH, **header: Any) -> int:
        return self.say("hb", codec.dump(health), **header)


class Place:
    """A broker, a catalog, and what a test looks at in them."""

    def __init__(self, bus: BusServer, url: str) -> None:
        self.bus = bus
        self.url = url
        self.catalog = catalog_at(url, timeout=2.0)
        self.sealer = Sealer(bytes.fromhex(MASTER_KEY))
        self.broker = Broker(bus.management_url)
        self.guests: list[Guest] = []

    def add_guest(self, state: str = guests.INTRODUCED) -> Guest:
        instance = str(uuid.uuid4())
        identity = GuestIdentity(
            instance_id=instance,
            state=state,
            user=f"g-{instance}",
            password=Secret("secret"),
            key_id="k1",
            command_key=envelope.new_key(),
            event_key=envelope.new_key(),
        )
        self.broker.ensure_topology()
        self.broker.add_guest(instance, identity.user, identity.password)

        def write(u: unit.Unit) -> None:
            u.exec_driver_sql("SET SESSION foreign_key_checks=0")  # no instance is needed here
            guests.add(u, self.sealer, identity)
            u.exec_driver_sql("SET SESSION foreign_key_checks=1")

        self.catalog.run(write)
        guest = Guest(identity, self.bus)
        guest.link.connect()
        self.guests.append(guest)
        return guest

    def rotate_keys(self, guest: Guest) -> None:
        """Give it the next keys, which it learns at once; its user stays."""
        number = int(guest.identity.key_id[1:]) + 1
        guest.identity = dataclasses.replace(
            guest.identity, key_id=f"k{number}", event_key=envelope.new_key()
        )
        self.catalog.run(lambda unit: guests.add(unit, self.sealer, guest.identity))

    def add_command(self, guest: Guest, method: str = "ping") -> str:
        """Make an operation that waits, for an hour, for the guest's answer to a command."""
        operation = str(uuid.uuid4())
        command = f"{operation}.1.do.1.1"

        def write(u: unit.Unit) -> None:
            u.exec_driver_sql(
                "INSERT INTO operations (id,kind,project_id,user_id,request_id,instance_id,state,"
                "request,run_at) VALUES (%s,'k','p','u','r',%s,'runnable','{}',"
                "NOW(6) + INTERVAL 1 HOUR)",
                (operation, guest.instance),
            )
            u.exec_driver_sql(
                "INSERT INTO commands (id,operation_id,instance_id,method,digest,state,deadline) "
                "VALUES (%s,%s,%s,%s,'','sent',NOW(6) + INTERVAL 1 HOUR)",
                (command, operation, guest.instance, method),
            )

        self.catalog.run(write)
        return command

    def row(self, sql: str, *values: Any) -> Any:
        return self.catalog.read(lambda u: u.exec_driver_sql(sql, values).one_or_none())

    def seq(self, guest: Guest) -> int:
        row = self.row("SELECT seq FROM guest_health WHERE instance_id=%s", guest.instance)
        return 0 if row is None else int(row.seq)

    def close(self) -> None:
        for guest in self.guests:
            guest.link.close()
            self.broker.remove_guest(guest.instance, (guest.identity.user,))
        self.catalog.close()
        self.broker.close()


@pytest.fixture
def place(bus_server: BusServer, catalog_server: CatalogServer) -> Iterator[Place]:
    place = Place(bus_server, catalog_server.fresh())
    yield place
    place.close()


class Running:
    """A conductor in a thread of this process."""

    def __init__(self, place: Place) -> None:
        self.woken: list[str] = []
        self.conductor = Conductor(
            place.catalog, place.sealer, Broker(place.bus.management_url), self.woken.append
        )
        self._stop = threading.Event()
        consumer = EventConsumer(place.bus.url)
        self._thread = threading.Thread(
            target=self.conductor.run, args=(consumer, 500, 0.05, self._stop)
        )
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(10)
        assert not self._thread.is_alive()


@pytest.fixture
def running(place: Place) -> Iterator[Running]:
    running = Running(place)
    yield running
    running.stop()


def eventually(condition: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


# Heartbeats


def test_the_newest_heartbeat_is_kept_whatever_the_order(place: Place, running: Running) -> None:
    guest = place.add_guest()
    worse = dataclasses.replace(HEALTH, service=ServiceStatus.SHUTDOWN, volume_used=11)
    guest.beat(worse, boot=2, seq=5)
    eventually(lambda: place.seq(guest) == 5)
    for boot, seq in ((2, 4), (2, 5), (1, 900)):
        guest.beat(boot=boot, seq=seq)
    time.sleep(0.5)
    sql = "SELECT boot,seq,service,volume_used,progress FROM guest_health WHERE instance_id=%s"
    assert tuple(place.row(sql, guest.instance)) == (2, 5, "shutdown", 11, "{}")
    guest.beat(dataclasses.replace(HEALTH, progress={"a": Progress(5, 10)}), boot=3, seq=1)
    eventually(lambda: place.seq(guest) == 1)
    *seen, progress = place.row(sql, guest.instance)
    assert seen == [3, 1, "healthy", 10]
    assert codec.load(Progress, json.loads(progress)["a"]) == Progress(5, 10)


@pytest.mark.parametrize("is_known", [False, True])
def test_a_heartbeat_that_is_older_than_the_health_in_an_answer_is_ignored(
    place: Place, running: Running, is_known: bool
) -> None:
    guest = place.add_guest()
    if is_known:
        guest.beat(seq=5)
        eventually(lambda: place.seq(guest) == 5)
    guest.say("result", {"ok": codec.dump(HEALTH)}, command=place.add_command(guest), seq=9)
    eventually(lambda: running.woken)
    place.catalog.run(lambda u: guests.reported(u, guest.instance, HEALTH))
    guest.beat(dataclasses.replace(HEALTH, service=ServiceStatus.RESTARTING), seq=8)
    guest.say("result", {"ok": None}, command=place.add_command(guest, "disable_root"), seq=12)
    eventually(lambda: len(running.woken) == 2)
    sql = "SELECT seq,service FROM guest_health WHERE instance_id=%s"
    assert tuple(place.row(sql, guest.instance)) == (9, "healthy")
    guest.beat(dataclasses.replace(HEALTH, service=ServiceStatus.CRASHED), seq=11)
    eventually(lambda: tuple(place.row(sql, guest.instance)) == (11, "crashed"))


def test_many_heartbeats_cost_few_statements(place: Place, catalog_server: CatalogServer) -> None:
    guests_ = [place.add_guest() for _ in range(5)]
    for _ in range(200):
        for guest in guests_:
            guest.beat()
    before = catalog_server.questions()
    running = Running(place)
    eventually(lambda: all(place.seq(guest) == 200 for guest in guests_))
    assert catalog_server.questions() - before < 400  # most of them this test's own
    running.stop()


# Keys


def test_a_guest_is_heard_under_a_new_key_though_it_was_looked_up_just_before(
    place: Place, running: Running
) -> None:
    guest = place.add_guest()
    for _ in range(5):
        guest.beat(key="of nobody")
        place.rotate_keys(guest)
        guest.beat()
        eventually(lambda: place.seq(guest) == guest.seq)


def test_a_former_key_is_worth_nothing_from_the_first_word_under_a_new_one(place: Place) -> None:
    guest = place.add_guest()
    broker = Broker(place.bus.management_url)
    conductor = Conductor(place.catalog, place.sealer, broker, lambda _operation: None)
    beat = codec.dump(HEALTH)
    conductor.take([Event(guest.instance, guest.sealed("hb", beat))])
    former = guest.sealed("hb", beat, seq=100)
    place.rotate_keys(guest)
    conductor.take(
        [Event(guest.instance, said) for said in (guest.sealed("hb", beat, seq=50), former)]
    )
    assert place.seq(guest) == 50
    broker.close()


# Results


def test_an_answer_is_stored_and_its_operation_woken(place: Place, running: Running) -> None:
    guest = place.add_guest()
    command = place.add_command(guest)
    operation = command.partition(".")[0]
    began = time.monotonic()
    guest.say("result", {"ok": codec.dump(HEALTH)}, command=command)
    eventually(lambda: running.woken == [operation])
    assert time.monotonic() - began < 2
    row = place.row("SELECT state,result FROM commands WHERE id=%s", command)
    assert row.state == "answered"
    assert json.loads(row.result) == {"ok": codec.dump(HEALTH)}
    due = "SELECT wakes, run_at<=NOW(6) AS due FROM operations WHERE id=%s"
    assert tuple(place.row(due, operation)) == (1, 1)


def test_only_the_first_answer_counts(place: Place, running: Running) -> None:
    guest = place.add_guest()
    command = place.add_command(guest)
    first = {"error": {"kind": "Failed", "text": "first"}}
    guest.say("result", first, command=command)
    eventually(lambda: running.woken)
    guest.say("result", {"error": {"kind": "Failed", "text": "second"}}, command=command)
    guest.beat()
    eventually(lambda: place.seq(guest))
    row = place.row("SELECT result FROM commands WHERE id=%s", command)
    assert json.loads(row.result) == first
    assert len(running.woken) == 1


def test_another_guests_command_cannot_be_answered(place: Place, running: Running) -> None:
    victim, enemy = place.add_guest(), place.add_guest()
    command = place.add_command(victim)
    enemy.say("result", {"ok": codec.dump(HEALTH)}, command=command)
    enemy.say("result", {"ok": codec.dump(HEALTH)}, command=command, instance=victim.instance)
    enemy.beat()
    eventually(lambda: place.seq(enemy))
    assert place.row("SELECT state FROM commands WHERE id=%s", command).state == "sent"
    assert not running.woken
    victim.say("result", {"ok": codec.dump(HEALTH)}, command=command)
    eventually(lambda: running.woken)


# Enemies


def test_rubbish_is_refused_and_does_not_come_back(
    place: Place, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    enemy = place.add_guest()
    for _ in range(20):
        enemy.link.publish("hb", b"rubbish")
        enemy.beat(dataclasses.replace(HEALTH, volume_used=-1))
    last = enemy.beat()
    eventually(lambda: place.seq(enemy) == last)
    lines = [record for record in caplog.records if enemy.instance in record.getMessage()]
    # For two reasons, and their sum; a new minute may have begun.
    assert 2 * REFUSALS_LOGGED <= len(lines) <= 2 * (2 * REFUSALS_LOGGED + 1)
    assert place.row("SELECT state FROM guests WHERE instance_id=%s", enemy.instance).state == (
        guests.INTRODUCED
    )


def test_what_a_guest_logs_is_escaped_and_rationed(
    place: Place, running: Running, caplog: pytest.LogCaptureFixture
) -> None:
    guest = place.add_guest()
    for _ in range(30):
        guest.say("log", {"level": "error", "text": "x\nERROR forged line"})
    guest.beat()
    eventually(lambda: place.seq(guest))
    lines = [record.getMessage() for record in caplog.records if "says" in record.getMessage()]
    assert 0 < len(lines) <= 20
    assert not any("\n" in line for line in lines)


def test_a_flood_is_quarantined_and_neighbours_lose_nothing(place: Place, running: Running) -> None:
    enemy, neighbour = place.add_guest(), place.add_guest()
    command = place.add_command(enemy)
    lost = threading.Event()

    def flood() -> None:
        try:
            while True:
                enemy.beat()
        except errors.Unavailable:
            lost.set()

    thread = threading.Thread(target=flood, daemon=True)
    thread.start()
    while not lost.is_set():
        said = neighbour.beat()
        eventually(lambda said=said: place.seq(neighbour) >= said, 5)  # type: ignore[misc]
    thread.join()
    eventually(lambda: running.woken == [command.partition(".")[0]])
    sql = "SELECT state, quarantined_at IS NOT NULL AS dated FROM guests WHERE instance_id=%s"
    assert tuple(place.row(sql, enemy.instance)) == (guests.QUARANTINED, 1)
    assert f"user {enemy.identity.user}" not in place.broker.objects()
    with pytest.raises(errors.Forbidden):
        enemy.link.connect()
    said = neighbour.beat()
    eventually(lambda: place.seq(neighbour) == said)
    rebuild(place.catalog, place.sealer, place.broker)
    assert f"user {enemy.identity.user}" not in place.broker.objects()


def test_a_quarantined_guest_shows_nothing_and_stays_so(place: Place, running: Running) -> None:
    enemy = place.add_guest()
    enemy.beat()
    eventually(lambda: place.seq(enemy) == 1)
    for _ in range(2):
        place.catalog.run(lambda unit: guests.quarantined(unit, enemy.instance))
    place.catalog.run(
        lambda unit: guests.fold(unit, {enemy.instance: Heartbeat((1 << 63) - 1, 9, HEALTH)})
    )
    sql = "SELECT service FROM guest_health WHERE instance_id=%s"
    assert place.row(sql, enemy.instance).service == "unknown"


def test_a_rebuild_and_a_quarantine_do_not_fight(place: Place) -> None:
    """A rebuild that knows nothing of the quarantine makes the user; then it looks again."""
    enemy = place.add_guest()
    place.broker.quarantine(enemy.instance, enemy.identity.users)

    class Interrupted(Broker):
        def add_guest(self, instance: str, user: str, password: Secret) -> None:
            super().add_guest(instance, user, password)
            place.catalog.run(lambda unit: guests.quarantined(unit, instance))

    broker = Interrupted(place.bus.management_url)
    rebuild(place.catalog, place.sealer, broker)
    broker.close()
    assert f"user {enemy.identity.user}" not in place.broker.objects()


def test_a_rebuild_and_a_deletion_do_not_fight(place: Place) -> None:
    guest = place.add_guest()
    place.broker.remove_user(guest.identity.user)

    class Interrupted(Broker):
        def add_guest(self, instance: str, user: str, password: Secret) -> None:
            place.catalog.run(lambda unit: guests.gone(unit, instance))
            self.remove_guest(instance, (user,))
            super().add_guest(instance, user, password)

    broker = Interrupted(place.bus.management_url)
    rebuild(place.catalog, place.sealer, broker)
    broker.close()
    assert not any(guest.instance in name for name in place.broker.objects())


def test_a_rebuild_and_the_end_of_first_contact_do_not_fight(place: Place) -> None:
    guest = place.add_guest(guests.NEW)
    contact = f"f-{guest.instance}"
    identity = dataclasses.replace(
        guest.identity, contact_user=contact, contact_password=Secret("first")
    )
    place.catalog.run(lambda unit: guests.add(unit, place.sealer, identity))

    class Interrupted(Broker):
        def add_user(self, instance: str, user: str, password: Secret) -> None:
            if user == contact:
                place.catalog.run(lambda unit: guests.introduced(unit, instance))
                self.remove_user(contact)
            super().add_user(instance, user, password)

    broker = Interrupted(place.bus.management_url)
    rebuild(place.catalog, place.sealer, broker)
    broker.close()
    there = place.broker.objects()
    assert f"user {contact}" not in there
    assert f"user {guest.identity.user}" in there


def test_a_user_that_was_removed_by_hand_is_made_again(place: Place) -> None:
    guest = place.add_guest()
    stop = threading.Event()
    broker = Broker(place.bus.management_url)
    thread = threading.Thread(target=watch, args=(place.catalog, place.sealer, broker, stop))
    thread.start()
    try:
        place.bus.delete_user(guest.identity.user)
        eventually(lambda: f"user {guest.identity.user}" in place.broker.objects(), 2 * EVERY)
    finally:
        stop.set()
        thread.join()
        broker.close()
    guest.link.connect()


def test_the_health_of_guests_that_there_are_no_more_is_forgotten(place: Place) -> None:
    guest = place.add_guest()
    known = {name: Heartbeat(1, 1, HEALTH) for name in (guest.instance, str(uuid.uuid4()))}
    place.catalog.run(lambda unit: guests.fold(unit, known))
    assert place.catalog.run(guests.forget_strangers) == 1
    assert place.seq(guest) == 1


# What is away comes back


def test_events_wait_while_the_catalog_hangs(
    place: Place, running: Running, catalog_server: CatalogServer
) -> None:
    guest = place.add_guest()
    guest.beat()
    eventually(lambda: place.seq(guest))
    command = place.add_command(guest)
    with catalog_server.connect(place.url.rpartition("/")[2]) as connection:
        connection.cursor().execute("LOCK TABLES guest_health WRITE, commands WRITE, leases WRITE")
        last = guest.beat()
        guest.say("result", {"ok": codec.dump(HEALTH)}, command=command)
        time.sleep(5)  # the conductor gives a statement up after 2
        assert not running.woken
    eventually(lambda: running.woken)
    eventually(lambda: place.seq(guest) > last)  # by the answer, which is newer


def test_a_lost_virtual_host_is_made_again_from_the_catalog(place: Place, running: Running) -> None:
    guest, removed = place.add_guest(), place.add_guest(guests.GONE)
    guest.beat()
    eventually(lambda: place.seq(guest))
    place.bus.delete_vhost()
    place.bus.delete_user(guest.identity.user)

    def is_back() -> bool:
        try:
            guest.link.connect()
        except (errors.Unavailable, errors.Forbidden):
            return False
        return True

    eventually(is_back, 20)
    last = guest.beat()
    eventually(lambda: place.seq(guest) == last)
    assert not any(f"agent.{removed.instance}" in thing for thing in place.broker.objects())


def test_rebuilding_costs_nothing_when_nothing_is_missing(place: Place) -> None:
    place.add_guest()
    rebuild(place.catalog, place.sealer, place.broker)
    before = place.broker.objects()
    rebuild(place.catalog, place.sealer, place.broker)
    assert place.broker.objects() == before


# The process


@pytest.fixture
def configuration(place: Place, tmp_path: Path) -> Path:
    key = tmp_path / "master.key"
    key.write_text(MASTER_KEY)
    key.chmod(0o600)
    path = tmp_path / "dbaas.conf"
    path.write_text(
        f"""\
[DEFAULT]
transport_url = {place.bus.control_url}
[catalog]
connection = {place.url}
[guest_bus]
url = {place.bus.url}
management_url = {place.bus.management_url}
[secrets]
master_key_file = {key}
"""
    )
    return path


def _process(configuration: Path) -> "subprocess.Popen[bytes]":
    program = "from dbaas.conductor.service import main; main()"
    return subprocess.Popen(
        [sys.executable, "-c", program, "--config-file", str(configuration)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def _wait_until_they_listen(place: Place, conductors: int) -> None:
    """Return when there are so many: one that starts just ends when it is told to stop."""
    one_more = EventConsumer(place.bus.url)
    one_more.connect()
    eventually(lambda: one_more.consumers() == conductors + 1, 30)
    one_more.close()


def test_a_killed_conductor_loses_nothing(place: Place, configuration: Path) -> None:
    guest = place.add_guest()
    commands = [place.add_command(guest) for _ in range(30)]
    process = _process(configuration)
    try:
        for n, command in enumerate(commands):
            guest.say("result", {"ok": codec.dump(HEALTH)}, command=command)
            if n % 10 == 5:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                process = _process(configuration)
            time.sleep(0.05)
        eventually(
            lambda: place.row("SELECT COUNT(*) AS n FROM commands WHERE state='sent'").n == 0, 20
        )
    finally:
        process.kill()
        process.communicate()


def test_two_conductors_share_the_work_and_stop_when_told(
    place: Place, configuration: Path
) -> None:
    guest = place.add_guest()
    processes = [_process(configuration) for _ in range(2)]
    try:
        _wait_until_they_listen(place, len(processes))
        for _ in range(20):
            last = guest.beat()
        eventually(lambda: place.seq(guest) == last)
        for process in processes:
            began = time.monotonic()
            process.terminate()
            _, errors_ = process.communicate(timeout=10)
            assert time.monotonic() - began < 5
            assert process.returncode == 0, errors_.decode()
    finally:
        for process in processes:
            process.kill()
            process.communicate()
