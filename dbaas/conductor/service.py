"""Takes what guests say from the bus, believes what it may, and writes it into the catalog.

It decides nothing: a heartbeat becomes a row of health, a result the answer to its command, and the
operation that waits for it is woken. Events are acknowledged when what they say is committed, so a
conductor may be killed at any instant; any number of them runs side by side.
"""

import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from enum import StrEnum

from oslo_config import cfg

from dbaas.catalog import guests, leases, unit
from dbaas.catalog.records import GuestIdentity, Heartbeat, Outstanding
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common import config, killpoints, logs, metrics, sealing, stopping
from dbaas.common.killpoints import Side
from dbaas.common.metrics import Metrics
from dbaas.common.sealing import Sealer
from dbaas.conductor import intake
from dbaas.conductor.figures import Figures, depths
from dbaas.conductor.identities import Identities
from dbaas.conductor.intake import Refused, Remark, Result
from dbaas.conductor.rates import Rates, Ration
from dbaas.conductor.rebuilding import rebuild, watch
from dbaas.contract import errors
from dbaas.contract.codec import Json
from dbaas.rpc import broker
from dbaas.rpc.broker import Broker
from dbaas.rpc.control import Waker
from dbaas.rpc.guests import Event, EventConsumer

GROUP = "conductor"
OPTS = [
    cfg.IntOpt(
        "batch",
        default=500,
        min=1,
        max=5000,
        help="Events that are written in one go. More save statements under load, and cost memory.",
    ),
    cfg.FloatOpt(
        "linger",
        default=0.05,
        min=0.0,
        max=1.0,
        help="Seconds for which heartbeats wait for others to be written with. Results never wait.",
    ),
]
MODULES = (logs, unit, sealing, broker, metrics, sys.modules[__name__])

REFUSALS_LOGGED = 3
"""Lines in the log for each guest, reason and minute."""
REMARKS_LOGGED = 10
"""Lines in the log for each guest and minute."""

LEASE = 5.0
"""Seconds for which one conductor checks the broker's objects, and the others do not."""

_LOG = logging.getLogger(__name__)
_POLL = 0.5
_PAUSE = 0.5
_COUNT = 2.0
_STOP = 3.0
_MANY = 50_000
_REMARK_CHARACTERS = 1000
_REMARK_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class Moment(StrEnum):
    """Where an event is: kill points of tests, in the order in which a result comes by them."""

    RECEIVED = "received"
    VERIFIED = "verified"
    RESULT_WRITTEN = "result_written"
    OPERATION_WOKEN = "operation_woken"
    HEARTBEATS_WRITTEN = "heartbeats_written"
    ACKNOWLEDGED = "acknowledged"


Known = dict[str, GuestIdentity | None]
"""What is known of those who say something, while it is read: the newest for all that follows."""


