"""/instances/{id}/root: the engine's administrator, for the tenant."""

import falcon

from dbaas.api import bodies
from dbaas.api.resources.base import allowed, answer, existing_id, nothing, whose
from dbaas.api.schemas import accounts as schemas
from dbaas.api.services import Services
from dbaas.api.usecases import ask_guest, root
from dbaas.catalog import instances


class Root:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "instance:extension:root:index")
        id_ = existing_id(instance_id)
        found = self._services.catalog.read(lambda unit: instances.show(unit, id_, whose(who)))
        ask_guest.check_serves(id_, found.status, found.health)
        answer(resp, {"rootEnabled": found.root_enabled})

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        allowed(req, self._services, "instance:extension:root:create")
        id_ = existing_id(instance_id)
        body = bodies.read_if_any(req)
        schemas.ENABLE_ROOT(body)
        password = root.enable(req, self._services, id_, body.get("password"))
        answer(resp, {"user": {"name": "root", "password": password.reveal()}})

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        allowed(req, self._services, "instance:extension:root:delete")
        root.disable(req, self._services, existing_id(instance_id))
        nothing(resp)
