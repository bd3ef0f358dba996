"""Load on a stack that has several of each service: readers, and a tenant who makes and deletes."""

import http.client
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from tests.functional.stack import Answer, Stack

READERS = 2
ALIVE = 2
"""Instances that the tenant has at a time."""

_PAUSE = 0.03
PATIENCE = 90.0


@dataclass
class Load:
    """What went through the proxy, and what went wrong: one line for each."""

    reads: int = 0
    made: list[str] = field(default_factory=list)
    deleted: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)

    @property
    def requests(self) -> int:
        return self.reads + len(self.made) + len(self.deleted)


@contextmanager
def load(stack: Stack, *, keys: bool) -> Iterator[Load]:
    """Have requests go on until the end; what is left then is deleted.

    Each is sent once; with `keys` writes carry an `Idempotency-Key`.
    """
    told, over, lock = Load(), threading.Event(), threading.Lock()

    def ask(method: str, path: str, body: object = None) -> Answer | None:
        headers: Mapping[str, str] = {"Idempotency-Key": uuid.uuid4().hex} if keys else {}
        began = time.monotonic()
        try:
            answer = stack.request(method, path, body, headers=headers)
        except (OSError, http.client.HTTPException) as error:
            what = repr(error)
        else:
            if answer.status < HTTPStatus.BAD_REQUEST:
                return answer
            what = str(answer)
        with lock:
            seconds = time.monotonic() - began
            told.failed.append(f"{method} {path} after {seconds:.1f} s: {what}")
        return None

    def read() -> None:
        while not over.is_set():
            for path in ("instances", "instances/detail", "operations", "limits"):
                if ask("GET", path) is not None:
                    with lock:
                        told.reads += 1
            time.sleep(_PAUSE)

    def change() -> None:
        living: list[str] = []
        while not over.is_set() or living:
            if len(living) < ALIVE and not over.is_set():
                answer = ask("POST", "instances", {"instance": _order(len(told.made))})
                if answer is not None:
                    living.append(answer.body["instance"]["id"])
                    told.made.append(living[-1])
            oldest = living[0]
            answer = ask("GET", f"instances/{oldest}")
            if answer is not None and answer.body["instance"]["status"] in ("ACTIVE", "ERROR"):
                if ask("DELETE", f"instances/{oldest}") is not None:
                    told.deleted.append(oldest)
                living.remove(oldest)
            time.sleep(_PAUSE)

    threads = [_started(told, work) for work in (*[read] * READERS, change)]
    try:
        yield told
    finally:
        over.set()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()


def _started(told: Load, work: Callable[[], None]) -> threading.Thread:
    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # the test shows it
            told.failed.append(f"the load itself: {error!r}")

    thread = threading.Thread(target=guarded)
    thread.start()
    return thread


def _order(number: int) -> dict[str, object]:
    return {
        "name": f"several-{number}",
        "flavorRef": "1",
        "volume": {"size": 1},
        "datastore": {"type": "mariadb", "version": "11.8"},
    }
