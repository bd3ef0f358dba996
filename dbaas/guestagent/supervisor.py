"""Watch the database server: say how it is, at once when that changes, and start it if it died."""

import json
import logging
import os
import random
import select
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from dbaas.contract import errors
from dbaas.contract.messages import ArchiveReport, Health, Progress, ServiceStatus
from dbaas.engines import manifests
from dbaas.engines.base import Engine, Places
from dbaas.guestagent.volume import Volume
from dbaas.host import files, services

LOG = logging.getLogger(__name__)

JITTER = 0.2
"""Part of the interval between heartbeats that is left to chance: guests do not beat in step."""
SETTLED = (ServiceStatus.HEALTHY, ServiceStatus.NEW, ServiceStatus.SHUTDOWN)
FORGIVEN_AFTER = 600.0
"""Seconds after which a death does not count any more."""
OUTPUT_LIMIT = 16 << 20
"""Bytes that the server's own log may have."""


@dataclass(frozen=True)
class Pace:
    """How often things are done, in seconds."""

    heartbeat: float = 10.0
    progress: float = 2.0
    """Between heartbeats that tell how far a long command is."""
    unsettled: float = 0.2
    """Between two looks at a server that is not well."""
    pauses: tuple[float, ...] = (0.0, 1.0, 2.0, 4.0, 8.0)
    """Before each start of a server that died; it is left alone after the last one."""

    def pause_after(self, deaths: Sequence[float], now: float) -> float | None:
        """Return how many seconds to wait before the next start; None when it died too often."""
        recent = sum(1 for death in deaths if now - death < FORGIVEN_AFTER)
        return self.pauses[recent - 1] if recent <= len(self.pauses) else None


