"""A stream as segments: cut, hashed and stored while the next fills; fetched ahead, and verified.

Each segment is in memory whole, so that its length and sums are known before it is sent, and so
that it can be sent again. The memory is a few buffers that are used over and over.
"""

import concurrent.futures
import hashlib
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from queue import Empty, SimpleQueue
from typing import TypeVar

from dbaas.contract import errors
from dbaas.contract.backups import segment_name
from dbaas.contract.messages import Grant, Segment
from dbaas.contract.secret import Secret
from dbaas.strategies.storage.base import Check, Expired, Leave, Storage

WORKERS = 2
"""Connections at a time."""
PATIENCE = 120.0
"""Seconds for which storage that does not answer is tried again."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds before another try; each is doubled, and jittered down to half."""
LOOK = 0.2
"""Seconds between two looks at whether it is still wanted."""
MOST = 1400
"""Segments of one backup: the guest's answer names them all, and has to fit into a message."""

Connect = Callable[[str], Storage]
"""Gives a connection that trusts this authority (PEM)."""

T = TypeVar("T")


class Courier:
    """Carries objects to and from the storage, and does not give up at once. For any threads."""

    def __init__(
        self, connect: Connect, leave: Leave, backup: str, check: Check, patience: float = PATIENCE
    ) -> None:
        self._connect = connect
        self._leave = leave
        self._backup = backup
        self._check = check
        self._patience = patience
        self._closed = threading.Event()
        self._mine = threading.local()
        self._lock = threading.Lock()
        self._open: list[Storage] = []

    def put(self, number: int, content: memoryview) -> Segment:
        """Store a segment, and return what there is to know of it."""
        name = segment_name(number)
        sha256 = hashlib.sha256(content).hexdigest()
        with_md5 = self._storage(self._leave.grant).tells_md5
        md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() if with_md5 else ""
        segment = Segment(name, len(content), sha256, md5)

        def put(grant: Grant, url: Secret) -> None:
            self._storage(grant).put(url, segment, content)

        self._carry(name, number, put)
        return segment

    def get(self, name: str, number: int, into: memoryview) -> int:
        """Fetch an object; return its size. `number`: the segment to name if leave is missing."""
        return self._carry(name, number, lambda grant, url: self._storage(grant).get(url, into))

    def part(self, name: str, into: memoryview, begin: int) -> tuple[int, int]:
        """Fetch a part of an object: how many bytes it was, and of how many in all."""
        return self._carry(
            name, 1, lambda grant, url: self._storage(grant).stream(url, into, begin)
        )

    def close(self) -> None:
        """Have nothing carried any more, not even what is on its way."""
        self._closed.set()
        with self._lock:
            for storage in self._open:
                storage.close()

    def _carry(self, name: str, number: int, verb: Callable[[Grant, Secret], T]) -> T:
        expired = time.monotonic() + self._patience
        pause = FIRST_PAUSE
        while True:
            try:
                return self._leave.use(name, number, verb, self._look)
            except Expired as error:
                raise errors.Unavailable(f"{self._object(name)}: {error.text}") from error
            except errors.Unavailable as error:
                self._look()
                if time.monotonic() > expired:
                    raise errors.Unavailable(f"{self._object(name)}: {error.text}") from error
            except errors.Error as error:
                raise type(error)(f"{self._object(name)}: {error.text}") from error
            self._closed.wait(pause * random.uniform(0.5, 1.0))  # noqa: S311
            self._look()
            pause = min(2 * pause, LONGEST_PAUSE)

    def _object(self, name: str) -> str:
        what = "segment" if name.isdecimal() else "object"
        return f"{what} {name} of backup {self._backup}"

    def _look(self) -> None:
        self._check()
        if self._closed.is_set():
            raise errors.Unavailable("it was given up")

    def _storage(self, grant: Grant) -> Storage:
        """Return this thread's own connection."""
        held: tuple[str, Storage] | None = getattr(self._mine, "held", None)
        if held is None or held[0] != grant.authority:
            self._look()
            held = self._mine.held = (grant.authority, self._connect(grant.authority))
            with self._lock:
                self._open.append(held[1])
        return held[1]


