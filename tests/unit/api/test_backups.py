"""What a tenant asks about backups that are there."""

import uuid
from http import HTTPStatus

import pytest

from tests.unit.api.conftest import MARIADB_11_8, Api
from tests.written_backups import new, write


def complete(api: Api, instance: str, parent: str | None = None) -> str:
    """Have a complete backup; return its id."""
    one = new(
        id=str(uuid.uuid4()),
        project_id=api.project,
        instance_id=instance,
        datastore_version_id=MARIADB_11_8,
        storage="local",
        parent_id=parent,
    )
    api.run(lambda unit: write(unit, one))
    return one.id


@pytest.fixture
def backup(api: Api, active: str) -> str:
    return complete(api, active)


def test_a_backup_is_tried_once_at_a_time(api: Api, active: str, backup: str) -> None:
    increment = complete(api, active, backup)
    path = f"/backups/{backup}/verify"
    assert api.ask("POST", path).status_code == HTTPStatus.ACCEPTED
    (operation,) = api.wakes.ids
    again = api.ask("POST", path)
    assert again.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert operation in again.json["unprocessableEntity"]["message"]
    assert api.wakes.ids == [operation]
    assert api.ask("POST", f"/backups/{increment}/verify").status_code == HTTPStatus.ACCEPTED


def test_what_builds_on_a_backup_is_waited_for_while_it_is_deleted(
    api: Api, active: str, backup: str
) -> None:
    increment = complete(api, active, backup)
    assert api.ask("DELETE", f"/backups/{increment}").status_code == HTTPStatus.ACCEPTED
    (operation,) = api.wakes.ids
    refused = api.ask("DELETE", f"/backups/{backup}")
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    message = refused.json["unprocessableEntity"]["message"]
    assert operation in message
    assert increment in message
    assert "Instance" not in message


def test_what_is_deleted_without_a_last_backup_gets_none_by_a_later_request(
    api: Api, active: str
) -> None:
    assert api.ask("DELETE", f"/instances/{active}").status_code == HTTPStatus.ACCEPTED
    refused = api.ask("DELETE", f"/instances/{active}?final_backup=true")
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "DELETING" in refused.json["unprocessableEntity"]["message"]
    assert api.ask("DELETE", f"/instances/{active}").status_code == HTTPStatus.ACCEPTED
