"""/instances/{id}/databases: what an engine has of them, and making and deleting them."""

import falcon

from dbaas.api import bodies, pages, paths
from dbaas.api.resources import later
from dbaas.api.resources.base import accepted, allowed, answer, existing_id
from dbaas.api.schemas import accounts as schemas
from dbaas.api.services import Services
from dbaas.api.usecases import accounts, ask_guest
from dbaas.contract.messages import DatabaseName, DatabasePage, Page
from dbaas.contract.messages import Databases as DatabasesOrder


class Databases:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:database:index")
        id_ = existing_id(instance_id)
        page = pages.asked_by_name(req, services.options.databases_page_size)
        order = Page(page.limit, paths.name(page.marker))
        found: DatabasePage = ask_guest.read(req, services, id_, "list_databases", order)
        body: dict[str, object] = {"databases": [{"name": name} for name in found.names]}
        if found.more and found.names:
            body["links"] = pages.next_link(req, page.limit, paths.marker(found.names[-1]))
        answer(resp, body)

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:database:create")
        id_ = existing_id(instance_id)
        body = bodies.with_list(bodies.read(req), "database")
        schemas.CREATE_DATABASES(body)
        order = DatabasesOrder(accounts.databases(body["databases"], "databases"))
        ask_guest.write(req, services, id_, "create_databases", order)
        accepted(resp)


class Database:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, _resp: falcon.Response, **_: str) -> None:
        allowed(req, self._services, "instance:extension:database:show")
        raise later.refusal(req, "Showing one database")

    def on_delete(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        instance_id: str,
        database: str,
        **_: str,
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:database:delete")
        id_ = existing_id(instance_id)
        order = DatabaseName(accounts.existing_database(paths.name(database)))
        ask_guest.write(req, services, id_, "delete_database", order)
        accepted(resp)
