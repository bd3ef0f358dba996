"""The guest image on a real cloud: it boots by itself, and its agent finds and keeps the volume."""

import base64
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pymysql
import pytest

from dbaas.contract import codec, errors
from dbaas.contract.messages import CONTACT_FILE, Contact
from dbaas.contract.operations import LedgerKind, object_name
from dbaas.guestagent import identity
from dbaas.rpc import guests
from tests.openstack import cloud
from tests.openstack.deployment import Deployment, until

DATABASE, USER, PASSWORD = "kept", "keeper", "p4ss of the keeper"
REBOOT_SECONDS = 400.0


@pytest.fixture(scope="module")
def instance(deployment: Deployment) -> Iterator[str]:
    """One whose server starts from its disk alone, by BIOS and boot loader."""
    before = deployment.listings()
    made = deployment.create(
        "booted",
        databases=[{"name": DATABASE}],
        users=[{"name": USER, "password": PASSWORD, "databases": [{"name": DATABASE}]}],
    )
    yield made
    deployment.delete(made)
    assert deployment.wait_until_done(made)["state"] == "succeeded"
    assert deployment.listings() == before


def ask(deployment: Deployment, instance: str, *statements: str) -> Any:
    address = deployment.details(instance)["ip"][0]
    with deployment.connected(address, USER, PASSWORD, DATABASE) as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


def server_of(deployment: Deployment, instance: str) -> dict[str, Any]:
    name = object_name(instance, LedgerKind.SERVER, 1)
    found = deployment.ask("compute", f"/servers/detail?all_tenants=1&name={name}")["servers"]
    server: dict[str, Any] = found[0]
    return server


def console(deployment: Deployment, instance: str) -> str:
    at = f"/servers/{server_of(deployment, instance)['id']}/action"
    said: str = deployment.ask("compute", at, "POST", {"os-getConsoleOutput": {}})["output"]
    return said


def test_the_image_boots_and_its_agent_formats_the_volume(
    deployment: Deployment, instance: str
) -> None:
    ended = deployment.wait_until_done(instance)
    assert ended["state"] == "succeeded", ended
    ask(deployment, instance, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)")
    assert console(deployment, instance).count("formatting vdb") == 1


def test_what_a_server_was_booted_with_is_worthless(deployment: Deployment, instance: str) -> None:
    """Neither its user nor its password lets anybody in, and no key of it is known any more."""
    at = f"/servers/{server_of(deployment, instance)['id']}"
    shown = cloud.requests_of(cloud.ADMIN).ask("GET", "compute", at)["server"]
    contact = contact_in(base64.b64decode(shown["OS-EXT-SRV-ATTR:user_data"]).decode())
    where = identity.address(contact)
    for user in (contact.user, f"g-{instance}"):
        with pytest.raises(errors.Forbidden):
            guests.probe(replace(where, user=user))
    keys = f"SELECT contact_user, contact_key FROM guests WHERE instance_id = '{instance}'"
    assert set(deployment.stack.sql(keys)[0].values()) == {None}


def contact_in(user_data: str) -> Contact:
    written = json.loads(user_data.removeprefix("#cloud-config\n"))["write_files"]
    (content,) = (file["content"] for file in written if file["path"] == CONTACT_FILE)
    return codec.load(Contact, json.loads(base64.b64decode(content)))


def test_what_is_on_the_volume_outlives_a_power_cut(deployment: Deployment, instance: str) -> None:
    server = server_of(deployment, instance)["id"]
    ask(deployment, instance, "INSERT INTO t VALUES (8)")
    deployment.ask("compute", f"/servers/{server}/action", "POST", {"reboot": {"type": "HARD"}})
    until(lambda: not answers(deployment, instance), REBOOT_SECONDS)
    until(lambda: answers(deployment, instance), REBOOT_SECONDS)
    assert ask(deployment, instance, "SELECT id FROM t ORDER BY id") == ((7,), (8,))
    said = console(deployment, instance)
    assert "the volume is vdb" in said
    assert "formatting" not in said.rpartition("Linux version")[2]


def answers(deployment: Deployment, instance: str) -> bool:
    try:
        ask(deployment, instance, "SELECT 1")
    except pymysql.err.OperationalError:
        return False
    return True
