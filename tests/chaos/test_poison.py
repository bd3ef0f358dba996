"""What nobody can read is skipped, counted and logged, and what waits behind it goes on."""

import re
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import amqp
import pytest

from dbaas.contract.operations import LedgerKind, object_name
from dbaas.manage.stack import supervisor
from dbaas.rpc import broker, guests
from dbaas.rpc.control import TOPIC
from tests.chaos import poison, relay, requests
from tests.chaos.ground import Ground
from tests.functional.guest import AGENT, Guest
from tests.outcomes import Part, Tell

CONDUCTOR = "dbaas-conductor"
MANAGERS = ("dbaas-taskmanager", "dbaas-taskmanager-2", "dbaas-taskmanager-3")


@pytest.fixture
def instance(ground: Ground) -> Iterator[str]:
    made = requests.create_instance(ground)
    ground.wait_until_done([made], "ACTIVE")
    yield made
    ground.delete_all([made])
    ground.assert_nothing_left()


@contextmanager
def channel(ground: Ground, url: str | None = None) -> Iterator[Any]:
    """Give a channel to the guests' virtual host, or to another one, of the control plane."""
    connection = relay.connect(url or relay.configuration(ground)[broker.GROUP].url)
    try:
        yield connection.channel()
    finally:
        connection.close()


def send(channel: Any, messages: Sequence[amqp.Message], exchange: str, key: str) -> None:
    for message in messages:
        channel.basic_publish_confirm(message, exchange, key, timeout=30)


def pids(ground: Ground, program: str) -> list[int]:
    """Return the pids of the program's processes."""
    states = ground.programs().states()
    return sorted(state.pid for name, state in states.items() if name.startswith(program))


def figure(ground: Ground, program: str, line: str) -> float:
    """Return what a program shows Prometheus on this line."""
    port = ground.stack.plan.metrics[program]
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
        text = answer.read().decode()
    found = re.search(rf"^{re.escape(line)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else 0.0


def log(ground: Ground, program: str) -> str:
    return supervisor.log_file(ground.stack.plan.logs, program).read_text(errors="replace")


def said_by(ground: Ground, instance: str) -> str:
    """Return what the agent logged."""
    return ground.cloud().compute.console(object_name(instance, LedgerKind.SERVER, 1))


def restarted(ground: Ground, instance: str) -> float:
    """Restart it, as whoever waits behind the poison; return the seconds that it takes."""
    began = time.monotonic()
    requests.restart_instance(ground, instance)
    ground.wait_until_done([instance], "ACTIVE")
    return time.monotonic() - began


def test_poison_among_a_guests_events_is_refused_and_counted(
    ground: Ground, tell: Tell, instance: str
) -> None:
    identity = Guest(ground.stack, instance).identity()
    refused = 'dbaas_guest_events_total{kind="refused"}'
    before, running = figure(ground, CONDUCTOR, refused), pids(ground, CONDUCTOR)
    bad = poison.events(identity)
    exchange, queue = guests.event_exchange(instance), guests.event_queue(instance)
    with channel(ground) as way:
        for n in range(0, len(bad), 20):  # a guest that says more than 50 a second is shut out
            send(way, bad[n : n + 20], exchange, f"{exchange}.hb")
            ground.sleep(1.0)
        send(way, bad[:20], "", queue)  # through nobody's exchange
    seconds = restarted(ground, instance)
    assert figure(ground, CONDUCTOR, refused) - before >= len(bad) + 20
    assert pids(ground, CONDUCTOR) == running
    assert f"Refused a message of guest {instance}" in log(ground, CONDUCTOR)
    assert "Refused a message of guest nobody" in log(ground, CONDUCTOR)
    tell(
        Part.MESSAGES,
        f"{len(bad)} kinds of malformed events of a guest",
        "each is refused, counted and logged; its next restart is not held up",
        seconds,
    )


@pytest.mark.thorough
def test_poison_among_a_guests_commands_is_refused(
    ground: Ground, tell: Tell, instance: str
) -> None:
    guest = Guest(ground.stack, instance)
    agents, console = guest.processes(AGENT), said_by(ground, instance)
    bad = poison.commands(guest.identity())
    with channel(ground) as way:
        send(way, bad, guests.COMMANDS, instance)
    seconds = restarted(ground, instance)
    assert guest.processes(AGENT) == agents
    said = said_by(ground, instance).removeprefix(console)
    assert "refused a message" in said
    assert "Traceback" not in said
    tell(
        Part.MESSAGES,
        f"{len(bad)} kinds of malformed commands to a guest",
        "its agent refuses each and logs it; the next restart is not held up",
        seconds,
    )


def test_poison_among_wakes_is_skipped(ground: Ground, tell: Tell, instance: str) -> None:
    managers = pids(ground, MANAGERS[0])
    bad = poison.wakes()
    with channel(ground, control_url(ground)) as way:
        send(way, bad * 3, "", TOPIC)
        ground.wait_for(lambda: waiting(way) == (0, 3), "the end of the poison")
    seconds = restarted(ground, instance)
    assert pids(ground, MANAGERS[0]) == managers
    assert all("met a defect" not in log(ground, name) for name in MANAGERS)
    tell(
        Part.MESSAGES,
        f"{len(bad)} kinds of malformed wakes",
        "task managers skip each; the next restart is not held up",
        seconds,
    )


def control_url(ground: Ground) -> str:
    settings = ground.stack.configuration.read_text()
    found = re.search(r"^transport_url = rabbit(://\S+)$", settings, re.MULTILINE)
    assert found
    return f"amqp{found[1]}"


def waiting(channel: Any) -> tuple[int, int]:
    """Return how many wakes wait, and how many task managers hear them."""
    told = channel.queue_declare(TOPIC, passive=True)
    return told.message_count, told.consumer_count
