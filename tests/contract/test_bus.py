"""The guests' bus on a real RabbitMQ: what it carries, what it refuses, and how it fails."""

import dataclasses
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import amqp
import pytest
import requests

from dbaas.common import certificates
from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.rpc import guests
from dbaas.rpc.broker import Broker
from dbaas.rpc.guests import Address, AgentLink, CommandPublisher, EventConsumer
from tests.bus_server import VHOST, BusServer
from tests.frozen import frozen

PASSWORD = Secret("a password with / and ü")


@dataclasses.dataclass(frozen=True)
class Guest:
    instance: str
    user: str
    address: Address


@pytest.fixture(scope="module")
def broker(bus_server: BusServer) -> Iterator[Broker]:
    broker = Broker(bus_server.management_url)
    broker.ensure_topology()
    yield broker
    broker.close()


def _guest(broker: Broker, server: BusServer) -> Guest:
    instance = str(uuid.uuid4())
    user = f"g-{instance}"
    broker.add_guest(instance, user, PASSWORD)
    address = Address("127.0.0.1", server.guest_port, VHOST, user, PASSWORD, server.authority)
    return Guest(instance, user, address)


@pytest.fixture
def guest(broker: Broker, bus_server: BusServer) -> Iterator[Guest]:
    guest = _guest(broker, bus_server)
    yield guest
    broker.remove_guest(guest.instance, (guest.user,))


@pytest.fixture(scope="module")
def neighbour(broker: Broker, bus_server: BusServer) -> Iterator[Guest]:
    guest = _guest(broker, bus_server)
    yield guest
    broker.remove_guest(guest.instance, (guest.user,))


@pytest.fixture
def link(guest: Guest) -> Iterator[AgentLink]:
    link = AgentLink(guest.address, guest.instance)
    link.connect()
    yield link
    link.close()


@pytest.fixture
def publisher(bus_server: BusServer) -> Iterator[CommandPublisher]:
    publisher = CommandPublisher(bus_server.url)
    yield publisher
    publisher.close()


@pytest.fixture
def consumer(bus_server: BusServer, broker: Broker) -> Iterator[EventConsumer]:
    consumer = EventConsumer(bus_server.url)
    consumer.connect()
    yield consumer
    consumer.close()


def _heard(consumer: EventConsumer, count: int) -> list[guests.Event]:
    events: list[guests.Event] = []
    deadline = time.monotonic() + 10
    while len(events) < count and time.monotonic() < deadline:
        events += consumer.fetch(100, 0.0, 0.2)
    return events


# What it carries


def test_commands_reach_their_guest_one_at_a_time(
    guest: Guest, link: AgentLink, publisher: CommandPublisher
) -> None:
    publisher.publish(guest.instance, b"first \xff")
    publisher.publish(guest.instance, b"second")
    assert link.poll(5) == b"first \xff"
    assert link.poll(0.1) is None
    link.acknowledge()
    assert link.poll(5) == b"second"


def test_a_command_that_was_not_acknowledged_comes_again(
    guest: Guest, link: AgentLink, publisher: CommandPublisher
) -> None:
    publisher.publish(guest.instance, b"command")
    assert link.poll(5) == b"command"
    link.connect()
    assert link.poll(5) == b"command"
    link.acknowledge()
    link.connect()
    assert link.poll(0.2) is None


def test_events_arrive_with_their_sender(
    guest: Guest, link: AgentLink, consumer: EventConsumer
) -> None:
    for kind in ("hb", "log", "result"):
        link.publish(kind, kind.encode() + b"\x00\xff")
    events = _heard(consumer, 3)
    assert {event.sender for event in events} == {guest.instance}
    assert sorted(event.body for event in events) == [
        b"hb\x00\xff",
        b"log\x00\xff",
        b"result\x00\xff",
    ]
    consumer.settle()


def test_events_come_again_until_they_are_settled(
    bus_server: BusServer, link: AgentLink, consumer: EventConsumer
) -> None:
    link.publish("result", b"answer")
    assert [event.body for event in _heard(consumer, 1)] == [b"answer"]
    consumer.connect()
    assert [event.body for event in _heard(consumer, 1)] == [b"answer"]
    consumer.settle()
    consumer.connect()
    assert consumer.fetch(10, 0.0, 0.3) == []


