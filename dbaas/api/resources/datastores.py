"""/datastores: what the catalog offers."""

import falcon

from dbaas.api import views
from dbaas.api.pages import ID
from dbaas.api.resources.base import allowed, answer
from dbaas.api.services import Services
from dbaas.api.usecases import find
from dbaas.catalog import datastores
from dbaas.catalog.records import Datastore as DatastoreRecord
from dbaas.contract import errors


class Datastores:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, **_: str) -> None:
        who = allowed(req, self._services, "datastore:index")
        at = views.site(req)
        shown = [
            views.datastore(store, at)
            for store in self._services.catalog.read(datastores.everything)
            if who.is_admin or any(version.active for version in store.versions)
        ]
        answer(resp, {"datastores": shown})


class Datastore:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, datastore: str, **_: str) -> None:
        allowed(req, self._services, "datastore:show")
        store = _find(self._services, datastore)
        answer(resp, {"datastore": views.datastore(store, views.site(req))})


class DatastoreVersions:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, datastore: str, **_: str) -> None:
        who = allowed(req, self._services, "datastore:version_index")
        at = views.site(req)
        shown = [
            views.datastore_version(version, at)
            for version in _find(self._services, datastore).versions
            if version.active or who.is_admin
        ]
        answer(resp, {"versions": shown})


class DatastoreVersion:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, datastore: str, version: str, **_: str
    ) -> None:
        allowed(req, self._services, "datastore:version_show")
        found = find.datastore_version(_find(self._services, datastore), version)
        answer(resp, {"version": views.datastore_version(found, views.site(req))})


class DatastoreVersionById:
    """A version without its datastore; one that is not there is 400, as clients know it."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(self, req: falcon.Request, resp: falcon.Response, version: str, **_: str) -> None:
        allowed(req, self._services, "datastore:version_show_by_uuid")
        for store in self._services.catalog.read(datastores.everything):
            for found in store.versions:
                if found.id == version:
                    answer(resp, {"version": views.datastore_version(found, views.site(req))})
                    return
        what = "cannot be found" if ID.fullmatch(version) else "must be named by its id here"
        raise errors.Invalid(f"Datastore version '{version[:255]}' {what}.")


class DatastoreVersionFlavors:
    """Every flavor: no version is tied to some of them yet."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, datastore: str, version: str, **_: str
    ) -> None:
        allowed(req, self._services, "datastore:list_associated_flavors")
        find.datastore_version(_find(self._services, datastore), version)
        at = views.site(req)
        answer(resp, {"flavors": [views.flavor(f, at) for f in self._services.offers.flavors()]})


def _find(services: Services, name: str) -> DatastoreRecord:
    return find.datastore(services.catalog.read(datastores.everything), name)
