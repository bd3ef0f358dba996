"""Asks an instance's engine, by way of an operation, and waits a little for the answer.

What was made in SQL shows: so these are the only requests that a guest is asked for. A write that
is not answered in time goes on and was accepted; a read is given up.
"""

import time
from typing import Any

import falcon

from dbaas.api.middleware import identity
from dbaas.api.services import Services
from dbaas.api.usecases import once
from dbaas.catalog import instances, operations
from dbaas.catalog.operations import Outcome
from dbaas.catalog.unit import Unit
from dbaas.common.context import Context
from dbaas.contract import codec, errors
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.messages import ServiceStatus
from dbaas.contract.operations import State
from dbaas.contract.requests import AskGuest
from dbaas.contract.states import WORDS, Status

KIND = "ask_guest"

PATIENCE = 15.0
"""Seconds for which a request is held open."""

_SHORTEST, _LONGEST, _GROWTH = 0.01, 0.2, 1.15
"""Seconds between two looks, and how they grow: an answer is seen late by a seventh of its time."""
_ENGINE_STAYS = (Status.ACTIVE, Status.RESIZING, Status.UPDATING, Status.BACKING_UP)
_SERVING = (ServiceStatus.HEALTHY, ServiceStatus.RUNNING)


def read(
    req: falcon.Request, services: Services, instance_id: str, verb: str, order: object = None
) -> Any:
    """Return what the guest answers to `verb`; raise `Unavailable` when it does not in time."""
    who, body = identity(req), AskGuest(verb, order)
    operation_id = services.catalog.run(
        lambda unit: begin(unit, services, who, instance_id, KIND, body)
    )
    services.waker.wake(operation_id)
    outcome = finish(services, instance_id, operation_id)
    answer = codec.load_any(GUEST_VERBS[verb].gives, outcome.answer, services.sealer.show, verb)
    services.catalog.run(lambda unit: operations.wipe_answer(unit, operation_id))
    return answer


def write(
    req: falcon.Request, services: Services, instance_id: str, verb: str, order: object = None
) -> None:
    """Return when it is done; or when it was accepted, and not refused in time."""
    who, body = identity(req), AskGuest(verb, order)

    def work(unit: Unit) -> once.Answer:
        operation_id = begin(unit, services, who, instance_id, KIND, body)
        return once.Answer({"operation_id": operation_id}, operation_id)

    wait(services, once.accept(req, services, work).body["operation_id"])


def begin(
    unit: Unit, services: Services, who: Context, instance_id: str, kind: str, body: object
) -> str:
    """Accept an operation on an instance that serves, without its lock; return its id.

    Raises `NotFound`, and `Busy` in the words that clients know when the engine does not serve.
    """
    instance = instances.lock(unit, instance_id, None if who.is_admin else who.project_id)
    check_serves(instance.id, instance.status, instances.health(unit, instance_id))
    request = operations.Request(
        kind=kind,
        instance_id=instance_id,
        project_id=instance.project_id,
        user_id=who.user_id,
        request_id=who.request_id,
        client_ip=who.client_ip,
        body=body,
    )
    return operations.accept(unit, request, services.sealer)


def check_serves(instance_id: str, status: Status, health: ServiceStatus) -> None:
    """Raise `Busy` unless the instance's engine can be asked now."""
    if status not in _ENGINE_STAYS:
        raise errors.Busy(f"Instance {instance_id} is not ready, status: {WORDS[status]}.")
    if health not in _SERVING:
        raise errors.Busy(f"Instance {instance_id} is not ready, status: {health.value}.")


def finish(services: Services, instance_id: str, operation_id: str) -> Outcome:
    """Return how it has ended; raise its error, or `Unavailable` if it has not ended in time."""
    outcome = wait(services, operation_id)
    if outcome is None:
        raise errors.Unavailable(
            f"Instance {instance_id} does not answer now: try again, or look at the operation "
            f"{operation_id}."
        )
    return outcome


def wait(services: Services, operation_id: str) -> Outcome | None:
    """Return how the operation has ended, raising its error; None if it has not in time."""
    until = time.monotonic() + PATIENCE
    pause = _SHORTEST
    while True:
        outcome = services.catalog.read(lambda unit: operations.outcome(unit, operation_id))
        if outcome is not None:
            _raise_failure(outcome)
            return outcome
        if time.monotonic() >= until:
            return None
        time.sleep(pause)
        pause = min(pause * _GROWTH, _LONGEST)


def _raise_failure(outcome: Outcome) -> None:
    if outcome.state is State.SUCCEEDED:
        return
    fault = outcome.fault
    if fault is None:
        raise errors.Failed("It was stopped before it was done.")
    kind = errors.BY_NAME.get(fault.kind, errors.Failed)
    # What is there already is 400 on these routes, as clients know it.
    raise (errors.Invalid if kind is errors.Conflict else kind)(fault.message)
