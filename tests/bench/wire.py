"""Asks over HTTP so cheaply that what is measured is the server: by sockets that are kept.

Answers must have a Content-Length, as those of the API and of the bare application have.
"""

import json
import selectors
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

_END = b"\r\n\r\n"
_LENGTH = b"content-length:"
_CLOSING = b"\r\nconnection: close"


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(method: str, path: str, login: str = "", body: object = None) -> bytes:
    """Return the request as it is sent; `login` is the value of the Authorization header."""
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "Host: api.example.org:8779"]
    lines += [f"Authorization: {login}"] if login else []
    lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"] if data else []
    return "\r\n".join(lines).encode() + _END + data


class Link:
    """One connection that is kept."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._got = bytearray()
        self.closing = False
        """Whether the server has said that it closes the connection."""

    def ask(self, sent: bytes) -> Answer:
        self.socket.sendall(sent)
        while (answer := self.receive()) is None:
            pass
        return answer

    def receive(self) -> Answer | None:
        """Take what is there; return the answer when it is complete."""
        got = self.socket.recv(1 << 18)
        if not got:
            raise ConnectionError("the server has closed the connection")
        self._got += got
        head, end, body = bytes(self._got).partition(_END)
        if not end:
            return None
        head = head.lower()
        self.closing = _CLOSING in head
        length = int(head.partition(_LENGTH)[2].split(b"\r\n", 1)[0] or 0)
        if len(body) < length:
            return None
        self._got.clear()
        return Answer(int(head.split(b" ", 2)[1]), body)

    def close(self) -> None:
        self.socket.close()


@contextmanager
def link(port: int) -> Iterator[Link]:
    made = Link(port)
    try:
        yield made
    finally:
        made.close()


@dataclass(frozen=True)
class Burst:
    """How a server did under load; `cut`: requests that it closed the connection upon."""

    seconds: float
    answers: Sequence[float]
    """Seconds that each took."""
    cut: int

    @property
    def rate(self) -> float:
        return len(self.answers) / self.seconds


def at_once(port: int, sent: bytes, count: int, links: int) -> Burst:
    """Keep `links` requests under way, each on a connection of its own, until `count` are through.

    An answer other than 200 is an `AssertionError`.
    """
    answers: list[float] = []
    cut = 0
    with selectors.DefaultSelector() as selector:

        def begin(link: Link) -> None:
            selector.register(link.socket, selectors.EVENT_READ, (link, time.perf_counter()))
            link.socket.sendall(sent)

        first = time.perf_counter()
        for _ in range(links):
            begin(Link(port))
        while len(answers) + cut < count:
            for key, _ in selector.select():
                link, began = key.data
                try:
                    answer = link.receive()
                except OSError:
                    cut += 1
                    link.closing = True
                else:
                    if answer is None:
                        continue
                    assert answer.status == 200, answer
                    answers.append(time.perf_counter() - began)
                selector.unregister(link.socket)
                begin(_another(link, port) if link.closing else link)
        whole = time.perf_counter() - first
        for key in [*selector.get_map().values()]:
            key.data[0].close()
    return Burst(whole, answers, cut)


def _another(link: Link, port: int) -> Link:
    link.close()
    return Link(port)


def quantile(seconds: Sequence[float], share: float) -> float:
    """Return the value that this share of all does not exceed."""
    ordered = sorted(seconds)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
