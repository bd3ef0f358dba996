"""Announces how operations have ended or were parked, where the operator wants notifications."""

from collections.abc import Callable

from dbaas.catalog import events
from dbaas.catalog.unit import Catalog
from dbaas.contract.operations import Operation, State
from dbaas.rpc.notifications import Look, Notification

SERVICE = "taskmanager"


class Announcing:
    """A listener of the runner."""

    def __init__(self, send: Callable[[Look], None], catalog: Catalog) -> None:
        self._send = send
        self._catalog = catalog

    def ran(self, op: Operation, step: str, seconds: float, outcome: str) -> None:
        """Nobody hears about single steps."""

    def stopped(self, op: Operation, state: State) -> None:  # noqa: ARG002  # the catalog knows it
        """One that was parked may go on, and ends a second time then."""
        self._send(lambda: self._ended(op.id))

    def _ended(self, operation_id: str) -> Notification | None:
        event = self._catalog.read(lambda unit: events.ended(unit, operation_id, SERVICE))
        if event is None:
            return None
        end = "error" if event.failed else "end"
        return Notification(f"dbaas.{event.name}.{end}", event.payload, event.failed)
