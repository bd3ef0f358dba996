"""Waking task managers on a real broker: quick when it is there, and never in anybody's way."""

import contextlib
import queue
import sys
import time
from collections.abc import Iterator

import pytest
from oslo_config import cfg

from dbaas.rpc.control import Waker, WakeServer
from tests.bus_server import BusServer
from tests.frozen import frozen


@pytest.fixture
def conf() -> cfg.ConfigOpts:
    conf = cfg.ConfigOpts()
    conf([], project="dbaas", default_config_files=[])
    return conf


@pytest.fixture
def heard(conf: cfg.ConfigOpts, bus_server: BusServer) -> Iterator["queue.Queue[str]"]:
    heard: queue.Queue[str] = queue.Queue()
    server = WakeServer(conf, heard.put, bus_server.control_url)
    server.start()
    yield heard
    began = time.monotonic()
    server.stop(timeout=5)
    assert time.monotonic() - began < 2
    while server._thread.ident in sys._current_frames():  # its connections close a little later
        time.sleep(0.05)


def test_a_wake_reaches_a_task_manager(
    conf: cfg.ConfigOpts, bus_server: BusServer, heard: "queue.Queue[str]"
) -> None:
    waker = Waker(conf, bus_server.control_url)
    waker.wake("first")
    for _ in range(100):  # one that is sent before anybody listens is lost, as it may be
        waker.wake("another")
        with contextlib.suppress(queue.Empty):
            assert heard.get(timeout=0.2) in ("first", "another")
            break
    waker.wake("last")
    assert "last" in iter(lambda: heard.get(timeout=5), None)
    waker.close()


def test_a_wake_without_broker_is_dropped_at_once(conf: cfg.ConfigOpts) -> None:
    waker = Waker(conf, "rabbit://me:x@127.0.0.1:9/ctl")
    began = time.monotonic()
    for n in range(3000):
        waker.wake(str(n))
    assert time.monotonic() - began < 1
    waker.close(timeout=5)


def test_a_frozen_broker_holds_no_waker_up(
    conf: cfg.ConfigOpts, bus_server: BusServer, heard: "queue.Queue[str]"
) -> None:
    waker = Waker(conf, bus_server.control_url)
    with frozen(bus_server.pid):
        began = time.monotonic()
        for n in range(3000):
            waker.wake(str(n))
        waker.close(timeout=0.5)
        assert time.monotonic() - began < 2
