"""/operations: what goes on, or went on, with a project's instances, step by step."""

from typing import Any

import falcon

from dbaas.api import pages, views
from dbaas.api.resources.base import allowed, answer, existing_id, whose
from dbaas.api.services import Services
from dbaas.catalog import operation_views
from dbaas.contract import errors
from dbaas.contract.operations import State


class Operations:
    """The newest first."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        who = allowed(req, self._services, "operation:index")
        page = pages.asked(req, self._services.options.instances_page_size)
        instance_id = pages.instance_id(req)
        state = req.get_param("state")
        if state is not None and state not in tuple(State):
            raise errors.Invalid(f"state must be one of {', '.join(State)}, not {state[:64]!r}.")
        found = self._services.catalog.read(
            lambda unit: operation_views.page(
                unit,
                who.project_id,
                instance_id=instance_id,
                state=state,
                limit=page.limit + 1,
                marker=page.marker or None,
            )
        )
        here = found[: page.limit]
        at = views.site(req)
        body: dict[str, Any] = {"operations": [views.operation(one, at) for one in here]}
        if len(found) > page.limit:
            body["links"] = pages.next_link(req, page.limit, here[-1].id)
        answer(resp, body)


class Operation:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, operation_id: str, **_: str
    ) -> None:
        who = allowed(req, self._services, "operation:show")
        id_ = existing_id(operation_id)
        found = self._services.catalog.read(
            lambda unit: operation_views.show(unit, id_, whose(who))
        )
        answer(resp, {"operation": views.operation(found, views.site(req))})