class Crew:
    """Some threads that work for one transfer, and keep nobody from ending.

    An executor's would: an agent that is stopped leaves a transfer where it is, for its next life.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._threads = [
            threading.Thread(target=self._work, name=name, daemon=True) for _ in range(WORKERS)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, work: Callable[[], T]) -> Future[T]:
        """Have it done by the first who is free."""
        job: Future[T] = Future()

        def run() -> None:
            if job.set_running_or_notify_cancel():
                try:
                    job.set_result(work())
                except BaseException as error:  # noqa: BLE001  # it is for who waits for the result
                    job.set_exception(error)

        self._jobs.put(run)
        return job

    def close(self) -> None:
        """Wait until nothing is done any more; what was not begun never is."""
        with suppress(Empty):
            while True:
                self._jobs.get_nowait()
        for _ in self._threads:
            self._jobs.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (run := self._jobs.get()) is not None:
            run()


class Uploads:
    """Takes a stream, and stores it. A context: what is on its way when it is left is cut off."""

    def __init__(self, courier: Courier, leave: Leave, size: int, check: Check) -> None:
        """`size`: bytes of a segment, of which there are three in memory."""
        self._courier = courier
        self._leave = leave
        self._size = size
        self._check = check
        self._crew = Crew("upload")
        self._free: list[bytearray] = []
        self._unmade = 1 + WORKERS
        self._sent: deque[tuple[Future[Segment], bytearray]] = deque()
        self._filling = bytearray()
        self._filled = 0
        self._count = 0
        self._segments: list[Segment] = []

    def __enter__(self) -> "Uploads":
        return self

    def __exit__(self, *raised: object) -> None:
        self._courier.close()
        self._crew.close()

    @property
    def stored(self) -> int:
        """Bytes that the storage has."""
        return sum(segment.size for segment in tuple(self._segments))

    def write(self, piece: bytes) -> None:
        """Take it; wait while all buffers are on their way. Raises what befell one of those."""
        rest = memoryview(piece)
        while rest:
            if not self._filling:
                self._filling = self._buffer()
            count = min(len(rest), self._size - self._filled)
            self._filling[self._filled : self._filled + count] = rest[:count]
            self._filled += count
            rest = rest[count:]
            if self._filled == self._size:
                self._send()

    def finish(self) -> tuple[Segment, ...]:
        """Store the rest, and return all segments once the storage has them."""
        if self._filled:
            self._send()
        while self._sent:
            self._collect()
        return tuple(self._segments)

    def _send(self) -> None:
        if self._count == MOST:
            raise errors.Failed(
                f"the backup has more than {MOST} segments of {self._size} bytes: they have to be"
                " larger for so much data"
            )
        self._count += 1
        self._leave.look_ahead(self._count, segment_name)
        content = memoryview(self._filling)[: self._filled]
        job = self._crew.submit(partial(self._courier.put, self._count, content))
        self._sent.append((job, self._filling))
        self._filling, self._filled = bytearray(), 0

    def _buffer(self) -> bytearray:
        while self._sent and self._sent[0][0].done():
            self._collect()
        if not self._free and self._unmade:
            self._unmade -= 1
            return bytearray(self._size)
        while not self._free:
            self._collect()
        return self._free.pop()

    def _collect(self) -> None:
        """Wait for the oldest that is on its way."""
        sent, buffer = self._sent.popleft()
        self._segments.append(_result(sent, self._check))
        self._free.append(buffer)


def fetched(
    courier: Courier,
    leave: Leave,
    backup: str,
    segments: Sequence[Segment],
    check: Check,
) -> Iterator[memoryview]:
    """Yield each segment once it is known to be as it was stored; good until the next is asked for.

    Raise `Failed` naming the one that is damaged or missing.
    """
    largest = max((segment.size for segment in segments), default=0)
    free = [bytearray(largest) for _ in range(min(1 + WORKERS, len(segments)))]
    waiting = deque(enumerate(segments, 1))
    coming: deque[tuple[Future[memoryview], bytearray]] = deque()
    crew = Crew("download")
    try:
        while waiting or coming:
            while free and waiting:
                number, segment = waiting.popleft()
                leave.look_ahead(number, segment_name, len(segments))
                buffer = free.pop()
                job = crew.submit(partial(_fetch, courier, backup, number, segment, buffer))
                coming.append((job, buffer))
            job, buffer = coming.popleft()
            yield _result(job, check)
            free.append(buffer)
    finally:
        courier.close()
        crew.close()


def _fetch(
    courier: Courier, backup: str, number: int, segment: Segment, into: bytearray
) -> memoryview:
    content = memoryview(into)[: segment.size]
    try:
        size = courier.get(segment.name, number, content)
    except errors.NotFound as error:
        raise errors.Failed(f"segment {segment.name} of backup {backup} is missing") from error
    if size != segment.size or hashlib.sha256(content).hexdigest() != segment.sha256:
        raise errors.Failed(
            f"segment {segment.name} of backup {backup} is damaged: it is not what was stored"
        )
    return content


def _result(job: Future[T], check: Check) -> T:
    """Wait for it as long as it is wanted."""
    while True:
        check()
        if concurrent.futures.wait([job], LOOK).done:
            return job.result()
