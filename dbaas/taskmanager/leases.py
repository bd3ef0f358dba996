"""Keeps the leases of the operations that this process carries on, all by one thread."""

import logging
import threading
import time
from collections.abc import Callable, Iterable

from dbaas.catalog.journal import ClaimLost
from dbaas.contract import errors
from dbaas.contract.operations import Claim

LOG = logging.getLogger(__name__)

Renew = Callable[[Iterable[Claim], float], set[str]]


class HeldLease:
    """One lease; it holds until its last renewal is too old, whatever the catalog says then."""

    def __init__(self, claim: Claim, until: float) -> None:
        self.claim = claim
        self.until = until
        """Monotonic time; earlier than the catalog's end of the lease, never later."""

    def check(self) -> None:
        """Raise `ClaimLost` when the lease may have run out."""
        if time.monotonic() >= self.until:
            raise ClaimLost(self.claim.operation_id)


class Keeper:
    """Renews every lease that is held, each third of its length."""

    def __init__(self, renew: Renew, length: float) -> None:
        self._renew = renew
        self._length = length
        self._held: dict[str, HeldLease] = {}
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="leases", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def hold(self, claim: Claim, began: float) -> HeldLease:
        """Begin to renew; `began`: monotonic time just before the claim was made."""
        lease = HeldLease(claim, began + self._length)
        with self._lock:
            self._held[claim.operation_id] = lease
        return lease

    def let_go(self, lease: HeldLease) -> None:
        with self._lock:
            if self._held.get(lease.claim.operation_id) is lease:
                del self._held[lease.claim.operation_id]

    def _run(self) -> None:
        while not self._stop.wait(self._length / 3):
            with self._lock:
                leases = list(self._held.values())
            if leases:
                try:
                    self._renew_all(leases)
                except Exception:  # the leases run out unless the next time is better
                    LOG.exception("Renewing %d leases met a defect", len(leases))

    def _renew_all(self, leases: list[HeldLease]) -> None:
        began = time.monotonic()
        try:
            kept = self._renew([lease.claim for lease in leases], self._length)
        except errors.Unavailable as error:
            LOG.warning("Cannot renew %d leases: %s", len(leases), error.text)
            return
        for lease in leases:
            lease.until = began + self._length if lease.claim.operation_id in kept else 0.0
