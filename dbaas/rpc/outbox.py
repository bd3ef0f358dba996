"""What waits to be sent to the broker: a bounded queue, emptied by a thread of its own."""

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

BACKLOG = 1000


class Outbox(Generic[T]):
    """For any number of threads, never in their way; nothing is started before it is needed."""

    def __init__(self, name: str, send: Callable[[Iterator[T]], None]) -> None:
        """`send` runs in the thread, named `name`: it gets what was put until the outbox closes."""
        self._name = name
        self._send = send
        self._waiting: queue.Queue[T | None] = queue.Queue(BACKLOG)
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()

    @property
    def started(self) -> bool:
        return self._thread is not None

    def start(self) -> None:
        """Start the thread; after the fork of a process, which ends threads."""
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
                    self._thread.start()

    def put(self, item: T) -> bool:
        """Return at once; False when too many wait already, and this one is dropped."""
        self.start()
        try:
            self._waiting.put_nowait(item)
        except queue.Full:
            return False
        return True

    def close(self, timeout: float) -> None:
        """Stop after what waits was sent, or leave it behind after `timeout` seconds."""
        thread = self._thread
        if thread is None:
            return
        try:
            self._waiting.put_nowait(None)
        except queue.Full:
            return  # the broker is away; the thread ends with the process
        thread.join(timeout)

    def _run(self) -> None:
        self._send(self._taken())

    def _taken(self) -> Iterator[T]:
        while (item := self._waiting.get()) is not None:
            yield item