class Conductor:
    """Writes what guests say; one thread runs it."""

    def __init__(
        self,
        catalog: Catalog,
        sealer: Sealer,
        bus: Broker,
        wake: Callable[[str], None],
        figures: Figures | None = None,
        reached: killpoints.Reached = killpoints.nothing,
    ) -> None:
        self._kill_point = reached
        self._catalog = catalog
        self._sealer = sealer
        self._bus = bus
        self._wake = wake
        self._figures = figures or Figures(Metrics())
        self._identities = Identities(catalog, sealer)
        self._rates = Rates()
        self._refusals = Ration(REFUSALS_LOGGED)
        self._remarks = Ration(REMARKS_LOGGED)
        self._written: dict[str, Heartbeat] = {}
        """The last heartbeat of each guest that was heard here."""
        self._condemned: set[str] = set()
        self._condemn_at = 0.0
        self._count_at = 0.0

    def run(
        self, consumer: EventConsumer, limit: int, linger: float, stop: threading.Event
    ) -> None:
        """Take events until `stop` is set; whatever is away is waited for."""
        told = ""
        while not stop.is_set():
            try:
                self._connect(consumer)
                _LOG.info("The conductor listens to guests.")
                told = ""
                while not stop.is_set():
                    if events := consumer.fetch(limit, linger, _POLL):
                        self._reached(Moment.RECEIVED)
                        self.take(events)
                        consumer.settle()
                        self._reached(Moment.ACKNOWLEDGED)
                    self._tidy(time.monotonic())
                    self._count_conductors(consumer, time.monotonic())
            except (errors.Unavailable, errors.Forbidden) as error:
                # What was fetched and is not settled comes again, here or elsewhere.
                consumer.close()
                if error.text != told:
                    _LOG.warning("The conductor waits: %s", error.text)
                    told = error.text
                stop.wait(_PAUSE)
        consumer.close()

    def _count_conductors(self, consumer: EventConsumer, now: float) -> None:
        if now >= self._count_at:
            self._count_at = now + _COUNT
            self._rates.conductors = max(1, consumer.consumers())

    def take(self, events: Sequence[Event]) -> None:
        """Write down what guests say; raise `Unavailable`, and then all of it may come again."""
        began = time.monotonic()
        beats, results = self._hear(events)
        self._shut_out(time.monotonic())
        if results:
            self._reached(Moment.VERIFIED)
            self._write_results(results)  # first: somebody waits for them
        if beats:
            self._write_beats(beats)
            self._reached(Moment.HEARTBEATS_WRITTEN)
        self._figures.wrote(time.monotonic() - began)

    def _connect(self, consumer: EventConsumer) -> None:
        """Listen; without the catalog do not, since nothing could be written."""
        if self._catalog.run(lambda unit: leases.take(unit, "guest-bus", LEASE)):
            try:
                rebuild(self._catalog, self._sealer, self._bus)
            except errors.Error as error:  # it may be needless, too: then connecting succeeds
                _LOG.warning("The guests' bus cannot be checked: %s", error.text)
        consumer.connect()

    def _hear(
        self, events: Sequence[Event]
    ) -> tuple[dict[str, Heartbeat], list[tuple[str, Result]]]:
        """Return the newest heartbeat of each guest, and all results with who gave them."""
        beats: dict[str, Heartbeat] = {}
        results: list[tuple[str, Result]] = []
        now = time.monotonic()
        known = self._identities.of(event.sender for event in events if event.sender)
        for event in events:
            sender = event.sender
            if sender is None:
                self._refuse("nobody", "it came through no guest's exchange")
                continue
            if self._is_shut_out(sender, known, now):
                self._figures.heard("ignored")
                continue
            if self._rates.count(sender, len(event.body), now):
                self._condemned.add(sender)
                self._figures.heard("ignored")
                continue
            try:
                said = self._believe(event.body, sender, known, now)
            except Refused as error:
                self._refuse(sender, error.text)
                continue
            except errors.Error:
                raise
            except Exception:  # noqa: BLE001  # what trips us must not come back for ever
                _LOG.exception("A message of guest %s could not be read", sender)
                continue
            if isinstance(said, Heartbeat):
                newest = beats.get(sender)
                is_news = self._is_news(sender, said, newest or self._written.get(sender))
                if is_news or newest is None:  # the catalog decides: others hear other ones
                    beats[sender] = said
                continue
            self._figures.heard(type(said).__name__.lower())
            if isinstance(said, Result):
                results.append((sender, said))
            else:
                self._note(sender, said)
        return beats, results

    def _is_shut_out(self, sender: str, known: Known, since: float) -> bool:
        """Return whether nothing of the guest's counts; what the broker still has comes, too."""
        if sender in self._condemned:
            return True
        if not _is_quarantined(known[sender]):
            return False
        known[sender] = self._identities.again(sender, since)  # it may have been let in again
        return _is_quarantined(known[sender])

    def _is_news(self, sender: str, said: Heartbeat, newest: Heartbeat | None) -> bool:
        if newest is None or newest.moment < said.moment:
            self._figures.heard("heartbeat")
            return True
        self._figures.heard("stale")
        if self._refusals.take(sender, "stale"):
            _LOG.info("A heartbeat of guest %s is older than one before it", sender)
        return False

    def _believe(
        self, body: bytes, sender: str, known: Known, since: float
    ) -> Heartbeat | Result | Remark:
        try:
            return intake.hear(body, known[sender])
        except Refused as error:
            if not error.stale:
                raise
        known[sender] = self._identities.again(sender, since)
        return intake.hear(body, known[sender])

    def _write_beats(self, beats: Mapping[str, Heartbeat]) -> None:
        if not beats:
            return
        try:
            self._catalog.repeat(lambda unit: guests.fold(unit, beats))
            self._written |= beats
        except errors.Error:
            raise
        except Exception:  # noqa: BLE001  # what trips us must not come back for ever
            _LOG.exception("Heartbeats of %d guests could not be written", len(beats))
            if len(beats) > 1:
                for sender, beat in beats.items():
                    self._write_beats({sender: beat})

    def _write_results(self, results: Sequence[tuple[str, Result]]) -> None:
        ids = [result.command for _, result in results]
        commands = self._catalog.read(lambda unit: guests.outstanding(unit, ids))
        for sender, result in results:
            command = commands.get(result.command)
            try:
                answer = intake.settle(result, sender, command, self._sealer.hide)
                if command is not None:
                    self._answer(command, answer, result)
            except Refused as error:
                self._refuse(sender, error.text)
            except errors.Error:
                raise
            except Exception:  # noqa: BLE001  # what trips us must not come back for ever
                _LOG.exception("A result of guest %s could not be written", sender)

    def _answer(self, command: Outstanding, answer: Json, result: Result) -> None:
        def work(unit: Unit) -> bool:
            first = guests.answer(unit, command, answer)
            if first and "ok" in answer and intake.tells_health(command):
                guests.passed(unit, command.instance_id, result.boot, result.seq)
            return first

        if self._catalog.run(work):
            self._reached(Moment.RESULT_WRITTEN)
            self._wake(command.operation_id)
            self._reached(Moment.OPERATION_WOKEN)

    def _reached(self, moment: Moment) -> None:
        self._kill_point("event", moment, Side.AFTER_CALL)

    def _shut_out(self, now: float) -> None:
        """Quarantine who says too much: in the broker first, that stops the damage; and once more,
        since who rebuilds the bus went by the catalog until then."""
        if not self._condemned or now < self._condemn_at:
            return
        self._condemn_at = now + _PAUSE
        known = self._identities.of(self._condemned)
        for sender, guest in known.items():
            users = () if guest is None else guest.users
            try:
                self._bus.quarantine(sender, users)
                woken = self._quarantined(sender)
                self._bus.quarantine(sender, users)
            except errors.Error as error:  # it stays condemned: soon once more
                _LOG.warning("Guest %s cannot be quarantined yet: %s", sender, error.text)
                continue
            _LOG.warning("Guest %s says too much: it is quarantined", sender)
            self._condemned.discard(sender)
            self._identities.forget(sender)
            for operation_id in woken:
                self._wake(operation_id)

    def _quarantined(self, sender: str) -> list[str]:
        return self._catalog.run(lambda unit: guests.quarantined(unit, sender))

    def _refuse(self, sender: str, reason: str) -> None:
        self._figures.heard("refused")
        if self._refusals.take(sender, reason):
            _LOG.warning("Refused a message of guest %s: %s", sender, reason)

    def _note(self, sender: str, remark: Remark) -> None:
        if self._remarks.take(sender):
            text = remark.text[:_REMARK_CHARACTERS].encode("unicode_escape").decode()
            _LOG.log(_REMARK_LEVELS[remark.level], "Guest %s says: %s", sender, text)

    def _tidy(self, now: float) -> None:
        self._shut_out(now)
        if len(self._written) > _MANY:  # of guests that are gone, mostly
            self._written.clear()
        for sender, count in self._refusals.over(now).items():
            _LOG.warning("Refused %d more messages of guest %s", count, sender)
        for sender, count in self._remarks.over(now).items():
            _LOG.info("Guest %s had %d more remarks", sender, count)


