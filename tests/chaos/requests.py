"""How a tenant asks for each kind of operation, of a dry run and of a real stack alike."""

import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Protocol

_OR_LATER = (HTTPStatus.OK, HTTPStatus.NO_CONTENT, HTTPStatus.SERVICE_UNAVAILABLE)
_OR_GONE = (HTTPStatus.ACCEPTED, HTTPStatus.NOT_FOUND)

DATABASE, USER, PASSWORD = "shop", "clerk", "p4ss-of-the-clerk"


class Answer(Protocol):
    @property
    def status(self) -> int: ...

    @property
    def body(self) -> Any: ...


class Api(Protocol):
    """A tenant's view; a path is one below the project."""

    def request(self, method: str, path: str, body: object = None, /) -> Answer: ...


def who_asks(path: str) -> str:
    """Return the name of the stack's user who may ask for this path, below his project."""
    return "admin" if path.startswith("mgmt/") else "demo"


def create_instance(api: Api, name: str = "chaos", *, doomed: bool = False) -> str:
    """Return the id of an instance that is being built.

    With `doomed` only its database server finds, at the very end, that it cannot be.
    """
    body = {"instance": order(name, "utf8mb4_of_nowhere" if doomed else "")}
    answer = _expect(HTTPStatus.OK, api.request("POST", "instances", body))
    return str(answer.body["instance"]["id"])


def order(name: str, collate: str = "") -> dict[str, object]:
    """Return the body of a create: a small MariaDB with a database and a user."""
    return {
        "name": name,
        "flavorRef": "1",
        "volume": {"size": 1},
        "datastore": {"type": "mariadb", "version": "11.8"},
        "databases": [{"name": DATABASE, "collate": collate}],
        "users": [{"name": USER, "password": PASSWORD, "databases": [{"name": DATABASE}]}],
    }


def restart_instance(api: Api, instance: str) -> None:
    _act(api, instance, {"restart": {}})


def resize_volume(api: Api, instance: str) -> None:
    shown = _expect(HTTPStatus.OK, api.request("GET", f"instances/{instance}"))
    size = shown.body["instance"]["volume"]["size"] + 1
    _act(api, instance, {"resize": {"volume": {"size": size}}})


def create_database(api: Api, instance: str) -> None:
    """Ask the engine for something: here, for a database that nothing else is called."""
    body = {"databases": [{"name": f"more_{uuid.uuid4().hex}"}]}
    _expect(HTTPStatus.ACCEPTED, api.request("POST", f"instances/{instance}/databases", body))


def enable_root(api: Api, instance: str) -> None:
    """Ask for the administrator; who has waited in vain is told that it goes on."""
    _expect(_OR_LATER, api.request("POST", f"instances/{instance}/root"))


def disable_root(api: Api, instance: str) -> None:
    _expect(_OR_LATER, api.request("DELETE", f"instances/{instance}/root"))


def resize_flavor(api: Api, instance: str) -> None:
    """Go from one flavor to the other."""
    shown = _expect(HTTPStatus.OK, api.request("GET", f"instances/{instance}"))
    other = "2" if shown.body["instance"]["flavor"]["id"] == "1" else "1"
    _act(api, instance, {"resize": {"flavorRef": other}})


def set_archiving(api: Api, instance: str) -> None:
    _act(api, instance, {"archive": {"enabled": True}})


def update_access(api: Api, instance: str) -> None:
    access = {"is_public": False, "allowed_cidrs": ["10.0.0.0/8", "fd00::/8"]}
    body = {"instance": {"access": access}}
    _expect(HTTPStatus.ACCEPTED, api.request("PUT", f"instances/{instance}", body))


def reset_status(api: Api, instance: str) -> None:
    """Stop whatever goes on with it, in order to delete it."""
    _act(api, instance, {"reset_status": {"force_delete": True}})


def rotate_keys(api: Api, instance: str) -> None:
    """Give the guest other keys, as an administrator does."""
    path = f"mgmt/instances/{instance}/action"
    _expect(HTTPStatus.ACCEPTED, api.request("POST", path, {"rotate-keys": {}}))


def delete_instance(api: Api, instance: str) -> None:
    _expect(HTTPStatus.ACCEPTED, api.request("DELETE", f"instances/{instance}"))


def abandon(api: Api, instance: str) -> None:
    """Stop whatever goes on with it, and delete it; it may be gone by now."""
    body = {"reset_status": {"force_delete": True}}
    _expect(_OR_GONE, api.request("POST", f"instances/{instance}/action", body))
    _expect(_OR_GONE, api.request("DELETE", f"instances/{instance}"))


def _act(api: Api, instance: str, body: object) -> None:
    _expect(HTTPStatus.ACCEPTED, api.request("POST", f"instances/{instance}/action", body))


def _expect(status: HTTPStatus | tuple[HTTPStatus, ...], answer: Answer) -> Answer:
    expected = status if isinstance(status, tuple) else (status,)
    assert answer.status in expected, f"{answer.status}: {answer.body}"
    return answer


@dataclass(frozen=True)
class Change:
    """An operation on an instance that is there.

    `shows`: its status afterwards; `after`: the kind of one that must have been done before.
    """

    ask: Callable[[Api, str], None]
    shows: str = "ACTIVE"
    after: str = ""


CREATE = "create_instance"

CHANGES: Mapping[str, Change] = {
    "restart_instance": Change(restart_instance),
    "resize_volume": Change(resize_volume),
    "resize_flavor": Change(resize_flavor),
    "update_access": Change(update_access),
    "ask_guest": Change(create_database),
    "enable_root": Change(enable_root),
    "disable_root": Change(disable_root, after="enable_root"),
    "rotate_keys": Change(rotate_keys),
    "set_archiving": Change(set_archiving),
    "reset_status": Change(reset_status),
    "delete_instance": Change(delete_instance, "GONE"),
}
"""By the flow's kind, in an order in which one instance can have them all: the last deletes it."""


def lived(wanted: Collection[str]) -> dict[str, Change]:
    """Return those of the changes that make a life in which the `wanted` kinds happen."""
    needed = {*wanted, *(CHANGES[kind].after for kind in wanted if kind in CHANGES)}
    return {
        kind: change for kind, change in CHANGES.items() if kind in needed or change.shows == "GONE"
    }
