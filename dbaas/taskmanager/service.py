"""The task manager: claims operations when they are woken or due, and carries them on."""

import faulthandler
import gc
import logging
import os
import queue
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress

from oslo_config import cfg

from dbaas.catalog import backup_orders, guests, operations, quotas, unit
from dbaas.catalog.unit import Catalog, Unit
from dbaas.cloud import drivers
from dbaas.cloud.base import Cloud
from dbaas.cloud.measured import MeasuredCloud
from dbaas.common import certificates, config, killpoints, logs, metrics, sealing, stopping
from dbaas.common.metrics import Metrics
from dbaas.contract import errors
from dbaas.contract.operations import Claim
from dbaas.rpc import broker, control, notifications
from dbaas.rpc.guests import CommandPublisher
from dbaas.rpc.notifications import Notifier
from dbaas.strategies.grants import vaults
from dbaas.taskmanager import archiving
from dbaas.taskmanager.announcements import SERVICE, Announcing
from dbaas.taskmanager.bus import GuestBus
from dbaas.taskmanager.clock import Clock
from dbaas.taskmanager.endings import InstanceEndings
from dbaas.taskmanager.figures import OwnWork, Whole
from dbaas.taskmanager.flows import FLOWS
from dbaas.taskmanager.hints import Hints
from dbaas.taskmanager.journal import CatalogJournal
from dbaas.taskmanager.leases import HeldLease, Keeper
from dbaas.taskmanager.periodic import Periodic, duties
from dbaas.taskmanager.runner import Runner
from dbaas.taskmanager.steps.services import Entrance, Services
from dbaas.taskmanager.toolbox import Means

LOG = logging.getLogger(__name__)

GROUP = "taskmanager"
OPTS = [
    cfg.IntOpt(
        "workers",
        default=16,
        min=1,
        max=256,
        help="Operations that one task manager works on at the same time. Waiting ones do not "
        "count.",
    ),
    cfg.FloatOpt(
        "lease",
        default=15.0,
        min=1.0,
        max=300.0,
        help="Seconds after which another task manager takes over the operations of one that "
        "died. Shorter recovers sooner; below 5 only for tests.",
    ),
    cfg.FloatOpt(
        "poll_interval",
        default=1.0,
        min=0.05,
        max=60.0,
        help="Seconds between two looks for operations whose time has come. New ones are woken by "
        "a message: this is what a lost message costs.",
    ),
    cfg.FloatOpt(
        "drain",
        default=20.0,
        min=0.0,
        help="Seconds that SIGTERM gives the steps in hand to finish.",
    ),
    cfg.FloatOpt(
        "operations_kept",
        default=14 * 86400.0,
        min=86400.0,
        help="Seconds after its end that an operation can be looked at, with its steps. Archives "
        "alone have some fifty a day for each instance.",
    ),
]

MODULES = (
    unit,
    sealing,
    logs,
    drivers,
    broker,
    notifications,
    metrics,
    archiving,
    sys.modules[__name__],
)


class TaskManager:
    """The threads of one process: picker, workers and the keeper of their leases."""

    def __init__(
        self, conf: cfg.ConfigOpts, catalog: Catalog, runner: Runner, hints: Hints
    ) -> None:
        options = conf[GROUP]
        self._catalog = catalog
        self._runner = runner
        self._hints = hints
        self._name = f"{socket.gethostname()}:{os.getpid()}"
        self._lease: float = options.lease
        self._poll: float = options.poll_interval
        self._drain: float = options.drain
        self._workers: int = options.workers
        self._free = threading.Semaphore(options.workers)
        self._claimed: queue.SimpleQueue[HeldLease | None] = queue.SimpleQueue()
        self._keeper = Keeper(self._renew, self._lease)
        self._stopping = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        self._keeper.start()
        self._spawn("picker", self._pick)
        for n in range(self._workers):
            self._spawn(f"worker-{n}", self._work)

    def stop(self) -> None:
        """Claim nothing more; let the steps in hand finish, as long as that may take."""
        self._stopping.set()
        self._hints.close()
        for _ in range(self._workers):
            self._claimed.put(None)
        until = time.monotonic() + self._drain
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
        self._keeper.stop()

    def _spawn(self, name: str, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target, name=name, daemon=True)
        thread.start()
        self._threads.append(thread)

    def _pick(self) -> None:
        """Claim what is woken, and whatever is due, as far as there are free workers."""
        next_poll = 0.0
        while not self._stopping.is_set():
            if not self._free.acquire(timeout=self._poll):
                continue
            woken = self._hints.next(max(0.0, next_poll - time.monotonic()))
            slots = 1
            if woken is None:
                while slots < self._workers and self._free.acquire(blocking=False):
                    slots += 1
            taken = 0
            try:
                taken = self._claim(woken, slots)
            except errors.Unavailable as error:
                LOG.warning("Cannot claim operations: %s", error.text)
                self._stopping.wait(self._poll)
            except Exception:  # without this thread nothing would be done any more
                LOG.exception("Claiming operations met a defect")
                self._stopping.wait(self._poll)
            finally:
                for _ in range(slots - taken):
                    self._free.release()
            if woken is None:
                next_poll = time.monotonic() + (0.0 if taken == slots else self._poll)

    def _claim(self, woken: str | None, limit: int) -> int:
        began = time.monotonic()

        def work(one: Unit) -> list[Claim]:
            if woken is not None:
                return operations.claim_one(one, self._name, self._lease, woken)
            return operations.claim(one, self._name, self._lease, limit)

        claims = self._catalog.run(work)
        for claim in claims:
            self._claimed.put(self._keeper.hold(claim, began))
        return len(claims)

    def _renew(self, claims: Iterable[Claim], length: float) -> set[str]:
        return self._catalog.run(lambda one: operations.renew(one, claims, length))

    def _work(self) -> None:
        while (lease := self._claimed.get()) is not None:
            try:
                self._runner.carry_on(lease.claim, lease)
            except errors.Unavailable as error:
                LOG.warning(
                    "Operation %s is left for later: %s", lease.claim.operation_id, error.text
                )
            except Exception:  # a defect in one operation must not end the others
                LOG.exception("Operation %s met a defect", lease.claim.operation_id)
            finally:
                self._keeper.let_go(lease)
                self._free.release()


