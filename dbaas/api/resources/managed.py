"""/mgmt/instances: every project's instances, for administrators."""

from typing import Any

import falcon

from dbaas.api import bodies, pages, views
from dbaas.api.resources import later
from dbaas.api.resources.base import accepted, administrator, answer, existing_id, nothing
from dbaas.api.schemas import managed as schemas
from dbaas.api.schemas.check import Check
from dbaas.api.services import Services
from dbaas.api.usecases import ask_guest, change_instance, once
from dbaas.api.usecases.change_instance import Call, Change
from dbaas.api.views import Detail
from dbaas.catalog import instances
from dbaas.catalog.records import InstanceRecord
from dbaas.contract import errors

_USUAL = 20
"""Rows of a page where the request does not say."""


class ManagedInstances:
    """The changed ones first; deleted ones, too, unless the request says otherwise."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        administrator(req)
        limit, offset = pages.asked_by_offset(req, _USUAL)
        deleted, project_id = pages.flag(req, "deleted"), pages.project_id(req)
        found = self._services.catalog.read(
            lambda unit: instances.every(
                unit, offset, limit + 1, project_id=project_id, deleted=deleted
            )
        )
        shown = [self._view(req, record) for record in found[:limit]]
        body: dict[str, Any] = {"instances": shown}
        if len(found) > limit:
            body["links"] = pages.next_link(req, limit, str(offset + limit))
        answer(resp, body)

    def on_post(self, req: falcon.Request, _resp: falcon.Response, **_: str) -> None:
        administrator(req)
        raise later.refusal(req, "Management of instances")

    def _view(self, req: falcon.Request, record: InstanceRecord) -> views.Json:
        patience = self._services.options.agent_heartbeat_expiry
        return views.managed_instance(record, views.site(req), Detail.DETAIL, patience)


class ManagedInstance:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        record = _record(req, self._services, instance_id)
        patience = self._services.options.agent_heartbeat_expiry
        view = views.managed_instance(record, views.site(req), Detail.SHOW, patience)
        answer(resp, {"instance": view})

    def on_put(self, req: falcon.Request, _resp: falcon.Response, **_: str) -> None:
        administrator(req)
        raise later.refusal(req, "Management of instances")

    on_patch = on_delete = on_put


class ManagedAction:
    """What is done to an instance by an administrator, one action a request."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        who = administrator(req)
        name = _action(bodies.read(req))
        if name not in _CHANGES:
            raise later.refusal(req, f"The action {name!r}")
        call = Call(existing_id(instance_id), who, self._services)
        change = _CHANGES[name]
        once.accept(req, self._services, lambda unit: once.Answer(operation_id=change(unit, call)))
        accepted(resp)


def _action(body: dict[str, Any]) -> str:
    known = ", ".join(_ACTIONS)
    if len(body) != 1:
        raise errors.Invalid(
            f"The body must have exactly one action, not {len(body)}: one of {known}."
        )
    name = next(iter(body))
    if name not in _ACTIONS:
        raise errors.Invalid(f"Action {name[:64]!r} is not known: use {known}.")
    _ACTIONS[name](body)
    return name


_ACTIONS: dict[str, Check] = {
    "stop": schemas.STOP,
    "reboot": schemas.REBOOT,
    "migrate": schemas.MIGRATE,
    "reset-task-status": schemas.RESET_TASK_STATUS,
    "rebuild": schemas.REBUILD,
    "rotate-keys": schemas.ROTATE_KEYS,
}

_CHANGES: dict[str, Change] = {
    "reset-task-status": change_instance.reset_status,
    "rotate-keys": change_instance.rotate_keys,
}


class ManagedRoot:
    """Whether the tenant ever was the engine's administrator, and by whose doing."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        record = _record(req, self._services, instance_id)
        answer(resp, {"root_history": views.root_history(record)})


class ManagedPing:
    """Whether the guest agent answers."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        administrator(req)
        ask_guest.read(req, self._services, existing_id(instance_id), "ping")
        nothing(resp)


def _record(req: falcon.Request, services: Services, instance_id: str) -> InstanceRecord:
    administrator(req)
    id_ = existing_id(instance_id)
    deleted = pages.flag(req, "deleted") or False
    return services.catalog.read(lambda unit: instances.show(unit, id_, None, deleted=deleted))
