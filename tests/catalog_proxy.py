"""A proxy before a MySQL server that cuts connections where it hurts: around a COMMIT, or anywhere.

It knows of the protocol that a client sends a command in one go and waits for the answer, as
PyMySQL does. Everything that it chooses comes from its seed and from what connections it gets.
"""

import random
import selectors
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_COMMIT = b"\x03COMMIT"
"""The command `COM_QUERY` and the statement, after a packet's length and number (4 bytes)."""
_CHUNK = 1 << 16


@dataclass
class Cuts:
    """What is cut, and how often it was; `before` and `after` are chances from 0 to 1.

    A COMMIT that is cut before it reaches the server never happened; one whose answer is lost has.
    The client cannot tell one from the other.
    """

    before: float = 0.0
    after: float = 0.0
    within: int = 0
    """A connection is cut after at most so many bytes in both directions; 0: never."""
    done: dict[str, int] = field(
        default_factory=lambda: {"before a commit": 0, "after a commit": 0, "anywhere": 0}
    )


class Proxy:
    """Takes connections on `port` of 127.0.0.1 for as long as it runs."""

    def __init__(self, server_port: int, seed: int) -> None:
        self.cuts = Cuts()
        self._server_port = server_port
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._take)]

    def start(self) -> None:
        self._threads[0].start()

    def stop(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _take(self) -> None:
        while not self._over.is_set():
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(client,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket) -> None:
        with (
            client,
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self._server_port)) as server,
        ):
            self._forward(client, server)

    def _forward(self, client: socket.socket, server: socket.socket) -> None:
        left = self._chosen(self.cuts.within)
        with selectors.DefaultSelector() as selector:
            selector.register(client, selectors.EVENT_READ, server)
            selector.register(server, selectors.EVENT_READ, client)
            while not self._over.is_set():
                for key, _ in selector.select(0.2):
                    source, target = key.fileobj, key.data
                    assert isinstance(source, socket.socket)
                    data = source.recv(_CHUNK)
                    if not data:
                        return
                    if left is not None and len(data) >= left:
                        target.sendall(data[:left])
                        self._count("anywhere")
                        return
                    left = None if left is None else left - len(data)
                    if source is client and data[4:] == _COMMIT:
                        if self._happens(self.cuts.before):
                            self._count("before a commit")
                            return
                        target.sendall(data)
                        if self._happens(self.cuts.after):
                            server.recv(_CHUNK)
                            self._count("after a commit")
                            return
                    else:
                        target.sendall(data)

    def _chosen(self, within: int) -> int | None:
        with self._lock:
            return self._random.randint(1, within) if within else None

    def _happens(self, chance: float) -> bool:
        with self._lock:
            return self._random.random() < chance

    def _count(self, what: str) -> None:
        with self._lock:
            self.cuts.done[what] += 1


@contextmanager
def running(server_port: int, seed: int) -> Iterator[Proxy]:
    """Give a proxy that cuts nothing as long as its `cuts` say nothing else."""
    proxy = Proxy(server_port, seed)
    proxy.start()
    try:
        yield proxy
    finally:
        proxy.stop()
