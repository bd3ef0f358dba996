"""/limits and /mgmt/quotas: what a project may have, and what it has."""

from datetime import UTC, datetime, timedelta
from http import HTTPStatus

import falcon

from dbaas.api import bodies
from dbaas.api.auth import PROJECT
from dbaas.api.middleware import identity
from dbaas.api.rates import RULES, Left, Rule
from dbaas.api.resources.base import administrator, allowed, answer
from dbaas.api.schemas import quotas as schemas
from dbaas.api.services import Services
from dbaas.catalog import quotas
from dbaas.contract import errors


class Limits:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        who = allowed(req, self._services, "limits:index")
        own = self._services.catalog.read(
            lambda unit: quotas.limits(unit, who.project_id, self._services.quotas)
        )
        # The absolute ones come first: the command line takes the first away.
        absolute = {"verb": "ABSOLUTE", **{f"max_{name}": limit for name, limit in own.items()}}
        shown = [_rate(rule, self._services.rates.left(who.project_id, rule)) for rule in RULES]
        answer(resp, {"limits": [absolute, *shown]})


def _rate(rule: Rule, left: Left) -> dict[str, object]:
    free = datetime.now(UTC) + timedelta(seconds=left.wait)
    return {
        "verb": rule.verb,
        "uri": rule.uri,
        "regex": rule.regex,
        "value": left.limit,
        "remaining": left.remaining,
        "unit": "MINUTE",
        "nextAvailable": free.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class Quotas:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, target: str, **_: str) -> None:
        who = identity(req)
        if target != who.project_id and not who.is_admin:
            raise errors.Forbidden("Only administrators see the quotas of other projects.")
        _check_project(target)
        found = self._services.catalog.read(
            lambda unit: quotas.show(unit, target, self._services.quotas)
        )
        shown = [
            {
                "resource": quota.resource,
                "in_use": quota.in_use,
                "reserved": 0,
                "limit": quota.limit,
            }
            for quota in found
        ]
        answer(resp, {"quotas": shown})

    def on_put(self, req: falcon.Request, resp: falcon.Response, target: str, **_: str) -> None:
        administrator(req)
        _check_project(target)
        body = bodies.read(req)
        schemas.CHANGE(body)
        changed = {name: int(limit) for name, limit in body["quotas"].items() if limit is not None}
        for name in changed:
            if name not in quotas.RESOURCES:
                raise errors.NotFound(
                    f"Quota resource {name[:64]!r} cannot be found: there are "
                    f"{', '.join(quotas.RESOURCES)}."
                )
        self._services.catalog.run(lambda unit: quotas.set_limits(unit, target, changed))
        answer(resp, {"quotas": changed}, HTTPStatus.OK)


def _check_project(project_id: str) -> None:
    if not PROJECT.fullmatch(project_id):
        raise errors.NotFound(f"Project {project_id[:255]!r} cannot be found.")
