"""Store what the engine logs, as it logs it: a thread that looks, and one that stores.

The engine's own files are the buffer: what the storage does not take waits on the volume, up to a
bound. What is to be done outlives the agent on its own disk, how far it has come on the volume.
"""

import hashlib
import json
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from dbaas.contract import archives, codec, errors
from dbaas.contract.messages import ArchiveOrder, ArchiveReport, Grant, Segment
from dbaas.guestagent.supervisor import Supervisor
from dbaas.host import files, volumes
from dbaas.strategies import registry
from dbaas.strategies.archive import pieces
from dbaas.strategies.archive.base import ArchiveStrategy, Broken, Cut, Spot, Tail
from dbaas.strategies.archive.pieces import Head
from dbaas.strategies.storage import base as storages
from dbaas.strategies.storage.base import Refused, Storage

LOG = logging.getLogger(__name__)

RETRY_FIRST, RETRY_LONGEST = 0.25, 2.0
"""Seconds before what failed is tried again; each is doubled."""
IDLE = 1.0
AHEAD = 128
"""Objects for which leave is wanted before they are there."""
KEPT_SHARE, KEPT_SECONDS = 0.1, 86400.0
"""Of what was stored, so much of the volume, and for so long, stays in the engine's own log."""
LOST = "how far the archive was stored is not known any more: its record on the volume is gone"
TENDED_EVERY = 0.5
"""Seconds: a database writes hundreds of MiB meanwhile."""


@dataclass(frozen=True)
class Pace:
    """In seconds."""

    look: float = 0.1
    live: float = 1.0
    """What came since a look that is no older than that was committed just now."""
    close: float = 2.0
    """After its first commit was seen, a piece is stored."""


@dataclass(frozen=True)
class Record:
    """How far a stream has come; `planned`: where the object that is being stored ends, `midway`:
    which is within a transaction."""

    stream: str
    sequence: int = 0
    spot: Spot = field(default_factory=Spot)
    since: float = 0.0
    until: float = 0.0
    planned: int = 0
    midway: bool = False
    ended: str = ""
    """Why it goes no further."""


