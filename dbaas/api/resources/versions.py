"""/, /v1.0 and /healthcheck: what is asked before anybody has proved who he is."""

from collections.abc import Callable
from pathlib import Path

import falcon

from dbaas.api import views
from dbaas.api.resources.base import answer
from dbaas.contract import errors

_VERSION = {"id": "v1.0", "status": "CURRENT", "updated": "2012-08-01T00:00:00Z"}


class Versions:
    def __init__(self, public_endpoint: str | None) -> None:
        self._public_endpoint = public_endpoint

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(resp, {"versions": [self._version(req)]})

    def on_get_one(self, req: falcon.Request, resp: falcon.Response) -> None:
        answer(resp, {"version": self._version(req)})

    def _version(self, req: falcon.Request) -> dict[str, object]:
        base = self._public_endpoint or f"{req.scheme}://{views.host(req)}"
        links = [{"rel": "self", "href": f"{base.rstrip('/')}/v1.0/"}]
        return {**_VERSION, "links": links}


class Healthcheck:
    """Whether to send requests here. An operator takes the host out by making a file."""

    def __init__(self, disabling_file: str | None, is_leaving: Callable[[], bool]) -> None:
        self._file = Path(disabling_file) if disabling_file else None
        self._is_leaving = is_leaving

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        if self._file is not None and self._file.exists():
            raise errors.Unavailable("Disabled by the operator.")
        if self._is_leaving():
            raise errors.Unavailable("It is about to stop.")
        answer(resp, {})
