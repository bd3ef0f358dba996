"""/instances/{id}/recovery: to which moments an instance can be restored, deleted ones, too."""

import falcon

from dbaas.api import views
from dbaas.api.resources.base import allowed, answer, existing_id, whose
from dbaas.api.services import Services
from dbaas.catalog import instances, recovery
from dbaas.catalog.recovery import Recovery
from dbaas.catalog.unit import Unit


class RecoveryOfInstance:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "instance:recovery")
        id_ = existing_id(instance_id)

        def read(unit: Unit) -> Recovery:
            instance = instances.show(unit, id_, whose(who), deleted=True)
            return recovery.of_instance(unit, id_, instance.project_id)

        answer(resp, {"recovery": views.recovery(self._services.catalog.read(read))})
