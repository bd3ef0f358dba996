"""The tenant as the engine's administrator: let in, and out again.

Unlike other writes, both are answered only when they are done: whoever asked needs to know.
"""

import secrets
import string

import falcon

from dbaas.api.middleware import identity
from dbaas.api.services import Services
from dbaas.api.usecases import ask_guest, once
from dbaas.catalog import instances
from dbaas.catalog.unit import Unit
from dbaas.contract import errors
from dbaas.contract.requests import DisableRoot, EnableRoot
from dbaas.contract.secret import Secret

_LETTERS = string.ascii_letters + string.digits
_LENGTH = 32
"""Characters of a password that is made here: 190 bits, and nothing that a shell would change."""


def enable(
    req: falcon.Request, services: Services, instance_id: str, password: str | None
) -> Secret:
    """Return the administrator's password from now on; raise `Unavailable` as a read does."""
    chosen = Secret(password or "".join(secrets.choice(_LETTERS) for _ in range(_LENGTH)))

    def work(unit: Unit) -> once.Answer:
        operation_id = ask_guest.begin(
            unit, services, identity(req), instance_id, "enable_root", EnableRoot(chosen)
        )
        kept = {"operation_id": operation_id, "password": services.sealer.hide(chosen)}
        return once.Answer(kept, operation_id)

    kept = once.accept(req, services, work).body
    ask_guest.finish(services, instance_id, kept["operation_id"])
    return services.sealer.show(kept["password"])


def disable(req: falcon.Request, services: Services, instance_id: str) -> None:
    """Let nobody in any more; raise `NotFound` unless root is enabled."""
    who = identity(req)

    def work(unit: Unit) -> once.Answer:
        operation_id = ask_guest.begin(
            unit, services, who, instance_id, "disable_root", DisableRoot()
        )
        if not instances.show(unit, instance_id, None).root_enabled:
            raise errors.NotFound(f"Root is not enabled on instance {instance_id}.")
        return once.Answer({"operation_id": operation_id}, operation_id)

    kept = once.accept(req, services, work).body
    ask_guest.finish(services, instance_id, kept["operation_id"])
