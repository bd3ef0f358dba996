"""/backup_schedules: backups that are made again and again."""

import uuid
from http import HTTPStatus
from typing import Any

import falcon

from dbaas.api import bodies, pages, views
from dbaas.api.resources.base import accepted, allowed, answer, existing_id, whose
from dbaas.api.schemas import schedules as schemas
from dbaas.api.services import Services
from dbaas.api.usecases import once
from dbaas.catalog import instances, schedules
from dbaas.catalog.unit import Unit
from dbaas.contract import errors

UTC = "UTC"


class Schedules:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        who = allowed(req, self._services, "backup_schedule:index")
        page = pages.asked(req, self._services.options.backups_page_size)
        instance_id = pages.instance_id(req)
        found = self._services.catalog.read(
            lambda unit: schedules.page(
                unit, who.project_id, page.marker, page.limit + 1, instance_id
            )
        )
        here, at = found[: page.limit], views.site(req)
        body: dict[str, Any] = {"backup_schedules": [views.schedule(one, at) for one in here]}
        if len(found) > page.limit:
            body["links"] = pages.next_link(req, page.limit, here[-1].id)
        answer(resp, body)

    def on_post(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        services = self._services
        who = allowed(req, services, "backup_schedule:create")
        body = bodies.read(req)
        schemas.CREATE(body)
        asked = body["backup_schedule"]
        id_, at = str(uuid.uuid4()), views.site(req)
        values = {"timezone": UTC, "enabled": True, "verify": False, **_values(asked, services)}
        schedules.check(values["cron"], values.get("full_cron", ""), values["timezone"])

        def work(unit: Unit) -> once.Answer:
            instance = instances.lock(unit, asked["instance"], whose(who))
            owned = {
                "project_id": instance.project_id,
                "user_id": who.user_id,
                "instance_id": instance.id,
            }
            schedules.add(unit, id_, values | owned)
            made = schedules.show(unit, id_, None)
            return once.Answer({"backup_schedule": views.schedule(made, at)})

        answer(resp, once.accept(req, services, work).body, HTTPStatus.CREATED)


class Schedule:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, schedule_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "backup_schedule:show")
        id_ = existing_id(schedule_id)
        found = self._services.catalog.read(lambda unit: schedules.show(unit, id_, whose(who)))
        answer(resp, {"backup_schedule": views.schedule(found, views.site(req))})

    def on_patch(
        self, req: falcon.Request, resp: falcon.Response, schedule_id: str, **_: str
    ) -> None:
        services = self._services
        who = allowed(req, services, "backup_schedule:update")
        body = bodies.read(req)
        schemas.CHANGE(body)
        id_, at = existing_id(schedule_id), views.site(req)
        values = _values(body["backup_schedule"], services)

        def work(unit: Unit) -> once.Answer:
            was = schedules.show(unit, id_, whose(who))
            schedules.check(
                values.get("cron", was.cron),
                values.get("full_cron", was.full_cron),
                values.get("timezone", was.timezone),
            )
            schedules.change(unit, id_, whose(who), values)
            changed = schedules.show(unit, id_, None)
            return once.Answer({"backup_schedule": views.schedule(changed, at)})

        answer(resp, once.accept(req, services, work).body)

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, schedule_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "backup_schedule:delete")
        id_ = existing_id(schedule_id)

        def work(unit: Unit) -> once.Answer:
            schedules.remove(unit, id_, whose(who))
            return once.Answer()

        once.accept(req, self._services, work)
        accepted(resp)


def _values(asked: dict[str, Any], services: Services) -> dict[str, Any]:
    """Return the columns that the body sets."""
    plain = ("name", "cron", "timezone", "enabled", "verify")
    values = {key: asked[key] for key in plain if key in asked}
    for key, column in (
        ("full_cron", "full_cron"),
        ("swift_container", "container"),
        ("storage_driver", "storage"),
    ):
        if key in asked:
            values[column] = asked[key] or ""
    if values.get("storage") and values["storage"] not in services.vaults:
        known = ", ".join(services.vaults) or "none"
        raise errors.Invalid(f"storage_driver must be one of those there are: {known}.")
    if "retention" in asked:
        retention = asked["retention"] or {}
        values |= {"keep_count": retention.get("count"), "keep_days": retention.get("days")}
    return values
