"""/backups and /instances/{id}/backups: made, listed, shown, verified, deleted."""

from http import HTTPStatus
from typing import Any

import falcon

from dbaas.api import bodies, pages, views
from dbaas.api.resources.base import accepted, allowed, answer, existing_id, project_asked, whose
from dbaas.api.schemas import backups as schemas
from dbaas.api.services import Services
from dbaas.api.usecases import backups as usecases
from dbaas.api.usecases import create_instance, find, once
from dbaas.catalog import backup_orders, backups, datastores, instances
from dbaas.catalog.backup_orders import Asker, Wanted
from dbaas.catalog.unit import Unit
from dbaas.common.context import Context
from dbaas.contract import errors


class Backups:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        who = allowed(req, self._services, "backup:index")
        project_id = self._project(req, who)
        name = req.get_param("datastore")
        instance_id = pages.instance_id(req)

        def datastore_id(unit: Unit) -> str | None:
            return find.datastore(datastores.everything(unit), name).id if name else None

        _answer_page(
            req, resp, self._services, project_id, instance_id=instance_id, datastore=datastore_id
        )

    def on_post(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        services = self._services
        who = allowed(req, services, "backup:create")
        body = schemas.without_empty(bodies.read(req))
        schemas.CREATE(body)
        asked = body["backup"]
        if "restore_from" in asked:
            work = self._register(asked, who, views.site(req))
        else:
            work = self._make(asked, who, views.site(req))
        answer(resp, once.accept(req, services, work).body, HTTPStatus.ACCEPTED)

    def _register(self, asked: dict[str, Any], who: Context, at: views.Site) -> Any:
        services, source = self._services, asked["restore_from"]
        found = usecases.look_at(source["remote_location"], float(source["size"]), who, services)

        def work(unit: Unit) -> once.Answer:
            version = source["local_datastore_version_id"]
            name, description = asked["name"], asked.get("description")
            record = usecases.register(unit, found, name, description, version, who, services)
            return once.Answer({"backup": views.backup(record, at)})

        return work

    def _make(self, asked: dict[str, Any], who: Context, at: views.Site) -> Any:
        if "instance" not in asked:
            raise errors.Invalid("instance is missing: name the instance that is backed up.")
        wanted = Wanted(
            name=asked["name"],
            instance_id=asked["instance"],
            description=asked.get("description"),
            parent_id=asked.get("parent_id", ""),
            incremental=bool(asked.get("incremental", 0)),
            storage=asked.get("storage_driver", ""),
            container=asked.get("swift_container", ""),
        )

        def work(unit: Unit) -> once.Answer:
            made = backup_orders.make(unit, wanted, asker(who), self._services.backups)
            record = backups.show(unit, made.backup_id, None)
            return once.Answer({"backup": views.backup(record, at)}, made.operation_id)

        return work

    def _project(self, req: falcon.Request, who: Context) -> str | None:
        """Return whose backups are listed; None: everybody's."""
        if pages.flag(req, "all_projects"):
            self._services.policy.check(who, "backup:index:all_projects")
            return None
        return project_asked(req, who, "backups")


class BackupsOfInstance:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "instance:backups")
        id_ = existing_id(instance_id)
        found = self._services.catalog.read(lambda unit: instances.show(unit, id_, whose(who)))
        _answer_page(req, resp, self._services, found.project_id, instance_id=id_)


class Backup:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, backup_id: str, **_: str) -> None:
        who = allowed(req, self._services, "backup:show")
        id_ = existing_id(backup_id)
        record = self._services.catalog.read(lambda unit: backups.show(unit, id_, whose(who)))
        answer(resp, {"backup": views.backup(record, views.site(req))})

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, backup_id: str, **_: str
    ) -> None:
        services = self._services
        who = allowed(req, services, "backup:delete")
        id_ = existing_id(backup_id)

        def work(unit: Unit) -> once.Answer:
            return once.Answer(
                operation_id=backup_orders.delete(unit, id_, asker(who), services.sealer)
            )

        once.accept(req, services, work)
        accepted(resp)


class BackupVerification:
    """Restores a backup for a trial."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str, **_: str) -> None:
        services = self._services
        who = allowed(req, services, "backup:verify")
        id_, at = existing_id(backup_id), views.site(req)
        offered = create_instance.offered(services.offers)

        def work(unit: Unit) -> once.Answer:
            record, operation_id = usecases.verify(unit, id_, who, offered, services)
            return once.Answer({"backup": views.backup(record, at)}, operation_id)

        answer(resp, once.accept(req, services, work).body, HTTPStatus.ACCEPTED)


def asker(who: Context) -> Asker:
    return Asker(whose(who), who.user_id, who.request_id, who.client_ip)


def _answer_page(
    req: falcon.Request,
    resp: falcon.Response,
    services: Services,
    project_id: str | None,
    *,
    instance_id: str | None = None,
    datastore: Any = lambda _unit: None,
) -> None:
    limit, offset = pages.asked_by_offset(req, services.options.backups_page_size)
    at = views.site(req)
    found = services.catalog.read(
        lambda unit: backups.page(
            unit,
            project_id,
            offset,
            limit + 1,
            instance_id=instance_id,
            datastore_id=datastore(unit),
        )
    )
    body: dict[str, Any] = {"backups": [views.backup(one, at) for one in found[:limit]]}
    if len(found) > limit:
        body["links"] = pages.next_link(req, limit, str(offset + limit))
    answer(resp, body)