def test_heartbeats_wait_for_others_and_results_do_not(
    link: AgentLink, consumer: EventConsumer
) -> None:
    link.publish("hb", b"beat")
    began = time.monotonic()
    assert len(consumer.fetch(10, 1.0, 5)) == 1
    assert time.monotonic() - began >= 1.0
    link.publish("result", b"answer")
    began = time.monotonic()
    assert len(consumer.fetch(10, 1.0, 5)) == 1
    assert time.monotonic() - began < 0.9
    consumer.settle()


def test_an_idle_link_stays_for_several_heartbeats(
    guest: Guest, link: AgentLink, publisher: CommandPublisher
) -> None:
    assert link.poll(2.5 * guests.HEARTBEAT) is None
    publisher.publish(guest.instance, b"command")
    assert link.poll(5) == b"command"


# Who it takes


def test_the_brokers_certificate_must_be_of_the_authority(guest: Guest) -> None:
    other = certificates.create_authority("another").cert_pem
    address = dataclasses.replace(guest.address, authority=other)
    with pytest.raises(errors.Unavailable, match="certificate"):
        AgentLink(address, guest.instance).connect()


def test_the_brokers_certificate_must_be_for_its_address(guest: Guest) -> None:
    address = dataclasses.replace(guest.address, host="127.1")
    with pytest.raises(errors.Unavailable, match="certificate"):
        AgentLink(address, guest.instance).connect()


def test_unknown_credentials_are_forbidden(guest: Guest) -> None:
    for changes in ({"password": Secret("wrong")}, {"user": "g-nobody"}):
        with pytest.raises(errors.Forbidden):
            AgentLink(dataclasses.replace(guest.address, **changes), guest.instance).connect()


def test_only_one_agent_reads_a_guests_commands(guest: Guest, link: AgentLink) -> None:
    second = AgentLink(guest.address, guest.instance)
    with pytest.raises(errors.Unavailable):
        second.connect()
    link.close()
    second.connect()
    second.close()


def test_another_guests_commands_cannot_be_read(guest: Guest, neighbour: Guest) -> None:
    with pytest.raises(errors.Unavailable):
        AgentLink(guest.address, neighbour.instance).connect()


def test_a_guest_has_four_connections(guest: Guest, link: AgentLink) -> None:
    others = [_raw(guest) for _ in range(3)]
    try:
        with pytest.raises((amqp.NotAllowed, amqp.AccessRefused)):
            _raw(guest)
    finally:
        for other in others:
            other.close()


def _raw(guest: Guest, vhost: str = VHOST) -> Any:
    connection = amqp.Connection(
        host=f"127.0.0.1:{guest.address.port}",
        userid=guest.user,
        password=PASSWORD.reveal(),
        login_method="PLAIN",
        virtual_host=vhost,
        ssl={"cert_reqs": 0},
        connect_timeout=5,
    )
    connection.connect()
    return connection


def _publish(channel: Any, exchange: str, key: str) -> None:
    channel.basic_publish(amqp.Message(b"forged"), exchange, key)
    channel.basic_qos(0, 1, False)  # has an answer, and the refusal comes before it


Probe = Callable[[Any, str, str], object]

