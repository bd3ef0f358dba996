"""A client that must not notice what is done to its instance and to the services."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


class Writer:
    """A client that writes a row after the other on one connection, and says if it ever failed."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write)
        self.written = 0
        self.slowest = 0.0
        self.failure: BaseException | None = None

    @contextmanager
    def writing(self) -> Iterator[None]:
        self._thread.start()
        try:
            yield
        finally:
            self._over.set()
            self._thread.join()

    def _write(self) -> None:
        try:
            with self._connection.cursor() as cursor:
                while not self._over.is_set():
                    began = time.monotonic()
                    cursor.execute("INSERT INTO written VALUES ()")
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.written += 1
                    time.sleep(0.002)
        except BaseException as error:  # noqa: BLE001  # the test shows it
            self.failure = error