def _is_quarantined(guest: GuestIdentity | None) -> bool:
    return guest is not None and guest.state == guests.QUARANTINED


def main() -> None:
    """Run until SIGTERM or SIGINT; exit with 1 when it cannot go on."""
    try:
        conf = config.load(sys.argv[1:], MODULES, before=logs.register)
        logs.setup(conf, "conductor")
        serve(conf)
    except (errors.Invalid, cfg.Error) as error:
        sys.exit(f"dbaas-conductor cannot start: {error}")


def serve(conf: cfg.ConfigOpts) -> None:
    """Be a conductor until the process is told to stop; raise `Invalid` for what is set wrong."""
    catalog = Catalog(conf)
    waker = Waker(conf)
    shown = Metrics()
    bus = broker.from_conf(conf)
    sealer = sealing.from_conf(conf)
    with suppress(errors.Unavailable):
        catalog.read(lambda unit: guests.expect_key(unit, sealer))
    deaths = killpoints.from_environment()
    conductor = Conductor(catalog, sealer, bus, waker.wake, Figures(shown), deaths)
    shown.looked_up(lambda: depths(bus))
    shown.serve(conf)
    consumer = EventConsumer(conf[broker.GROUP].url)
    options = conf[GROUP]
    stop = stopping.on_signals()
    ended = threading.Event()

    def work() -> None:
        try:
            conductor.run(consumer, options.batch, options.linger, stop)
            ended.set()
        finally:
            stop.set()

    # Not in the main thread: it may hang in the catalog when it is told to stop, and then whatever
    # it was doing comes again.
    thread = threading.Thread(target=work, name="conductor", daemon=True)
    thread.start()
    threading.Thread(
        target=watch, args=(catalog, sealer, bus, stop), name="bus", daemon=True
    ).start()
    stopping.wait(stop)
    thread.join(_STOP)
    waker.close()
    if thread.is_alive():
        _LOG.warning("The conductor was stopped while something did not answer.")
    elif not ended.is_set():
        sys.exit(1)