PROBES: dict[str, Probe] = {
    "publish to the exchange for commands": lambda c, me, you: _publish(c, "cmd", you),
    "publish to a queue through the default exchange": lambda c, me, you: _publish(
        c, "", guests.command_queue(you)
    ),
    "publish to an event queue directly": lambda c, me, you: _publish(c, "", "guest-events-0"),
    "publish as another guest": lambda c, me, you: _publish(c, f"evt.{you}", f"evt.{you}.hb"),
    "publish with another key": lambda c, me, you: _publish(c, f"evt.{me}", f"evt.{you}.hb"),
    "publish another kind of event": lambda c, me, you: _publish(c, f"evt.{me}", f"evt.{me}.sh"),
    "publish to a predefined exchange": lambda c, me, you: _publish(c, "amq.topic", "x"),
    "consume another guest's commands": lambda c, me, you: c.basic_consume(
        guests.command_queue(you)
    ),
    "consume everybody's events": lambda c, me, you: c.basic_consume("guest-events-0"),
    "get another guest's command": lambda c, me, you: c.basic_get(guests.command_queue(you)),
    "get somebody's event": lambda c, me, you: c.basic_get("guest-events-0"),
    "purge another guest's commands": lambda c, me, you: c.queue_purge(guests.command_queue(you)),
    "purge everybody's events": lambda c, me, you: c.queue_purge("guest-events-0"),
    "declare a queue": lambda c, me, you: c.queue_declare("mine"),
    "declare a queue that the broker names": lambda c, me, you: c.queue_declare(""),
    "declare an exchange": lambda c, me, you: c.exchange_declare("mine", "topic"),
    "delete its own queue": lambda c, me, you: c.queue_delete(guests.command_queue(me)),
    "delete another guest's queue": lambda c, me, you: c.queue_delete(guests.command_queue(you)),
    "delete another guest's exchange": lambda c, me, you: c.exchange_delete(f"evt.{you}"),
    "bind its queue to another guest's events": lambda c, me, you: c.queue_bind(
        guests.command_queue(me), f"evt.{you}", "#"
    ),
    "bind its queue to all commands": lambda c, me, you: c.queue_bind(
        guests.command_queue(me), "cmd", you
    ),
    "bind another guest's exchange to its own": lambda c, me, you: c.exchange_bind(
        f"evt.{me}", f"evt.{you}", "#"
    ),
    "unbind another guest": lambda c, me, you: c.queue_unbind(
        guests.event_queue(you), f"evt.{you}", f"evt.{you}.*"
    ),
}


@pytest.mark.parametrize("probe", PROBES)
def test_a_guest_may_not(probe: str, guest: Guest, neighbour: Guest) -> None:
    connection = _raw(guest)
    try:
        with pytest.raises(amqp.AccessRefused):
            PROBES[probe](connection.channel(), guest.instance, neighbour.instance)
    finally:
        connection.close()


def test_a_guest_may_not_enter_another_virtual_host(guest: Guest) -> None:
    for vhost in ("ctl", "/"):
        with pytest.raises(amqp.NotAllowed):
            _raw(guest, vhost)


def test_a_guest_may_not_use_the_management_api(guest: Guest, bus_server: BusServer) -> None:
    for path in ("whoami", "overview", "users", f"queues/{VHOST}"):
        answer = requests.get(
            f"http://127.0.0.1:{bus_server.management_port}/api/{path}",
            auth=(guest.user, PASSWORD.reveal().encode().decode("latin-1")),
            timeout=5,
        )
        assert answer.status_code == 401


def test_extra_routing_keys_do_not_make_another_sender(
    guest: Guest, neighbour: Guest, consumer: EventConsumer
) -> None:
    connection = _raw(guest)
    message = amqp.Message(
        b"forged",
        application_headers={"CC": [f"evt.{neighbour.instance}.hb"], "BCC": ["guest-events-0"]},
    )
    connection.channel().basic_publish(message, f"evt.{guest.instance}", f"evt.{guest.instance}.hb")
    assert [event.sender for event in _heard(consumer, 1)] == [guest.instance]
    consumer.settle()
    connection.close()


# How it fails


def test_a_full_event_queue_refuses_what_comes_and_keeps_what_it_has(
    bus_server: BusServer, guest: Guest, link: AgentLink, consumer: EventConsumer
) -> None:
    consumer.close()
    link.publish("hb", b"the first")

    def fill() -> None:
        for _ in range(40):
            link.publish("log", bytes(1_000_000))

    with pytest.raises(errors.Busy, match="full"):
        fill()
    with pytest.raises(errors.Busy):
        link.publish("result", bytes(1_000_000))
    consumer.connect()
    assert consumer.fetch(1, 0.0, 5)[0].body == b"the first"
    heard = 1
    while events := consumer.fetch(100, 0.0, 0.5):
        consumer.settle()
        heard += len(events)
    assert 30 < heard < 40
    link.publish("hb", b"the connection is the same")
    assert _heard(consumer, 1)[0].body == b"the connection is the same"
    consumer.settle()


def test_a_consumer_knows_how_many_there_are(
    bus_server: BusServer, consumer: EventConsumer
) -> None:
    assert consumer.consumers() == 1
    second = EventConsumer(bus_server.url)
    second.connect()
    assert consumer.consumers() == second.consumers() == 2
    second.close()
    assert consumer.consumers() == 1


