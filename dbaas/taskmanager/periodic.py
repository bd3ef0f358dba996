"""Work that is due again and again, done by one task manager at a time, under a lease."""

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from dbaas.catalog import (
    archive_bases,
    archive_orders,
    guests,
    idempotency,
    leases,
    leftovers,
    operation_views,
    operations,
    schedules,
)
from dbaas.catalog.archive_bases import Delay
from dbaas.catalog.backup_orders import Means
from dbaas.catalog.unit import Catalog, Unit
from dbaas.contract import errors

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Duty:
    """`every`: seconds between two times, over all task managers."""

    name: str
    every: float
    work: Callable[[Unit], object]


def duties(
    means: Means, archived: Sequence[str], compacted_every: float, operations_kept: float
) -> tuple[Duty, ...]:
    """Return all of them; `means` are for those that ask for operations, `archived` names
    datastores whose instances have an archive unasked, each is compacted after so many seconds,
    and what an operation was is forgotten so many after its end."""
    sealer = means.sealer

    def compact(unit: Unit) -> None:
        archive_orders.compact(unit, sealer, compacted_every)

    def prune(unit: Unit) -> None:
        archive_orders.prune(unit, sealer, compacted_every)

    return (
        Duty("forget-idempotency-keys", 600.0, idempotency.purge),
        Duty("forget-health-of-strangers", 600.0, guests.forget_strangers),
        Duty("wipe-answers", 30.0, operations.wipe_answers),
        Duty("forget-operations", 60.0, lambda unit: operations.forget(unit, operations_kept)),
        Duty("report-stuck-operations", 60.0, lambda unit: _report(operation_views.stuck(unit))),
        Duty("sweep-backups", 30.0, lambda unit: leftovers.sweep(unit, sealer)),
        Duty("carry-archives-on", 5.0, lambda unit: archive_orders.attend(unit, sealer, archived)),
        Duty("compact-archives", min(60.0, compacted_every), compact),
        Duty("prune-archives", min(60.0, compacted_every), prune),
        Duty("back-up-after-gaps", 30.0, lambda unit: _tell(archive_bases.take(unit, means))),
        Duty("keep-backups", 60.0, lambda unit: schedules.keep_rules(unit, sealer)),
        Duty("verify-backups", 60.0, lambda unit: schedules.verify_new(unit, sealer)),
    )


_LOOK = 5.0


class Periodic:
    """One thread; it never does the same duty beside another process."""

    def __init__(self, catalog: Catalog, duties: tuple[Duty, ...]) -> None:
        self._catalog = catalog
        self._duties = duties
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="periodic", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK):
            for duty in self._duties:
                try:
                    self._do(duty)
                except errors.Unavailable as error:
                    LOG.warning("Duty %s is put off: %s", duty.name, error.text)
                except Exception:  # a defect in one duty must not end the others
                    LOG.exception("Duty %s met a defect", duty.name)

    def _do(self, duty: Duty) -> None:
        if self._catalog.run(lambda unit: leases.take(unit, duty.name, duty.every)):
            self._catalog.run(duty.work)


def _report(stuck: list[str]) -> None:
    for operation_id in stuck:
        LOG.error("Operation %s is stuck: this is a defect.", operation_id)


def _tell(delays: Iterable[Delay]) -> None:
    for one in delays:
        LOG.warning(
            "Instance %s has a gap in its archive, and a backup after it has to wait: %s",
            one.instance_id,
            one.why,
        )
