"""Has backups made whose schedules' time has come; all task managers do it side by side."""

import logging
import random
import threading
from collections.abc import Callable

from dbaas.catalog import schedules
from dbaas.catalog.backup_orders import Means
from dbaas.catalog.unit import Catalog
from dbaas.common.killpoints import Reached, Side
from dbaas.contract import errors

LOG = logging.getLogger(__name__)

LOOK = 2.0
"""Seconds between two looks for schedules whose time has come, jittered down to half."""

KIND = "schedule"
"""What its kill points are of."""


class Clock:
    """One thread. `wake` hears of the operations that it accepts."""

    def __init__(
        self, catalog: Catalog, means: Means, wake: Callable[[str], None], reached: Reached
    ) -> None:
        self._catalog = catalog
        self._means = means
        self._wake = wake
        self._reached = reached
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="clock", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(LOOK * random.uniform(0.5, 1.0)):  # noqa: S311
            try:
                while not self._stop.is_set() and self.do_one():
                    pass
            except errors.Unavailable as error:
                LOG.warning("Schedules are put off: %s", error.text)
            except Exception:  # a defect in one schedule must not end the others
                LOG.exception("A schedule met a defect")

    def do_one(self) -> bool:
        """Do what one due schedule asks for; return False if none is due."""
        run = self._catalog.run(
            lambda unit: schedules.run_one(unit, self._means),
            lambda statement: self._reached(KIND, statement, Side.BEFORE_CALL),
        )
        if run is None:
            return False
        self._reached(KIND, "wake", Side.BEFORE_CALL)
        if run.operation_id is not None:
            LOG.info("Schedule %s: operation %s", run.schedule_id, run.operation_id)
            self._wake(run.operation_id)
        return True