def test_a_full_queue_refuses_commands_and_keeps_what_it_has(
    guest: Guest, publisher: CommandPublisher
) -> None:
    publisher.publish(guest.instance, b"the first")

    def fill() -> None:
        for _ in range(12):
            publisher.publish(guest.instance, bytes(1_000_000))

    with pytest.raises(errors.Unavailable, match="full"):
        fill()
    link = AgentLink(guest.address, guest.instance)
    link.connect()
    assert link.poll(5) == b"the first"
    link.close()


def test_a_guest_that_is_not_there_is_noticed(guest: Guest, publisher: CommandPublisher) -> None:
    with pytest.raises(guests.Gone):
        publisher.publish(str(uuid.uuid4()), b"command")
    publisher.publish(guest.instance, b"command")


def test_a_frozen_broker_holds_nobody_up_for_long(
    bus_server: BusServer, guest: Guest, publisher: CommandPublisher
) -> None:
    publisher.publish(guest.instance, b"before")
    with frozen(bus_server.pid):
        for _ in range(3):
            began = time.monotonic()
            with pytest.raises(errors.Unavailable):
                publisher.publish(guest.instance, b"meanwhile")
            assert time.monotonic() - began < 6
        began = time.monotonic()
        with pytest.raises(errors.Unavailable):
            AgentLink(guest.address, guest.instance).connect()
        assert time.monotonic() - began < 6
    time.sleep(1.1)
    publisher.publish(guest.instance, b"after")


def test_a_lost_connection_is_replaced_unnoticed(
    bus_server: BusServer, guest: Guest, publisher: CommandPublisher
) -> None:
    publisher.publish(guest.instance, b"first")
    publisher._connection.sock.shutdown(socket.SHUT_RDWR)
    publisher.publish(guest.instance, b"second")


def test_a_quarantined_guest_is_out_at_once(
    broker: Broker, guest: Guest, link: AgentLink, consumer: EventConsumer
) -> None:
    link.publish("hb", b"before")
    assert len(_heard(consumer, 1)) == 1
    broker.quarantine(guest.instance, (guest.user,))

    def go_on() -> None:
        for _ in range(50):
            link.publish("hb", b"after")
            link.poll(0.1)

    with pytest.raises(errors.Unavailable):
        go_on()
    with pytest.raises(errors.Forbidden):
        link.connect()
    assert consumer.fetch(10, 0.0, 0.5) == []
    consumer.settle()
    left = {thing for thing in broker.objects() if guest.instance in thing}
    queue = guests.command_queue(guest.instance)
    assert left == {f"queue {queue}", f"exchange evt.{guest.instance}", f"binding cmd {queue}"}
    broker.quarantine(guest.instance, (guest.user,))


def test_making_and_removing_may_be_repeated_and_leave_nothing(
    broker: Broker, bus_server: BusServer
) -> None:
    before = broker.objects()
    guest = _guest(broker, bus_server)
    made = broker.objects()
    broker.add_guest(guest.instance, guest.user, PASSWORD)
    broker.ensure_topology()
    assert broker.objects() == made > before
    for _ in range(2):
        broker.remove_guest(guest.instance, (guest.user, "f-never-made"))
        assert broker.objects() == before


def test_a_lost_virtual_host_is_noticed_and_made_again(
    broker: Broker, bus_server: BusServer, neighbour: Guest, consumer: EventConsumer
) -> None:
    link = AgentLink(neighbour.address, neighbour.instance)
    link.connect()
    bus_server.delete_vhost()
    with pytest.raises(errors.Unavailable):
        consumer.fetch(1, 0.0, 5)
    with pytest.raises(guests.Gone):
        consumer.connect()
    with pytest.raises(errors.Unavailable):
        link.poll(5)
    with pytest.raises(errors.Unavailable):
        link.connect()
    broker.ensure_topology()
    broker.add_guest(neighbour.instance, neighbour.user, PASSWORD)
    consumer.connect()
    link.connect()
    link.publish("result", b"again")
    assert [event.sender for event in _heard(consumer, 1)] == [neighbour.instance]
    consumer.settle()
    link.close()


def test_a_management_api_that_is_away_is_unavailable() -> None:
    with pytest.raises(errors.Unavailable):
        Broker("http://me:x@127.0.0.1:9").ensure_topology()


def test_depths_are_known_before_the_broker_has_counted(bus_server: BusServer) -> None:
    young = Broker(bus_server.management_url, "young")
    young.ensure_topology()
    assert young.depths() == {"events": 0, "commands": 0}
    young.close()
