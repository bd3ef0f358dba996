"""/instances/{id}/action: what is done to an instance, one action a request."""

from collections.abc import Callable
from typing import Any

import falcon

from dbaas.api import bodies
from dbaas.api.resources.base import accepted, allowed, existing_id
from dbaas.api.schemas import instances as schemas
from dbaas.api.schemas.check import Check
from dbaas.api.services import Services
from dbaas.api.usecases import change_instance, find, once
from dbaas.api.usecases.change_instance import Call, Change
from dbaas.contract import errors

_LATER = ("promote_to_replica_source", "eject_replica_source")


class InstanceAction:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        rule, change = _understood(bodies.read(req), self._services)
        who = allowed(req, self._services, rule)
        call = Call(existing_id(instance_id), who, self._services)
        once.accept(req, self._services, lambda unit: once.Answer(operation_id=change(unit, call)))
        accepted(resp)


def _understood(body: dict[str, Any], services: Services) -> tuple[str, Change]:
    """Return the policy rule and the change that the body asks for."""
    known = sorted((*_ACTIONS, *_LATER))
    if len(body) != 1:
        raise errors.Invalid(
            f"The body must have exactly one action, not {len(body)}: one of {', '.join(known)}."
        )
    name = next(iter(body))
    if name in _LATER:
        raise errors.Unsupported(
            f"The action {name!r} is not available in this version of the service, which has no "
            "replication."
        )
    if name not in _ACTIONS:
        raise errors.Invalid(f"Action {name[:64]!r} is not known: use {', '.join(known)}.")
    check, understand = _ACTIONS[name]
    check(body)
    return understand(body[name], services)


def _restart(_asked: Any, _services: Services) -> tuple[str, Change]:
    return "instance:restart", change_instance.restart


def _resize(asked: Any, services: Services) -> tuple[str, Change]:
    if "flavorRef" in asked:
        flavor = find.flavor_to_use(
            services.offers.flavors(), asked["flavorRef"], "resize['flavorRef']"
        )
        return "instance:resize_flavor", change_instance.resize_flavor(flavor)
    volume = asked["volume"]
    # openstacksdk sends the bare number.
    size = volume["size"] if isinstance(volume, dict) else volume
    return "instance:resize_volume", change_instance.resize_volume(size)


def _archive(asked: Any, _services: Services) -> tuple[str, Change]:
    return "instance:archive", change_instance.set_archiving(asked["enabled"])


def _reset_status(asked: Any, _services: Services) -> tuple[str, Change]:
    rule = "instance:force_delete" if "force_delete" in (asked or {}) else "instance:reset_status"
    return rule, change_instance.reset_status


_ACTIONS: dict[str, tuple[Check, Callable[[Any, Services], tuple[str, Change]]]] = {
    "restart": (schemas.RESTART, _restart),
    "resize": (schemas.RESIZE, _resize),
    "archive": (schemas.ARCHIVE, _archive),
    "reset_status": (schemas.RESET_STATUS, _reset_status),
}
