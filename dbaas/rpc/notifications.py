"""Tells whoever listens on the bus what happens to tenants' things: oslo.messaging's notifications.

They are a courtesy and no record: one may be lost, when a process dies or the broker is away for
longer than the backlog lasts, and one may come twice or in another order. The record is the
catalog. So nobody waits for the broker here: a thread sends them.
"""

import logging
import socket
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from oslo_config import cfg

from dbaas.rpc import control
from dbaas.rpc.outbox import Outbox

GROUP = "notifications"
OPTS = [
    cfg.BoolOpt(
        "enabled",
        default=False,
        help="Send a notification when an operation begins and when it has ended, for billing or "
        "an audit. Where to is set in [oslo_messaging_notifications]: driver, messagingv2 unless "
        "it is set, topics and transport_url. Somebody must read them, or they fill the broker.",
    ),
]

_LOG = logging.getLogger(__name__)
_DRIVER = "messagingv2"


@dataclass(frozen=True)
class Notification:
    """`event` is its type, as `dbaas.instance_create.end`; `failed`: its priority is ERROR."""

    event: str
    payload: Mapping[str, Any]
    failed: bool = False


Look = Callable[[], Notification | None]
"""Finds out what there is to say; None: nothing. It is called in the thread that sends."""


class Notifier:
    """Sends notifications; for any number of threads, never in their way."""

    def __init__(self, conf: cfg.ConfigOpts, service: str, url: str | None = None) -> None:
        """`service` is who sends; `url` of the broker, instead of the configured one.

        Nothing is started before `send`, and nothing ever unless notifications are enabled.
        """
        self._conf = conf
        self._publisher = f"{service}.{socket.gethostname()}"
        self._url = url
        self._outbox = Outbox("notifications", self._send)
        self.enabled: bool = conf[GROUP].enabled

    def send(self, look: Look) -> None:
        """Send what `look` finds, soon; return at once, whatever happens."""
        if self.enabled and not self._outbox.put(look):
            _LOG.warning("Too many notifications wait for the broker: one is lost")

    def close(self, timeout: float = 2.0) -> None:
        """Send what waits, or leave it behind after `timeout` seconds."""
        self._outbox.close(timeout)

    def _send(self, looks: Iterator[Look]) -> None:
        messaging, settings = control.library(self._conf)
        transport = messaging.get_notification_transport(settings, url=self._url)
        driver = None if settings.oslo_messaging_notifications.driver else _DRIVER
        notifier = messaging.Notifier(transport, publisher_id=self._publisher, driver=driver)
        for look in looks:
            try:
                found = look()
                if found is not None:
                    tell = notifier.error if found.failed else notifier.info
                    tell({}, found.event, dict(found.payload))
            except Exception as error:  # noqa: BLE001  # one that is lost must not stop the others
                _LOG.warning("A notification is lost: %s", error)
        transport.cleanup()
