"""What an operator, or the cloud itself, may do to an instance's parts behind our back.

Each ends explained: the next change says what is wrong, nothing is stuck, and a delete succeeds.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from dbaas.contract.operations import LedgerKind, object_name
from tests.openstack.deployment import Deployment, until


@pytest.fixture(scope="module")
def instances(deployment: Deployment) -> Iterator[list[str]]:
    """One for each test, built at the same time; in the end nothing of them is left."""
    before = deployment.listings()
    made = [deployment.create(f"by-hand-{n}") for n in range(3)]
    for instance in made:
        ended = deployment.wait_until_done(instance)
        assert ended["state"] == "succeeded", ended
    yield made
    assert deployment.listings() == before
    deployment.stack.manage("audit")


def server_of(deployment: Deployment, instance: str) -> dict[str, Any]:
    name = object_name(instance, LedgerKind.SERVER, 1)
    found = deployment.ask("compute", f"/servers/detail?all_tenants=1&name={name}")["servers"]
    server: dict[str, Any] = found[0]
    return server


def refused(deployment: Deployment, instance: str, action: object) -> str:
    """Ask for a change, and return why it was not done: at once, or after a while."""
    answer = deployment.request("POST", f"instances/{instance}/action", action)
    if answer.status != 202:
        return str(answer.body)
    ended = deployment.wait_until_done(instance)
    assert ended["state"] == "failed", ended
    return str(ended["fault"]["message"])


def assert_deleted(deployment: Deployment, instance: str) -> None:
    deployment.delete(instance)
    ended = deployment.wait_until_done(instance)
    assert (ended["kind"], ended["state"]) == ("delete_instance", "succeeded"), f"{ended}"


def test_a_server_in_error_is_explained(deployment: Deployment, instances: list[str]) -> None:
    server = server_of(deployment, instances[0])
    reset = {"os-resetState": {"state": "error"}}
    deployment.ask("compute", f"/servers/{server['id']}/action", "POST", reset)
    resize = {"resize": {"flavorRef": deployment.flavor("db.medium")}}
    assert "ERROR" in refused(deployment, instances[0], resize)
    assert_deleted(deployment, instances[0])


def test_a_server_that_was_deleted_is_missed(deployment: Deployment, instances: list[str]) -> None:
    server = server_of(deployment, instances[1])
    deployment.ask("compute", f"/servers/{server['id']}", "DELETE")
    until(lambda: server["id"] not in deployment.listings()["servers"])
    audit = deployment.stack.manage("audit", check=False)
    assert object_name(instances[1], LedgerKind.SERVER, 1) in audit.stdout
    resize = {"resize": {"flavorRef": deployment.flavor("db.medium")}}
    assert "gone" in refused(deployment, instances[1], resize)
    assert_deleted(deployment, instances[1])


def test_a_volume_that_was_detached_is_missed(deployment: Deployment, instances: list[str]) -> None:
    server = server_of(deployment, instances[2])
    volume = server["os-extended-volumes:volumes_attached"][0]["id"]
    at = f"/servers/{server['id']}/os-volume_attachments"
    deployment.ask("compute", f"{at}/{volume}", "DELETE")
    until(lambda: not deployment.ask("compute", at)["volumeAttachments"])
    grow = {"resize": {"volume": {"size": 2}}}
    assert "not attached" in refused(deployment, instances[2], grow)
    assert_deleted(deployment, instances[2])