def main() -> None:
    """Run until SIGTERM or SIGINT; SIGUSR1 prints where each thread is."""
    try:
        conf = config.load(sys.argv[1:], MODULES, before=logs.register)
        logs.setup(conf, "taskmanager")
        serve(conf, drivers.load(conf))
    except (errors.Invalid, cfg.Error) as error:
        sys.exit(f"dbaas-taskmanager cannot start: {error}")


def serve(conf: cfg.ConfigOpts, cloud: Cloud) -> None:
    """Be a task manager over this cloud until the process is told to stop.

    Raise `Invalid` for what is set wrong.
    """
    catalog = Catalog(conf)
    sealer = sealing.from_conf(conf)
    with suppress(errors.Unavailable):
        catalog.read(lambda unit: guests.expect_key(unit, sealer))
    hints = Hints()
    publisher = CommandPublisher(conf[broker.GROUP].url)
    figures, notifier = Metrics(), Notifier(conf, SERVICE)
    means = Means(
        journal=CatalogJournal(catalog, hints.after),
        cloud=MeasuredCloud(cloud, figures),
        bus=GuestBus(catalog, sealer, publisher),
        sealer=sealer,
        reached=killpoints.from_environment(),
        services=_services(conf, catalog, sealer),
    )
    figures.looked_up(Whole(catalog).collect)
    listeners = (OwnWork(figures), Announcing(notifier.send, catalog))
    runner = Runner(means, FLOWS, InstanceEndings(), listeners)
    manager = TaskManager(conf, catalog, runner, hints)
    server = control.WakeServer(conf, hints.now)
    backups = _backups(conf, sealer)
    due = duties(
        backups,
        archiving.versions(conf),
        archiving.compacted_every(conf),
        conf[GROUP].operations_kept,
    )
    periodic = Periodic(catalog, due)
    clock = Clock(catalog, backups, hints.now, means.reached)
    stop = stopping.on_signals()
    faulthandler.register(signal.SIGUSR1)
    gc.freeze()  # what is loaded by now stays: no collection needs to look at it
    figures.serve(conf)
    manager.start()
    server.start()
    periodic.start()
    clock.start()
    LOG.info("The task manager is ready.")
    stopping.wait(stop)
    LOG.info("The task manager stops.")
    server.stop()
    clock.stop()
    periodic.stop()
    manager.stop()
    notifier.close()
    publisher.close()
    catalog.close()


def _backups(conf: cfg.ConfigOpts, sealer: sealing.Sealer) -> backup_orders.Means:
    """Return what schedules and duties have for backups: limits are those of requests."""
    conf.register_opts(quotas.OPTS, group=quotas.GROUP)
    return backup_orders.Means(
        sealer,
        quotas.defaults(conf[quotas.GROUP]),
        tuple(vaults.load(conf, sealer)),
        vaults.container(conf),
    )


def _services(conf: cfg.ConfigOpts, catalog: Catalog, sealer: sealing.Sealer) -> Services:
    bus = conf[broker.GROUP]
    return Services(
        catalog=catalog,
        sealer=sealer,
        broker=broker.from_conf(conf),
        authority=certificates.from_conf(conf),
        entrance=Entrance(bus.guest_host, bus.guest_port, "guest"),
        archives=archiving.container(conf),
        vaults=vaults.load(conf, sealer),
    )


if __name__ == "__main__":
    main()
