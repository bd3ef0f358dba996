"""Says as much as the network carries, with a guest's rights, until the broker ends it.

    python -m tests.chaos.flood < ORDER

`ORDER` is JSON: the fields of `Order`. Prints `connected`, and then how many messages were sent.
"""

import json
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import amqp

from tests.chaos.hostile import frames

SECONDS = 30.0
"""After which it gives up, since nobody stops it."""

_AT_ONCE = 1 << 16
"""Bytes, about, that are handed to the kernel in one go."""


@dataclass(frozen=True)
class Order:
    host: str
    port: int
    user: str
    password: str
    authority: str
    exchange: str
    kind: str
    size: int
    """Bytes of a message."""
    connections: int


def main() -> None:
    order = Order(**json.load(sys.stdin))
    links = [_connected(order) for _ in range(order.connections)]
    sent = [0] * order.connections
    threads = [
        threading.Thread(target=_pour, args=(order, link, sent, n)) for n, link in enumerate(links)
    ]
    sys.stdout.write("connected\n")
    sys.stdout.flush()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    sys.stdout.write(f"{sum(sent)}\n")


def _connected(order: Order) -> Any:
    link = amqp.Connection(
        f"{order.host}:{order.port}",
        userid=order.user,
        password=order.password,
        virtual_host="guest",
        ssl={
            "context": {"cadata": order.authority, "check_hostname": True},
            "server_hostname": order.host,
        },
        connect_timeout=10,
        login_method="PLAIN",
    )
    link.connect()
    link.channel()
    link.sock.settimeout(SECONDS)
    return link


def _pour(order: Order, link: Any, sent: list[int], n: int) -> None:
    one = frames(order.exchange, f"{order.exchange}.{order.kind}", bytes(order.size))
    many = max(1, _AT_ONCE // len(one))
    deadline = time.monotonic() + SECONDS
    with suppress(OSError):
        while time.monotonic() < deadline:
            link.sock.sendall(one * many)
            sent[n] += many
    link.collect()


if __name__ == "__main__":
    main()
