"""Accepting a request in one transaction, at most once where it carries an `Idempotency-Key`.

Each statement of that transaction is a kill point, and what comes after it is: see `kind_of`.
"""

import re
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import falcon

from dbaas.api import bodies
from dbaas.api.middleware import identity
from dbaas.api.services import Services
from dbaas.catalog import idempotency
from dbaas.catalog.unit import Before, Unit
from dbaas.common import killpoints
from dbaas.common.killpoints import Side
from dbaas.contract import errors

HEADER = "Idempotency-Key"
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


@dataclass(frozen=True)
class Answer:
    """What a request is answered, and the operation that it began, if any."""

    body: Any = None
    operation_id: str | None = None


def accept(req: falcon.Request, services: Services, work: Callable[[Unit], Answer]) -> Answer:
    """Do `work` in one transaction, then wake its operation; or give the first answer again.

    Raises `Invalid` for a key that cannot be, and `idempotency.OtherRequest`.
    """
    key = req.get_header(HEADER)
    before = _before(req, services)
    if key is None:
        answer, is_new = services.catalog.run(work, before), True
    else:
        answer, is_new = services.catalog.repeat(_once(req, services, key, work), before)
    req.context.operation_id = answer.operation_id
    services.reached(kind_of(req), "wake", Side.BEFORE_CALL)
    if is_new and answer.operation_id is not None:
        services.waker.wake(answer.operation_id)
    services.reached(kind_of(req), "wake", Side.AFTER_CALL)
    return answer


def kind_of(req: falcon.Request) -> str:
    """Return what its kill points are of, as `accept POST instances.{instance_id}.action`."""
    path = str(req.uri_template).removeprefix("/v1.0/{project}/").replace("/", ".")
    return f"accept {req.method} {path}"


def _before(req: falcon.Request, services: Services) -> Before | None:
    if services.reached is killpoints.nothing:
        return None  # outside of tests a transaction need not stop at each of its statements
    return lambda statement: services.reached(kind_of(req), statement, Side.BEFORE_CALL)


def _once(
    req: falcon.Request, services: Services, key: str, work: Callable[[Unit], Answer]
) -> Callable[[Unit], tuple[Answer, bool]]:
    """Return what gives the answer, and whether it is the first time."""
    if not _KEY.fullmatch(key):
        raise errors.Invalid(f"{HEADER} must be 1 to 255 printable characters without blanks.")
    project_id = identity(req).project_id
    # Keyed, since the body may hold passwords.
    asked = (req.method, req.path, req.query_string, bodies.raw_text(req))
    digest = services.sealer.digest("\0".join(asked))

    def once(unit: Unit) -> tuple[Answer, bool]:
        first = idempotency.claim(unit, project_id, key, digest)
        if first is not None:
            return Answer(**first), False
        answer = work(unit)
        idempotency.keep(unit, project_id, key, asdict(answer))
        return answer, True

    return once
