"""/instances/{id}/ssl: how connections to an instance are encrypted, and how to verify it."""

import falcon

from dbaas.api import pages, views
from dbaas.api.resources import later
from dbaas.api.resources.base import allowed, answer, existing_id, whose
from dbaas.api.services import Services
from dbaas.catalog import instances
from dbaas.common.context import Context
from dbaas.contract import errors


class Tls:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "instance:show")
        whole = pages.flag(req, "include_certificate")
        pem = self._pem(instance_id, who)
        if pem is None:
            raise errors.Busy(f"Instance {instance_id} is not ready.")
        answer(resp, {"ssl": views.tls(pem, whole=whole or False)})

    def on_post(
        self, req: falcon.Request, _resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "instance:update")
        self._pem(instance_id, who)
        raise later.refusal(req, "Changing the TLS settings of an instance")

    def _pem(self, instance_id: str, who: Context) -> str | None:
        id_ = existing_id(instance_id)
        return self._services.catalog.read(
            lambda unit: instances.certificate(unit, id_, whose(who))
        )