class Supervisor:
    """The one who starts and stops the database server, and who knows how it is."""

    def __init__(
        self,
        places: Places,
        volume: Volume,
        record: Path,
        report: Callable[[Health], None],
        load: Callable[[str, str, Places], Engine] = manifests.load,
        pace: Pace = Pace(),
        progress: Callable[[], Mapping[str, Progress]] = dict,
        archive: Callable[[], ArchiveReport | None] = lambda: None,
    ) -> None:
        """`record`: the file that says which engine is to run here, once one is.

        `progress` tells how far the long commands are that run, by their ids; `archive`, how far
        what the server logs is stored.
        """
        self._places = places
        self._volume = volume
        self._record = record
        self._report = report
        self._load = load
        self._pace = pace
        self._progress = progress
        self._archive = archive
        self._engine: Engine | None = None
        self._changing = threading.Lock()
        self._phase: ServiceStatus | None = None
        self._changes = 0
        self._saying = threading.Lock()
        """Between who says how the server is and who changes it."""
        self._starting = False
        """It was begun, or is to be, and has not answered since."""
        self._running = False
        """It was seen to run, or begun: if it is gone, it died."""
        self._deaths: list[float] = []
        self._next_start: float | None = 0.0
        self._latest = Health(ServiceStatus.NEW)
        self._asked = False
        self._stopping = False
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._thread = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def start(self) -> None:
        """Begin to watch; what ran in an earlier life of the agent or of the server runs again."""
        if self._record.exists():
            data = json.loads(self._record.read_bytes())
            self._engine = self._load(data["engine"], data["version"], self._places)
            self._starting = True
        self._thread.start()

    def leave(self) -> None:
        """Start nothing any more; takes no lock, since a signal's handler calls it.

        When the whole guest is stopped, the database server ends as well, and has to stay so.
        """
        self._stopping = True
        self._nudge()

    def stop(self) -> None:
        """Stop watching; the database server goes on."""
        self.leave()
        self._thread.join()
        os.close(self._wake)

    @property
    def places(self) -> Places:
        return self._places

    @property
    def volume(self) -> Volume:
        return self._volume

    def say_again(self) -> None:
        """Have it said how the server is, soon: what was said before may not have been heard."""
        self._asked = True
        self._nudge()

    @property
    def engine(self) -> Engine:
        """The engine that runs here; raise `Conflict` before there is one."""
        if self._engine is None:
            raise errors.Conflict("there is no database server here yet")
        return self._engine

    @property
    def has_engine(self) -> bool:
        """Whether there is a database server here."""
        return self._engine is not None

    @contextmanager
    def changing(self, phase: ServiceStatus) -> Iterator[None]:
        """Have the server to oneself, to start and stop it; it is said to be in `phase`."""
        with self._changing:
            self._change(phase)
            try:
                yield
            finally:
                self._forgive()
                self._change(None)

    def _change(self, phase: ServiceStatus | None) -> None:
        with self._saying:
            self._phase = phase
            self._changes += 1
        self._nudge()

    def keep(self, name: str, version: str, engine: Engine) -> None:
        """Let this engine run from now on, whatever happens to it, to the agent or to the guest."""
        files.write(self._record, json.dumps({"engine": name, "version": version}), mode=0o600)
        self._engine = engine

    def measure(self) -> Health:
        """Return how the database server is now."""
        while True:
            before = self._changes
            health = self._measured()
            if self._changes == before:  # else it was perhaps seen while it was stopped on purpose
                return replace(health, progress=self._progress(), archive=self._archive())

    def _measured(self) -> Health:
        usage = self._volume.usage()
        if self._engine is None or self._phase is not None:
            return Health(self._phase or ServiceStatus.NEW, usage.total, usage.used)
        process = self._engine.process()
        if process is None and self._volume.released:
            return Health(ServiceStatus.SHUTDOWN, usage.total, usage.used)
        if process is None:
            status = ServiceStatus.RESTARTING if self._starting else ServiceStatus.CRASHED
            return Health(status, usage.total, usage.used)
        self._running = True
        signs = self._engine.signs()
        if signs.answers:
            self._starting = False
            status = ServiceStatus.HEALTHY
        else:
            status = ServiceStatus.RESTARTING if self._starting else ServiceStatus.UNKNOWN
        return Health(status, usage.total, usage.used, signs.version, round(process.uptime, 1))

    def _watch(self) -> None:
        reported = None
        next_beat = 0.0
        while not self._stopping:
            asked, self._asked = self._asked, False
            changes = self._changes
            health = self._latest = self._look()
            now = time.monotonic()
            if asked or health.service is not reported or now >= next_beat:
                if not self._said(health, changes):
                    if asked:
                        self._asked = True
                    continue
                if health.service is not reported:
                    LOG.info("the database server is %s", health.service)
                reported = health.service
                interval = self._pace.progress if health.progress else self._pace.heartbeat
                next_beat = now + interval * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
            self._tend()
            settled = health.service in SETTLED or self._next_start is None
            self._rest(next_beat - now if settled else self._pace.unsettled)

    def _said(self, health: Health, changes: int) -> bool:
        """Say it, unless anything was changed since then: who changed it may have said it already.

        What is said later counts, and this would be older.
        """
        with self._saying:
            if self._changes != changes:
                return False
            self._report(health)
            return True

    def _look(self) -> Health:
        try:
            return self.measure()
        except Exception:
            LOG.exception("the database server cannot be looked at")
            return Health(ServiceStatus.GUEST_ERROR)

    def _tend(self) -> None:
        """Start the server if it is gone and nobody else is at it; never wait until it answers."""
        engine = self._engine
        if engine is None or not self._changing.acquire(blocking=False):
            return
        try:
            services.bound(engine.output, OUTPUT_LIMIT)
            unwanted = self._stopping or self._volume.released
            if engine.process() is None and not unwanted and self._may_start():
                self._running = self._starting = True
                self._volume.take()
                with suppress(errors.Unavailable):  # it has begun
                    engine.start(timeout=0.0)
        except (errors.Error, OSError) as error:
            LOG.error("the database server does not start: %s", error)  # noqa: TRY400
        finally:
            self._changing.release()

    def _may_start(self) -> bool:
        now = time.monotonic()
        if self._running:
            self._running = self._starting = False
            self._deaths.append(now)
            pause = self._pace.pause_after(self._deaths, now)
            self._next_start = None if pause is None else now + pause
            LOG.warning("the database server died, for the %d. time", len(self._deaths))
            if self._latest.service is not ServiceStatus.CRASHED:
                self._nudge()  # it died since it was looked at: that is to be said first
                return False
        return self._next_start is not None and self._next_start <= now

    def _forgive(self) -> None:
        self._deaths.clear()
        self._next_start = 0.0
        self._running = self._starting = False

    def _nudge(self) -> None:
        os.eventfd_write(self._wake, 1)

    def _rest(self, seconds: float) -> None:
        """Wait until something happens: a nudge, or the end of the server's process."""
        process = self._engine.process() if self._engine and self._phase is None else None
        watcher = services.watch(process) if process else None
        poller = select.poll()
        poller.register(self._wake, select.POLLIN)
        if watcher is not None:
            poller.register(watcher, select.POLLIN)
        try:
            poller.poll(max(0.0, seconds) * 1000)
        finally:
            if watcher is not None:
                os.close(watcher)
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake)
