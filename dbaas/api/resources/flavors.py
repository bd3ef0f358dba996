"""/flavors: the sizes that instances come in."""

import falcon

from dbaas.api import views
from dbaas.api.resources.base import allowed, answer
from dbaas.api.services import Services
from dbaas.api.usecases import find


class Flavors:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        allowed(req, self._services, "flavor:index")
        at = views.site(req)
        answer(resp, {"flavors": [views.flavor(f, at) for f in self._services.offers.flavors()]})


class Flavor:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, flavor: str, **_: str) -> None:
        allowed(req, self._services, "flavor:show")
        found = find.flavor(self._services.offers.flavors(), flavor)
        answer(resp, {"flavor": views.flavor(found, views.site(req))})