class Archiver:
    """One guest's."""

    def __init__(
        self,
        volume: Path,
        order_file: Path,
        log: Callable[[str], ArchiveStrategy | None],
        connect: Callable[[str, str], Storage],
        announce: Callable[[], None],
        pace: Pace = Pace(),
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`log`: gives that of the engine by the name of a strategy, None while it may not be
        used. `connect`: gives a connection to a storage, by its name, that trusts this authority.
        `announce` is called when there is something new to say."""
        self._volume = volume
        self._record_file = volume / "archive.json"
        self._order_file = order_file
        self._log_of = log
        self._connect = connect
        self._announce = announce
        self._pace = pace
        self._clock = clock
        self._order: ArchiveOrder | None = None
        self._record: Record | None = None
        self._tail: Tail | None = None
        self._looked = 0.0
        self._tended = 0.0
        self._until = 0.0
        self._fault = ""
        self._refused: Grant | None = None
        self._pending = 0
        self._storage: tuple[str, str, Storage] | None = None
        self._storing = False
        self._lock = threading.RLock()
        self._changed = threading.Event()
        self._due = threading.Event()
        self._told = threading.Event()
        self._stopping = False
        self._threads = [
            threading.Thread(target=self._watch, name="archive-watch", daemon=True),
            threading.Thread(target=self._store_all, name="archive-store", daemon=True),
        ]

    def start(self) -> None:
        """Go on with what was ordered in an earlier life of the agent."""
        if self._order_file.exists():
            with suppress(ValueError, errors.Invalid):
                self._order = codec.load(ArchiveOrder, json.loads(self._order_file.read_bytes()))
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._stopping = True
        for event in (self._changed, self._due, self._told):
            event.set()
        for thread in self._threads:
            thread.join()
        self._tail = None  # nothing on the volume is open any more

    def tell(self, order: ArchiveOrder) -> None:
        """Do this from now on; it is on the disk when this returns.

        Raise `Unavailable` while there is no volume, or no room on it.
        """
        with self._lock:
            if not order.stream:
                files.remove(self._order_file)
                self._order = None
                self._forget()
            else:
                if self._order is None or self._order.stream != order.stream:
                    if self._log_of(order.strategy) is None:
                        raise errors.Unavailable("there is no database server, or no volume now")
                    self._forget()
                    self._begin_record(order)
                body = json.dumps(codec.dump(order))
                files.write(self._order_file, body, mode=0o600)
                self._order = order
                self._refused = None
        for event in (self._changed, self._due, self._told):
            event.set()

    def report(self) -> ArchiveReport | None:
        """Return how far it is; None where nothing is to be archived, or nothing is known yet."""
        with self._lock:
            order, record = self._order, self._record
            if order is None or record is None or record.stream != order.stream:
                return None
            oldest = self._tail.oldest if self._tail else None
            return ArchiveReport(
                stream=record.stream,
                sequence=record.sequence,
                since=record.since,
                until=max(record.until, self._until),
                lag=max(0.0, round(self._clock() - oldest, 3)) if oldest else 0.0,
                pending=self._pending,
                wants=self._wants(order, record),
                fault=(record.ended or self._fault)[:200],
                ended=bool(record.ended),
                behind=self._pending > self._bound(order) / 2,
            )

    # Looking

    def _watch(self) -> None:
        while not self._stopping:
            pause = self._pace.look
            try:
                with self._lock:
                    if not self._look():
                        pause = IDLE
            except Broken as error:
                self._end(error.text)
            except (errors.Error, OSError) as error:
                self._complain(error)
            except Exception:
                LOG.exception("the log cannot be archived")
                pause = IDLE
            self._changed.wait(pause)
            self._changed.clear()

    def _look(self) -> bool:
        """Return whether there is anything to look at."""
        order = self._order
        log = self._log_of(order.strategy) if order else None
        if order is None or log is None:
            self._tail = None
            return False
        record = self._known(order)
        if record.ended:
            self._give_up(log, log.tail(Spot(), 0.0), order)  # it is for nobody
            return False
        if self._tail is None:
            self._tail = log.tail(record.spot, record.until)
            self._looked = 0.0
        now = self._clock()
        live = 0 <= now - self._looked <= self._pace.live
        self._tail.look(self._clock, live)
        self._looked = now
        if self._tail.since and not record.planned and self._tail.spot != record.spot:
            since = record.since or self._tail.since
            self._keep(replace(record, spot=self._tail.spot, since=since))
        if self._tail.oldest is None:
            if not self._storing:
                self._until = now
        elif self._is_due(self._tail, order, now):
            self._due.set()
        if abs(now - self._tended) >= TENDED_EVERY:
            self._tended = now
            self._tend(log, order)
        return True

    def _known(self, order: ArchiveOrder) -> Record:
        """Return how far the stream is, by what is on the volume."""
        if self._record is None or self._record.stream != order.stream:
            found = self._read_record(order.stream)
            self._record = found or Record(order.stream)
            if found is None:
                raise Broken(LOST)  # it was there before the order was
        return self._record

    def _begin_record(self, order: ArchiveOrder) -> None:
        """Have a record of the stream on the volume, before anything of it is stored."""
        self._record = self._read_record(order.stream)
        if self._record is None:
            ended = LOST if order.reached else ""
            try:
                self._keep(Record(order.stream, ended=ended))
            except OSError as error:
                raise errors.Unavailable(
                    f"the volume cannot be written to: {error.strerror}"
                ) from error

    def _read_record(self, stream: str) -> Record | None:
        with suppress(FileNotFoundError, ValueError, errors.Invalid):
            found = codec.load(Record, json.loads(self._record_file.read_bytes()))
            if found.stream == stream:
                return found
        return None

    def _is_due(self, tail: Tail, order: ArchiveOrder, now: float) -> bool:
        seen = tail.first_seen
        if seen is not None and not 0 <= now - seen < self._pace.close:
            return True
        return tail.urgent or tail.ready >= order.piece_size

    def _tend(self, log: ArchiveStrategy, order: ArchiveOrder) -> None:
        """See how much waits; remove of the engine's log what was stored, and is old or much."""
        tail = self._tail
        if tail is None:
            return
        was_behind = self._pending > self._bound(order) / 2
        self._pending = tail.pending
        done = tail.behind()
        if self._give_up(log, tail, order):
            self._end(
                f"{self._pending >> 20} MiB of the log were not stored: more than may wait on the"
                " volume; they are given up"
            )
            return
        if was_behind != (self._pending > self._bound(order) / 2):
            LOG.warning("%d MiB of the log wait to be archived", self._pending >> 20)
            self._announce()
        kept = sum(size for _, size in done)
        room = volumes.usage(self._volume)
        most = min(room.total * KEPT_SHARE, room.total - room.used)
        gone = 0
        for path, size in done:
            if kept <= most and self._clock() - path.stat().st_mtime < KEPT_SECONDS:
                break
            kept -= size
            gone += 1
        if gone:
            log.forget(done[gone][0] if gone < len(done) else Path(tail.spot.file))

    def _give_up(self, log: ArchiveStrategy, tail: Tail, order: ArchiveOrder) -> bool:
        """Have what waits removed, and return True, where it is more than may wait."""
        if tail.pending <= self._bound(order):
            return False
        log.forget(Path(tail.newest))
        return True

    def _bound(self, order: ArchiveOrder) -> float:
        """Return how many bytes may wait: never more than there is room for besides."""
        room = volumes.usage(self._volume)
        return min(room.total * order.share, room.total - room.used)

    # Storing

    def _store_all(self) -> None:
        pause = RETRY_FIRST
        while not self._stopping:
            self._due.wait()
            self._due.clear()
            more = True
            while more and not self._stopping:
                try:
                    more = self._store_next()
                    pause = RETRY_FIRST
                except Broken as error:
                    self._end(error.text)
                except (errors.Error, OSError, Refused) as error:
                    self._complain(error)
                    pause = self._rest(pause)
                except Exception:
                    LOG.exception("the log cannot be stored")
                    pause = self._rest(pause)
                finally:
                    self._storing = False

    def _rest(self, pause: float) -> float:
        """Wait so many seconds, or until another order comes; return how many the next time."""
        self._told.clear()  # what is due stays due: that ends no pause
        self._told.wait(pause)
        return min(2 * pause, RETRY_LONGEST)

    def _store_next(self) -> bool:
        """Return whether there was anything to store."""
        work = self._begin()
        if work is not None:
            self._store(*work)
        return work is not None

    def _begin(self) -> tuple[ArchiveOrder, Record, Cut, Tail] | None:
        """Return what is to be stored now, if anything is; it is planned on the volume."""
        with self._lock:
            order, record, tail = self._order, self._record, self._tail
            if order is None or record is None or tail is None or record.stream != order.stream:
                return None
            if not record.planned and not self._is_due(tail, order, self._clock()):
                return None
            cut = tail.cut(order.piece_size, record.planned)
            if cut is None:
                return None
            if record.planned != cut.end:
                midway = not cut.commits
                record = replace(record, spot=tail.spot, planned=cut.end, midway=midway)
                self._keep(record)
            elif record.midway:  # an agent that begins anew sees where others ended in it
                cut = replace(cut, commits=(), until=0.0)
            self._storing = True
            return order, record, cut, tail

    def _store(self, order: ArchiveOrder, record: Record, cut: Cut, tail: Tail) -> None:
        assert order.key is not None  # noqa: S101  # it is with every stream
        content, description = tail.read(cut)
        number = record.sequence + 1
        head = Head(
            order.instance, order.stream, number, cut.file, cut.begin, cut.end, cut.commits,
            description,
        )  # fmt: skip
        name = pieces.identity(order.stream, number)
        self._put(number, pieces.seal(order.key, name, [pieces.pack(head, content)]))
        with self._lock:
            if self._tail is not tail or self._record != record:
                return  # it was told otherwise meanwhile
            tail.passed(cut)
            until = max(record.until, cut.until)
            spot = tail.spot
            self._tail = None  # where it cannot be noted, it is done again as it was planned
            self._keep(replace(record, sequence=number, spot=spot, until=until, planned=0))
            self._tail = tail
            self._fault = ""
            self._storing = False
            self._pending = tail.pending
        self._announce()

    def _put(self, number: int, content: bytes) -> None:
        """Store an object under the grant that counts now."""
        order = self._order
        if order is None or order.grant is None:
            raise errors.Unavailable("there is no leave to store anything")
        grant = order.grant
        url = storages.url(grant, archives.single_name(number))
        if url is None or grant is self._refused:
            self._refused = grant
            raise errors.Unavailable("the leave to store more has run out, and no other came yet")
        storage = self._connected(grant)
        segment = _described(archives.single_name(number), content, storage.tells_md5)
        try:
            storage.put(url, segment, memoryview(content))
        except Refused:
            self._refused = grant
            raise
        except errors.Error:
            storage.close()
            self._storage = None
            raise

    def _connected(self, grant: Grant) -> Storage:
        if self._storage is None or self._storage[:2] != (grant.storage, grant.authority):
            storage = self._connect(grant.storage, grant.authority)
            self._storage = (grant.storage, grant.authority, storage)
        return self._storage[2]

    def _wants(self, order: ArchiveOrder, record: Record) -> int:
        first = record.sequence + 1
        if order.grant is None or order.grant is self._refused:
            return first
        if order.grant.url is None:
            for number in range(first, first + AHEAD):
                if archives.single_name(number) not in order.grant.urls:
                    return number
        return 0

    def _keep(self, record: Record) -> None:
        files.write(self._record_file, json.dumps(codec.dump(record)), mode=0o600)
        self._record = record

    def _forget(self) -> None:
        self._tail = self._record = None
        self._until = 0.0
        self._fault = ""
        self._pending = 0
        self._refused = None

    def _end(self, why: str) -> None:
        """Begin nothing more in this stream: it would have a gap."""
        with self._lock:
            self._tail = None
            if self._record is None or self._record.ended:
                return
            LOG.error("the archive's stream has ended: %s", why)
            self._record = replace(self._record, ended=why, planned=0)
            with suppress(OSError):  # where it cannot be noted, it is seen again
                self._keep(self._record)
        self._announce()

    def _complain(self, error: Exception) -> None:
        text = error.text if isinstance(error, errors.Error) else str(error)
        with self._lock:
            news = text != self._fault
            self._fault = text
        if news:
            LOG.warning("the log is not archived: %s", text)
            self._announce()


def _described(name: str, content: bytes, with_md5: bool) -> Segment:
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest() if with_md5 else ""
    return Segment(name, len(content), hashlib.sha256(content).hexdigest(), md5)


def archiver_of(state: Path, supervisor: Supervisor) -> Archiver:
    """Return what stores the engine's log, wherever it is told to."""

    def log_of(strategy: str) -> ArchiveStrategy | None:
        if not supervisor.volume.is_there or not supervisor.has_engine:
            return None
        made: ArchiveStrategy = registry.load("archive", strategy)(supervisor.engine)
        return made

    def connect(storage: str, authority: str) -> Storage:
        made: Storage = registry.load("storage", storage)(authority)
        return made

    return Archiver(
        supervisor.places.volume,
        state / "archive.json",
        log_of,
        connect,
        supervisor.say_again,
    )
