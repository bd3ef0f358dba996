"""Notifications on a real broker: they arrive when it is there, and are never in anybody's way."""

import queue
import time
from collections.abc import Iterator
from typing import Any

import pytest
from oslo_config import cfg

from dbaas.rpc import control, notifications
from dbaas.rpc.notifications import Notification, Notifier
from tests.bus_server import BusServer
from tests.frozen import frozen

Heard = tuple[str, str, str, dict[str, Any]]


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf.register_opts(notifications.OPTS, group=notifications.GROUP)
    conf([], project="dbaas", default_config_files=[])
    conf.set_override("enabled", True, group=notifications.GROUP)
    return conf


class Endpoint:
    """Hears notifications of both priorities."""

    def __init__(self) -> None:
        self.heard: queue.Queue[Heard] = queue.Queue()

    def info(
        self, _context: object, publisher: str, event: str, payload: dict[str, Any], _meta: object
    ) -> None:
        self.heard.put(("info", publisher, event, payload))

    def error(
        self, _context: object, publisher: str, event: str, payload: dict[str, Any], _meta: object
    ) -> None:
        self.heard.put(("error", publisher, event, payload))


@pytest.fixture
def endpoint(conf: cfg.ConfigOpts, bus_server: BusServer) -> Iterator[Endpoint]:
    messaging, settings = control.library(conf)
    made = Endpoint()
    transport = messaging.get_notification_transport(settings, url=bus_server.control_url)
    listener = messaging.get_notification_listener(
        transport, [messaging.Target(topic="notifications")], [made], executor="threading"
    )
    listener.start()
    yield made
    listener.stop()
    listener.wait()
    transport.cleanup()


def test_notifications_arrive_in_the_order_in_which_they_were_sent(
    conf: cfg.ConfigOpts, bus_server: BusServer, endpoint: Endpoint
) -> None:
    notifier = Notifier(conf, "api", bus_server.control_url)
    notifier.send(lambda: Notification("dbaas.instance_create.start", {"name": "a"}))
    notifier.send(lambda: None)

    def trip() -> Notification | None:
        raise RuntimeError("a look that fails")

    notifier.send(trip)
    failed = Notification("dbaas.instance_create.error", {"message": "no"}, failed=True)
    notifier.send(lambda: failed)
    first, second = (endpoint.heard.get(timeout=30) for _ in range(2))
    assert first[0] == "info"
    assert first[1].startswith("api.")
    assert first[2:] == ("dbaas.instance_create.start", {"name": "a"})
    assert second[0] == "error"
    assert second[2:] == ("dbaas.instance_create.error", {"message": "no"})
    notifier.close(timeout=10)


def test_nobody_waits_for_a_broker_that_is_away(conf: cfg.ConfigOpts) -> None:
    notifier = Notifier(conf, "api", "rabbit://me:x@127.0.0.1:9/ctl")
    began = time.monotonic()
    for n in range(3000):
        notifier.send(lambda n=n: Notification("dbaas.x.start", {"n": n}))  # type: ignore[misc]
    notifier.close(timeout=0.2)
    assert time.monotonic() - began < 2


def test_a_broker_that_freezes_gets_them_later(
    conf: cfg.ConfigOpts, bus_server: BusServer, endpoint: Endpoint
) -> None:
    notifier = Notifier(conf, "api", bus_server.control_url)
    notifier.send(lambda: Notification("dbaas.x.start", {}))
    assert endpoint.heard.get(timeout=30)[2] == "dbaas.x.start"
    with frozen(bus_server.pid):
        began = time.monotonic()
        notifier.send(lambda: Notification("dbaas.x.end", {}))
        assert time.monotonic() - began < 0.5
    assert endpoint.heard.get(timeout=60)[2] == "dbaas.x.end"
    notifier.close(timeout=10)


def test_unless_they_are_enabled_nothing_is_started(conf: cfg.ConfigOpts) -> None:
    conf.set_override("enabled", False, group=notifications.GROUP)
    notifier = Notifier(conf, "api", "rabbit://me:x@127.0.0.1:9/ctl")
    notifier.send(lambda: pytest.fail("somebody looked"))
    assert not notifier._outbox.started
    notifier.close()
