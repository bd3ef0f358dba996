"""Wakes task managers: a hint over oslo.messaging that an operation has something to do.

A wake may be lost, and costs a second then: task managers poll. So nobody waits for the broker
here: `Waker` hands over to a thread, whose casts may take as long as they like, or fail.

oslo.messaging is imported where it is first used, off the way of the service's start: that takes a
tenth of a second and more.
"""

import logging
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from oslo_config import cfg

from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.rpc import guests
from dbaas.rpc.outbox import Outbox

TOPIC = "taskmanager"

_LOG = logging.getLogger(__name__)
_PORT = 5672
"""AMQP's, where the address has none."""
_IMPORTING = threading.Lock()


class Waker:
    """Casts `wake` to the task managers; for any number of threads, never in their way."""

    def __init__(self, conf: cfg.ConfigOpts, url: str | None = None) -> None:
        """`url`: of the broker, instead of `transport_url`. Nothing is started before `wake`."""
        self._conf = conf
        self._url = url
        self._outbox = Outbox("waker", self._cast)

    def start(self) -> None:
        """Prepare to wake, in the background; after the fork of a process."""
        self._outbox.start()

    def wake(self, operation_id: str) -> None:
        """Let a task manager look at the operation soon; returns at once, whatever happens."""
        if not self._outbox.put(operation_id):
            _LOG.debug("Too many wakes wait for the broker: one is dropped")

    def close(self, timeout: float = 1.0) -> None:
        """Stop after what is under way, or leave it behind after `timeout` seconds."""
        self._outbox.close(timeout)

    def _cast(self, operations: Iterator[str]) -> None:
        messaging, settings = library(self._conf)
        transport = messaging.get_rpc_transport(settings, url=self._url)
        client = messaging.get_rpc_client(transport, messaging.Target(topic=TOPIC), retry=0)
        away = False
        for operation_id in operations:
            try:
                client.cast({}, "wake", operation_id=operation_id)
                away = False
            except Exception as error:  # noqa: BLE001  # a wake that is lost is made up for
                if not away:
                    _LOG.warning("Task managers are not woken, they will notice: %s", error)
                away = True
        transport.cleanup()


class WakeServer:
    """Hears `wake` and calls the handler, from threads of its own."""

    def __init__(
        self, conf: cfg.ConfigOpts, handler: Callable[[str], None], url: str | None = None
    ) -> None:
        """`handler` takes an operation's id, must be quick and may be called by many threads."""
        self._conf = conf
        self._url = url
        self._endpoint = _Endpoint(handler)
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="wakes", daemon=True)

    def start(self) -> None:
        """Return at once; it serves as soon as the broker is there, and again when it is back."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """Hear no more; after `timeout` seconds leave behind what the broker holds up."""
        self._stopping.set()
        if self._thread.is_alive():
            self._stopped.wait(timeout)

    def _serve(self) -> None:
        messaging, settings = library(self._conf)
        transport = messaging.get_rpc_transport(settings, url=self._url)
        # A name per host, not per process: each name leaves a queue in the broker.
        target = messaging.Target(topic=TOPIC, server=socket.gethostname())
        server = messaging.get_rpc_server(
            transport,
            target,
            [self._endpoint],
            executor="threading",
            access_policy=messaging.ExplicitRPCAccessPolicy,
        )
        server.start()
        self._stopping.wait()
        server.stop()
        self._stopped.set()  # it hears nothing any more; its threads take seconds to notice
        server.wait()
        transport.cleanup()


class _Endpoint:
    def __init__(self, handler: Callable[[str], None]) -> None:
        self._handler = handler

    def wake(self, _context: dict[str, Any], operation_id: object) -> None:
        if isinstance(operation_id, str) and operation_id.isascii():
            self._handler(operation_id)
        else:
            _LOG.warning("A wake that names no operation is ignored")

    wake.exposed = True  # type: ignore[attr-defined]  # what ExplicitRPCAccessPolicy looks for


def probe(conf: cfg.ConfigOpts) -> str:
    """See that the broker of `transport_url` lets us in; return which virtual host it is.

    Raises `Invalid` for an address that is none, and as `rpc.guests.probe` does.
    """
    messaging, settings = library(conf)
    url = messaging.TransportURL.parse(settings, None)
    if not url.hosts or not url.transport.startswith("rabbit"):
        raise errors.Invalid("transport_url is rabbit://USER:PASSWORD@HOST:PORT/VHOST")
    for one in url.hosts:
        where = guests.Address(
            one.hostname,
            one.port or _PORT,
            url.virtual_host or "/",
            one.username or "",
            Secret(one.password or ""),
        )
        guests.probe(where)
    return f"virtual host {url.virtual_host or '/'} on {len(url.hosts)} hosts"


def library(conf: cfg.ConfigOpts) -> tuple[ModuleType, cfg.ConfigOpts]:
    """Return oslo.messaging, and the configuration that it is to use.

    It adds its options to the configuration it is given, while others read theirs, and some of them
    to the global one only (18.3: tracing). So that is its own, of the same files.
    """
    with _IMPORTING:
        _do_without_eventlet()
        import oslo_messaging

        cfg.CONF([], project="dbaas", default_config_files=conf.config_file or [])
        return oslo_messaging, cfg.CONF


def _do_without_eventlet() -> None:
    """Let oslo's libraries not import eventlet, which nothing here uses.

    They do so where it is installed, as it is with them: it takes 9 MiB and 0.2 s of each process.
    """
    sys.modules.setdefault("eventlet", None)  # type: ignore[arg-type]  # "cannot be imported"
    from oslo_service import backend

    backend.init_backend(backend.BackendType.THREADING)
