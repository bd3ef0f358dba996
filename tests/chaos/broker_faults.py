"""What may happen to a stack's broker: each holds inside of its context, and is over after it."""

import time
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import requests

from dbaas.manage.stack import broker, credentials
from tests.chaos import firewall
from tests.chaos.firewall import Verdict
from tests.chaos.ground import Ground
from tests.frozen import frozen as frozen_processes


@contextmanager
def stopped(ground: Ground) -> Iterator[None]:
    with ground.stopped(broker.BROKER):
        yield


@contextmanager
def frozen(ground: Ground) -> Iterator[None]:
    with frozen_processes(ground.programs().states()[broker.BROKER].pid):
        yield


@contextmanager
def out_of_memory(ground: Ground) -> Iterator[None]:
    """Have the broker's memory alarm raised: it reads from no publisher any more."""
    ground.stack.command("rabbitmqctl", "set_vm_memory_high_watermark", "0")
    try:
        yield
    finally:
        ground.stack.command("rabbitmqctl", "set_vm_memory_high_watermark", "0.4")


@contextmanager
def out_of_disk(ground: Ground) -> Iterator[None]:
    ground.stack.command("rabbitmqctl", "set_disk_free_limit", "1000000GB")
    try:
        yield
    finally:
        ground.stack.command("rabbitmqctl", "set_disk_free_limit", "50MB")


@contextmanager
def refused(ground: Ground) -> Iterator[None]:
    with firewall.closed(Verdict.REFUSED, *_ports(ground)):
        yield


@contextmanager
def cut_off(ground: Ground) -> Iterator[None]:
    """Have packets to the broker vanish: who waits for it notices by the time only."""
    with firewall.closed(Verdict.DROPPED, *_ports(ground)):
        yield


@contextmanager
def closing_connections(ground: Ground) -> Iterator[None]:
    """Close every connection that the broker knows of, and once more at the end."""
    close_connections(ground)
    yield
    close_connections(ground)


@contextmanager
def without_guests_vhost(ground: Ground) -> Iterator[None]:
    """Lose all that guests have but their users; nobody but the control plane makes it again."""
    call(ground, "DELETE", f"vhosts/{broker.GUEST_VHOST}")
    yield


@contextmanager
def without_control_vhost(ground: Ground) -> Iterator[None]:
    """It is an operator's to make again, as it was to make at first."""
    call(ground, "DELETE", f"vhosts/{broker.CONTROL_VHOST}")
    try:
        yield
    finally:
        right = {"configure": ".*", "write": ".*", "read": ".*"}
        call(ground, "PUT", f"vhosts/{broker.CONTROL_VHOST}")
        user = credentials.BROKER_USER
        call(ground, "PUT", f"permissions/{broker.CONTROL_VHOST}/{user}", right)


def close_connections(ground: Ground) -> int:
    """Return how many were closed."""
    names = [str(one["name"]) for one in call(ground, "GET", "connections")]
    for name in names:
        call(ground, "DELETE", f"connections/{urllib.parse.quote(name, safe='')}")
    return len(names)


def call(ground: Ground, method: str, path: str, content: object = None) -> Any:
    """Ask the management API as an operator; what is gone already is fine."""
    plan = ground.stack.plan
    answer = requests.request(
        method,
        f"http://127.0.0.1:{plan.ports.management}/api/{path}",
        auth=(credentials.BROKER_USER, credentials.ensure(plan).broker.reveal()),
        json=content,
        timeout=30,
    )
    assert answer.ok or answer.status_code == requests.codes.not_found, answer.text
    return answer.json() if answer.text else None


def wait_until_heard(ground: Ground, instance: str, since: float) -> float:
    """Return how many seconds after `since` (monotonic) a heartbeat of the guest came first."""

    def heard() -> bool:
        age = ground.sql(
            "SELECT TIMESTAMPDIFF(MICROSECOND, heard_at, NOW(6)) / 1e6 AS age FROM guest_health"
            f" WHERE instance_id = '{instance}'"
        )[0]["age"]
        return float(age) < time.monotonic() - since

    ground.wait_for(heard, f"a heartbeat of {instance}")
    return time.monotonic() - since


def _ports(ground: Ground) -> tuple[int, int, int]:
    ports = ground.stack.plan.ports
    return ports.broker, ports.management, ports.guests
