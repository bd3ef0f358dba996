"""The guests' bus on a whole stack: what is lost is made again, and who misbehaves is shut out."""

import http.client
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import amqp
import pytest

from dbaas.contract.messages import CONTACT_FILE
from dbaas.rpc.guests import command_queue, event_exchange
from tests.frozen import frozen
from tests.functional import guest as guests
from tests.functional.guest import AGENT, Guest
from tests.functional.stack import Answer, Stack


@pytest.fixture(scope="module")
def instance(stack: Stack) -> Iterator[dict[str, Any]]:
    made = stack.wait_until(stack.create("on the bus"), "ACTIVE")
    yield made
    delete(stack, made["id"])


def delete(stack: Stack, instance_id: str) -> None:
    answer = stack.request("DELETE", f"instances/{instance_id}")
    assert answer.status == http.client.ACCEPTED, answer
    stack.wait_until(instance_id, "GONE")


def restart(stack: Stack, instance_id: str) -> Answer:
    answer = stack.request("POST", f"instances/{instance_id}/action", {"restart": {}})
    assert answer.status == http.client.ACCEPTED, answer
    return answer


def eventually(happened: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, happened
        time.sleep(0.1)


def test_everything_on_the_bus_is_made_again_when_its_vhost_was_lost(
    stack: Stack, instance: dict[str, Any]
) -> None:
    stack.command("rabbitmqctl", "delete_vhost", "guest")
    restart(stack, instance["id"])  # accepted although nobody can be told
    stack.command("rabbitmqctl", "add_vhost", "guest")
    stack.wait_until(instance["id"], "ACTIVE", seconds=120)
    audit = stack.manage("audit", check=False)
    assert audit.returncode == 0, audit.stdout
    told = stack.command("rabbitmqctl", "--silent", "list_queues", "--vhost", "guest", "name")
    assert command_queue(instance["id"]) in told.stdout.split()


@pytest.mark.parametrize("moment", [0.02, 0.1, 0.3, 0.6])
def test_an_agent_that_is_killed_in_the_middle_of_a_command_carries_it_out(
    stack: Stack, instance: dict[str, Any], moment: float
) -> None:
    restart(stack, instance["id"])
    time.sleep(moment)  # seconds
    Guest(stack, instance["id"]).kill(AGENT)
    stack.wait_until(instance["id"], "ACTIVE", seconds=120)
    with stack.database(instance) as link:
        link.ping()


def test_a_client_does_not_notice_that_the_agent_was_killed(
    stack: Stack, instance: dict[str, Any]
) -> None:
    guest = Guest(stack, instance["id"])
    with stack.database(instance) as link, link.cursor() as cursor:
        before = guest.processes(AGENT)
        guest.kill(AGENT)
        eventually(lambda: bool(set(guest.processes(AGENT)) - set(before)))
        cursor.execute("SELECT 1")
        assert cursor.fetchone() == (1,)


def test_what_a_guest_was_first_contacted_with_is_worthless_afterwards(stack: Stack) -> None:
    conductors = guests.services(stack, b"dbaas-conductor")
    with frozen(*conductors):  # so nobody hears that it was introduced
        number = stack.create("first contact")
        guest = Guest(stack, number)
        eventually(lambda: _has_identity(guest))
        first = guest.identity()
        assert first.contact_user
        assert first.contact_password
        guests.connection(stack, first.contact_user, first.contact_password).close()
    stack.wait_until(number, "ACTIVE")
    with pytest.raises(amqp.AccessRefused):
        guests.connection(stack, first.contact_user, first.contact_password)
    now = guest.identity()
    assert (now.contact_user, now.contact_password, now.contact_key) == (None, None, None)
    assert "no" in guest.run("sh", "-c", f"test -e {CONTACT_FILE} || echo no")
    delete(stack, number)


def _has_identity(guest: Guest) -> bool:
    """Tell whether the guest's users are in the broker, which is after they were written down."""
    told = guest.stack.command("rabbitmqctl", "--silent", "list_users").stdout
    return f"f-{guest.instance_id}" in told


def test_a_guest_that_floods_the_bus_is_quarantined_and_its_neighbours_are_not(
    stack: Stack, instance: dict[str, Any]
) -> None:
    number = stack.create("flood")
    stack.wait_until(number, "ACTIVE")
    known = Guest(stack, number).identity()
    flood(stack, known.user, known.password, event_exchange(number))
    eventually(lambda: state_of(stack, number) == "quarantined")
    with pytest.raises(amqp.AccessRefused):
        guests.connection(stack, known.user, known.password)
    assert state_of(stack, instance["id"]) == "introduced"
    restart(stack, instance["id"])
    stack.wait_until(instance["id"], "ACTIVE")
    delete(stack, number)
    audit = stack.manage("audit", check=False)
    assert audit.returncode == 0, audit.stdout


def flood(stack: Stack, user: str, password: Any, exchange: str) -> None:
    """Publish with a guest's own rights, as fast as it goes, until the broker ends it."""
    link = guests.connection(stack, user, password)
    channel = link.channel()
    deadline = time.monotonic() + 30
    with suppress(amqp.AMQPError, OSError):
        while time.monotonic() < deadline:
            for _ in range(100):
                channel.basic_publish(amqp.Message(b"x" * 100), exchange, f"{exchange}.hb")
            link.send_heartbeat()
    with suppress(amqp.AMQPError, OSError):
        link.close()


def state_of(stack: Stack, instance_id: str) -> str:
    rows = stack.sql(f"SELECT state FROM guests WHERE instance_id = '{instance_id}'")
    return str(rows[0]["state"])
