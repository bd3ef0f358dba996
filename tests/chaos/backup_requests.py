"""How a tenant asks for what is about backups, of a dry run and of a real stack alike."""

from http import HTTPStatus
from typing import Any

from tests.chaos.requests import Answer, Api, order

KINDS = (
    "create_backup",
    "restore_instance",
    "verify_backup",
    "delete_backups",
    "sweep_backup",
    "back_up_and_delete_instance",
)
"""The flows that have a grid of their own, in an order in which one instance can have them all."""


def create_backup(api: Api, instance: str, parent: str = "") -> str:
    """Return the id of a backup that is being made."""
    wanted = {"name": "chaos", "instance": instance, **({"parent_id": parent} if parent else {})}
    answer = _expect(HTTPStatus.ACCEPTED, api.request("POST", "backups", {"backup": wanted}))
    return str(answer.body["backup"]["id"])


def restore_instance(api: Api, backup: str, name: str = "restored") -> str:
    """Return the id of an instance that is being built of it."""
    body = order(name) | {"restorePoint": {"backupRef": backup}, "databases": [], "users": []}
    answer = _expect(HTTPStatus.OK, api.request("POST", "instances", {"instance": body}))
    return str(answer.body["instance"]["id"])


def verify_backup(api: Api, backup: str) -> None:
    _expect(HTTPStatus.ACCEPTED, api.request("POST", f"backups/{backup}/verify"))


def delete_backup(api: Api, backup: str) -> None:
    _expect(HTTPStatus.ACCEPTED, api.request("DELETE", f"backups/{backup}"))


def back_up_and_delete(api: Api, instance: str) -> None:
    _expect(HTTPStatus.ACCEPTED, api.request("DELETE", f"instances/{instance}?final_backup=true"))


def shown(api: Api, backup: str) -> dict[str, Any]:
    """Return the backup as its tenant sees it; empty when there is none."""
    answer = api.request("GET", f"backups/{backup}")
    if answer.status == HTTPStatus.NOT_FOUND:
        return {}
    _expect(HTTPStatus.OK, answer)
    found: dict[str, Any] = answer.body["backup"]
    return found


def of_instance(api: Api, instance: str) -> list[str]:
    """Return the ids of the instance's backups, whether it lives or not."""
    answer = _expect(HTTPStatus.OK, api.request("GET", f"backups?instance_id={instance}"))
    return [str(one["id"]) for one in answer.body["backups"]]


def _expect(status: HTTPStatus, answer: Answer) -> Answer:
    assert answer.status == status, f"{answer.status}: {answer.body}"
    return answer
