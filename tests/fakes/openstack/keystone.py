"""Keystone: tokens for the one user, and where the other services are."""

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from http import HTTPStatus

from tests.fakes.openstack.web import Answer, Json, Refusal, Request, Route, World

USER, PASSWORD, PROJECT = "dbaas", "the service's", "a8e3f6c2d0b14f2f9b7a52d1c0e4b6aa"
REGION = "RegionOne"


class Keystone:
    """`elsewhere` are the URLs of the other services by their types."""

    prefix = "/identity"
    open: Sequence[str] = ("/v3/?", "/v3/auth/tokens")

    def __init__(self, world: World, elsewhere: dict[str, str]) -> None:
        self.elsewhere = elsewhere
        self._world = world

    @property
    def routes(self) -> Sequence[Route]:
        return (("GET", "/v3/?", self._version), ("POST", "/v3/auth/tokens", self._log_in))

    def refused(self, refusal: Refusal) -> Answer:
        error = {
            "code": refusal.status,
            "message": refusal.message,
            "title": HTTPStatus(refusal.status).phrase,
        }
        return Answer(refusal.status, {"error": error})

    def expire_tokens(self) -> None:
        """Whatever was given out is worth nothing from now on."""
        with self._world.lock:
            self._world.tokens.clear()

    def _version(self, request: Request) -> Answer:
        at = f"http://{request.headers['Host']}{self.prefix}/v3/"
        links = [{"rel": "self", "href": at}]
        version = {"id": "v3.14", "status": "stable", "links": links, "media-types": []}
        return Answer(body={"version": version})

    def _log_in(self, request: Request) -> Answer:
        asked = request.body["auth"]["identity"]["password"]["user"]
        if (asked["name"], asked["password"]) != (USER, PASSWORD):
            why = "The request you have made requires authentication."
            raise Refusal(HTTPStatus.UNAUTHORIZED, why)
        token = uuid.uuid4().hex
        self._world.tokens.add(token)
        return Answer(
            HTTPStatus.CREATED, {"token": self._token()}, headers={"X-Subject-Token": token}
        )

    def _token(self) -> Json:
        now, domain = datetime.now(UTC), {"id": "default", "name": "Default"}
        return {
            "methods": ["password"],
            "user": {"id": "u" * 32, "name": USER, "domain": domain, "password_expires_at": None},
            "audit_ids": [uuid.uuid4().hex[:22]],
            "issued_at": _moment(now),
            "expires_at": _moment(now + timedelta(hours=1)),
            "project": {"id": PROJECT, "name": "dbaas", "domain": domain},
            "is_domain": False,
            "roles": [{"id": uuid.uuid4().hex, "name": "admin"}],
            "catalog": [_entry(kind, url) for kind, url in self.elsewhere.items()],
        }


def _moment(when: datetime) -> str:
    return when.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _entry(kind: str, url: str) -> Json:
    endpoints = [
        {
            "id": uuid.uuid4().hex,
            "interface": interface,
            "region": REGION,
            "region_id": REGION,
            "url": url,
        }
        for interface in ("public", "internal", "admin")
    ]
    return {"id": uuid.uuid4().hex, "type": kind, "name": kind, "endpoints": endpoints}
