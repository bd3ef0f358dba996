"""/backup_strategies: where a project's backups go."""

from http import HTTPStatus

import falcon

from dbaas.api import bodies, pages
from dbaas.api.resources.base import accepted, allowed, answer, project_asked
from dbaas.api.schemas import backup_strategies as schemas
from dbaas.api.services import Services
from dbaas.catalog import backup_strategies, instances
from dbaas.catalog.backup_strategies import BackupStrategy
from dbaas.catalog.unit import Unit

_OURS = "backup strategies"


class BackupStrategies:
    """One for each instance, and one for the project."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        who = allowed(req, self._services, "backup_strategy:index")
        project_id = project_asked(req, who, _OURS)
        instance_id = pages.instance_id(req)
        found = self._services.catalog.read(
            lambda unit: backup_strategies.listed(unit, project_id, instance_id)
        )
        answer(resp, {"backup_strategies": [_view(one) for one in found]})

    def on_post(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        who = allowed(req, self._services, "backup_strategy:create")
        body = bodies.read(req)
        schemas.CREATE(body)
        asked = body["backup_strategy"]
        strategy = BackupStrategy(
            project_id=who.project_id,
            instance_id=asked.get("instance_id") or "",
            backend=self._services.storage,
            container=asked["swift_container"],
        )

        def work(unit: Unit) -> None:
            if strategy.instance_id:
                instances.show(unit, strategy.instance_id, who.project_id)
            backup_strategies.put(unit, strategy)

        self._services.catalog.run(work)
        answer(resp, {"backup_strategy": _view(strategy)}, HTTPStatus.ACCEPTED)

    def on_delete(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        who = allowed(req, self._services, "backup_strategy:delete")
        project_id = project_asked(req, who, _OURS)
        instance_id = pages.instance_id(req) or ""
        self._services.catalog.run(
            lambda unit: backup_strategies.remove(unit, project_id, instance_id)
        )
        accepted(resp)


def _view(one: BackupStrategy) -> dict[str, str]:
    return {
        "project_id": one.project_id,
        "instance_id": one.instance_id,
        "backend": one.backend,
        "swift_container": one.container,
    }
