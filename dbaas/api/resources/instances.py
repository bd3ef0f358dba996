"""/instances: create, list, show, update, delete."""

from collections.abc import Callable
from typing import Any, TypeVar

import falcon

from dbaas.api import bodies, pages, views
from dbaas.api.resources.base import accepted, allowed, answer, existing_id, whose
from dbaas.api.schemas import instances as schemas
from dbaas.api.schemas.check import Check
from dbaas.api.services import Services
from dbaas.api.usecases import access, change_instance, create_instance, once, restore
from dbaas.api.usecases.change_instance import Call
from dbaas.api.views import Detail, Json, Site
from dbaas.catalog import datastores, instances
from dbaas.catalog.records import InstanceLine, InstanceRecord
from dbaas.catalog.unit import Unit
from dbaas.contract import errors

_LONGEST_NAME = 255

Shown = TypeVar("Shown", InstanceLine, InstanceRecord)


class Instances:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        allowed(req, self._services, "instance:index")
        _answer_page(req, resp, self._services, instances.lines, views.instance_line)

    def on_post(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        services = self._services
        who = allowed(req, services, "instance:create")
        body = create_instance.without_empty(bodies.read(req))
        schemas.CREATE(body)
        asked = body["instance"]
        for key in ("database", "user"):
            if f"{key}s" in asked:
                services.policy.check(who, f"instance:extension:{key}:create")
        options = services.options
        limits = create_instance.Limits(
            options.max_accepted_volume_size, options.region, options.default_datastore
        )
        offered = create_instance.offered(services.offers)

        def work(unit: Unit) -> once.Answer:
            stores = datastores.everything(unit)
            point = asked.get("restorePoint")
            begin = restore.begin_of(unit, point, who) if point else restore.NOTHING
            made = create_instance.plan(asked, who, stores, offered, limits, begin)
            record, operation_id = create_instance.accept(unit, made, who, services)
            view = views.instance(
                record, views.site(req), Detail.DETAIL, options.agent_heartbeat_expiry
            )
            return once.Answer({"instance": view}, operation_id)

        answer(resp, once.accept(req, services, work).body)


class InstancesInDetail:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        allowed(req, self._services, "instance:detail")
        _answer_page(req, resp, self._services, instances.page, _in_detail)


def _in_detail(record: InstanceRecord, at: Site, patience: float) -> Json:
    return views.instance(record, at, Detail.DETAIL, patience)


def _answer_page(
    req: falcon.Request,
    resp: falcon.Response,
    services: Services,
    read: Callable[[Unit, str, str, int], list[Shown]],
    view: Callable[[Shown, Site, float], Json],
) -> None:
    page = pages.asked(req, services.options.instances_page_size)
    at, patience = views.site(req), services.options.agent_heartbeat_expiry
    found = services.catalog.read(
        lambda unit: read(unit, at.project_id, page.marker, page.limit + 1)
    )
    here = found[: page.limit]
    body: dict[str, Any] = {}
    if len(found) > page.limit:
        body["links"] = pages.next_link(req, page.limit, here[-1].id)
    here.sort(key=lambda record: record.created_at, reverse=True)
    body["instances"] = [view(record, at, patience) for record in here]
    answer(resp, body)


class Instance:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "instance:show")
        id_ = existing_id(instance_id)
        record = self._services.catalog.read(lambda unit: instances.show(unit, id_, whose(who)))
        patience = self._services.options.agent_heartbeat_expiry
        answer(resp, {"instance": views.instance(record, views.site(req), Detail.SHOW, patience)})

    def on_put(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        self._update(req, resp, instance_id, schemas.PUT)

    def on_patch(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        self._update(req, resp, instance_id, schemas.PATCH)

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "instance:delete")
        call = Call(existing_id(instance_id), who, self._services)
        delete: change_instance.Change = change_instance.delete
        if pages.flag(req, "final_backup"):
            delete = change_instance.back_up_and_delete(_name(req, "final_backup_name"))
        once.accept(req, self._services, lambda unit: once.Answer(operation_id=delete(unit, call)))
        accepted(resp)

    def _update(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, check: Check
    ) -> None:
        who = allowed(req, self._services, "instance:update")
        body = bodies.read(req)
        check(body)
        call = Call(existing_id(instance_id), who, self._services)
        change = _change(body["instance"])
        once.accept(req, self._services, lambda unit: once.Answer(operation_id=change(unit, call)))
        accepted(resp)


def _name(req: falcon.Request, parameter: str) -> str | None:
    text = req.get_param(parameter)
    if text is not None and not 0 < len(text) <= _LONGEST_NAME:
        raise errors.Invalid(f"{parameter} must be text of 1 to {_LONGEST_NAME} characters.")
    return text


def _change(asked: dict[str, Any]) -> change_instance.Change:
    """Return what is to be done; an empty object detaches a configuration group, as null does."""
    others = [key for key in asked if key != "name"]
    if len(others) > 1:
        raise errors.Invalid("Only one attribute (except 'name') is allowed to update.")
    if others in (["replica_of"], ["slave_of"]):
        return change_instance.detach_replica
    if others == ["access"]:
        reach = access.reach(asked["access"], "instance['access']")
        return change_instance.update_access(asked.get("name"), reach)
    if others and not (others == ["configuration"] and asked["configuration"] is None):
        raise errors.Unsupported(
            f"Changing {others[0]!r} is not available in this version of the service: 'name' and "
            "'access' can be changed."
        )
    return change_instance.rename(asked.get("name"))
