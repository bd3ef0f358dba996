"""Announces what the API has accepted, where the operator wants notifications."""

from collections.abc import Callable

from dbaas.catalog import events
from dbaas.catalog.unit import Catalog
from dbaas.contract.interfaces import TaskManager
from dbaas.rpc.notifications import Look, Notification

SERVICE = "api"


class Announcing:
    """Wakes a task manager for each operation that was accepted, and has its beginning told."""

    def __init__(self, waker: TaskManager, send: Callable[[Look], None], catalog: Catalog) -> None:
        self._waker = waker
        self._send = send
        self._catalog = catalog

    def wake(self, operation_id: str) -> None:
        self._waker.wake(operation_id)
        self._send(lambda: self._begun(operation_id))

    def _begun(self, operation_id: str) -> Notification | None:
        event = self._catalog.read(lambda unit: events.begun(unit, operation_id, SERVICE))
        if event is None:
            return None
        return Notification(f"dbaas.{event.name}.start", event.payload)
