"""Speaks to the API as the environment says: `OS_ENDPOINT`, and a password or a token."""

import os
import re
import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import requests

from dbaas.contract import errors

Json = dict[str, Any]

_TIMEOUT = (5.0, 30.0)
_SHORTEST, _LONGEST, _GROWTH = 0.03, 0.5, 1.1
"""Seconds between two looks at an operation: fewer a minute than a project may take."""
_ENDED = ("succeeded", "failed", "cancelled", "abandoned", "parked")
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

_KINDS: Mapping[int, type[errors.Error]] = {
    400: errors.Invalid,
    401: errors.Forbidden,
    403: errors.Forbidden,
    404: errors.NotFound,
    409: errors.Conflict,
    413: errors.OverQuota,
    422: errors.Busy,
    501: errors.Unsupported,
    503: errors.Unavailable,
}


class Client:
    """One project's view of the API; `get` and the others take paths below the project's.

    `begun` is the operation that the last request began which was no question; empty: none.
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._endpoint = environment.get("OS_ENDPOINT", "").rstrip("/")
        if not self._endpoint:
            raise errors.Invalid(
                "OS_ENDPOINT is not set: source an openrc file, as `. .run/openrc`, first"
            )
        self.begun = ""
        self._session = requests.Session()
        self._session.trust_env = False
        if token := environment.get("OS_TOKEN"):
            self._session.headers["X-Auth-Token"] = token
        else:
            user, password = environment.get("OS_USERNAME"), environment.get("OS_PASSWORD")
            if not user or password is None:
                raise errors.Invalid("set OS_USERNAME and OS_PASSWORD, or OS_TOKEN")
            self._session.auth = (user, password)

    def get(self, path: str, **query: str) -> Json:
        return self._call("GET", path, None, query)

    def post(self, path: str, body: Json) -> Json:
        """Post; repeating it, when an answer was lost, does nothing twice."""
        return self._call("POST", path, body, {}, {"Idempotency-Key": str(uuid.uuid4())})

    def put(self, path: str, body: Json) -> Json:
        return self._call("PUT", path, body, {})

    def patch(self, path: str, body: Json) -> Json:
        return self._call("PATCH", path, body, {})

    def delete(self, path: str, **query: str) -> Json:
        return self._call("DELETE", path, None, query)

    def instance(self, name_or_id: str) -> Json:
        """Return the instance of this id, or the only one of this name."""
        found: Json = self.get(f"/instances/{self.instance_id(name_or_id)}")["instance"]
        return found

    def instance_id(self, name_or_id: str) -> str:
        """Return its id; what looks like one is taken for it, since that may be deleted by now."""
        if _ID.fullmatch(name_or_id):
            return name_or_id
        matching = [one for one in self.instances() if one["name"] == name_or_id]
        if not matching:
            raise errors.NotFound(f"there is no instance {name_or_id}")
        if len(matching) > 1:
            raise errors.Conflict(f"{len(matching)} instances are called {name_or_id}: give an id")
        return str(matching[0]["id"])

    def instances(self) -> list[Json]:
        """Return all instances, however many pages they take."""
        found: list[Json] = []
        query: dict[str, str] = {}
        while True:
            answer = self.get("/instances", **query)
            found += answer["instances"]
            if not answer.get("links"):
                return found
            # Pages go by id, whatever order one of them is shown in.
            query = {"marker": max(one["id"] for one in answer["instances"])}

    def backup(self, name_or_id: str) -> Json:
        """Return the backup of this id, or the only one of this name."""
        try:
            found: Json = self.get(f"/backups/{quote(name_or_id, safe='')}")["backup"]
        except (errors.NotFound, errors.Invalid):
            matching = [one for one in self.backups() if one["name"] == name_or_id]
            if not matching:
                raise errors.NotFound(f"there is no backup {name_or_id}") from None
            if len(matching) > 1:
                raise errors.Conflict(
                    f"{len(matching)} backups are called {name_or_id}: give an id"
                ) from None
            return matching[0]
        return found

    def backups(self, **query: str) -> list[Json]:
        """Return all backups, however many pages they take."""
        found: list[Json] = []
        while True:
            answer = self.get("/backups", **query, marker=str(len(found)))
            found += answer["backups"]
            if not answer.get("links"):
                return found

    def schedule(self, name_or_id: str) -> Json:
        """Return the schedule of this id, or the only one of this name."""
        matching = [one for one in self.schedules() if name_or_id in (one["id"], one["name"])]
        if not matching:
            raise errors.NotFound(f"there is no schedule {name_or_id}")
        if len(matching) > 1:
            raise errors.Conflict(f"{len(matching)} schedules are called {name_or_id}: give an id")
        return matching[0]

    def schedules(self, **query: str) -> list[Json]:
        """Return all schedules, however many pages they take."""
        found: list[Json] = []
        while True:
            after = {"marker": found[-1]["id"]} if found else {}
            answer = self.get("/backup_schedules", **query, **after)
            found += answer["backup_schedules"]
            if not answer.get("links"):
                return found

    def follow(self, operation_id: str, seen: Callable[[Json], None], timeout: float) -> Json:
        """Call `seen` whenever the operation has changed; return it when it has ended.

        Raises `Unavailable` after `timeout` seconds.
        """
        until = time.monotonic() + timeout
        last: Json | None = None
        pause = _SHORTEST
        while time.monotonic() < until:
            operation: Json = self.get(f"/operations/{operation_id}")["operation"]
            if operation != last:
                seen(operation)
            if operation["state"] in _ENDED:
                return operation
            last = operation
            time.sleep(pause)
            pause = min(pause * _GROWTH, _LONGEST)
        raise errors.Unavailable(f"operation {operation_id} has not ended in {timeout:.0f} s")

    def _call(
        self,
        method: str,
        path: str,
        body: Json | None,
        query: Mapping[str, str],
        headers: Mapping[str, str] | None = None,
    ) -> Json:
        while True:
            try:
                answer = self._session.request(
                    method,
                    f"{self._endpoint}{path}",
                    json=body,
                    params=dict(query),
                    headers=dict(headers or {}),
                    timeout=_TIMEOUT,
                )
            except requests.RequestException as error:
                raise errors.Unavailable(f"{self._endpoint} does not answer") from error
            wait = answer.headers.get("Retry-After", "")
            if answer.status_code != 413 or not wait.isdecimal():  # not too many in a minute
                break
            time.sleep(min(int(wait), 60))
        if method != "GET":
            self.begun = answer.headers.get("X-Dbaas-Operation", "")
        if answer.ok:
            content: Json = answer.json() if answer.content else {}
            return content
        raise _KINDS.get(answer.status_code, errors.Failed)(_message(answer))


def _message(answer: requests.Response) -> str:
    try:
        (fault,) = answer.json().values()
        return str(fault["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return f"{answer.status_code} {answer.reason}"
