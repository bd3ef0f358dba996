"""What a program does with openstacksdk, which alone is installed where this runs.

It prints what it saw, by what it did, as one JSON object.
"""

import json
import sys
from collections.abc import Callable
from typing import Any

import openstack  # type: ignore[import-not-found]  # in the clients' environment only

SECONDS = 120


def refusal(call: Callable[[], object]) -> str:
    """Return what openstacksdk raises, and says."""
    try:
        return f"nothing, but {call()!r}"
    except openstack.exceptions.SDKException as error:
        return f"{type(error).__name__} {error}"


def tour(database: Any) -> dict[str, object]:
    saw: dict[str, object] = {}

    def settled(instance: Any) -> Any:
        now = database.get_instance(instance.id)  # else it trusts what the object says
        return database.wait_for_status(
            now, status="ACTIVE", failures=["ERROR"], interval=0.2, wait=SECONDS
        )

    saw["flavors"] = [flavor.name for flavor in database.flavors()]
    saw["flavor"] = [
        database.find_flavor("db.tiny").id,
        database.get_flavor("1").name,
        database.get_flavor(1).ram,
    ]
    made = database.create_instance(
        name="by-sdk", flavor="1", volume={"size": 1}, datastore={"type": "mariadb"}
    )
    saw["created"] = [made.name, made.status, made.volume, made.datastore["version"]]
    settled(made)
    saw["listed"] = [one.name for one in database.instances() if one.id == made.id]
    saw["found"] = [database.find_instance(word).id == made.id for word in ("by-sdk", made.id)]
    saw["not found"] = database.find_instance("nobody")
    saw["not there"] = refusal(lambda: database.get_instance("nobody"))
    database.update_instance(made, name="by-sdk-2")
    saw["renamed"] = database.get_instance(made.id).name
    made.restart(database)
    saw["restarted"] = settled(made).status
    made.resize_volume(database, 2)
    saw["resized"] = settled(made).volume["size"]
    made.resize(database, "2")
    saw["of flavor"] = settled(made).flavor["id"]
    look_inside(database, made, saw)
    database.delete_instance(made)
    database.delete_instance(made)  # a second time: it is the same deletion
    database.wait_for_delete(made, interval=0.2, wait=SECONDS)
    saw["deleted"] = refusal(lambda: database.delete_instance(made.id, ignore_missing=False))
    saw["deleted, never mind"] = database.delete_instance(made.id)
    saw["no flavor"] = refusal(lambda: database.create_instance(name="x", volume={"size": 1}))
    return saw


def look_inside(database: Any, made: Any, saw: dict[str, object]) -> None:
    """Note databases, users and root of an instance."""
    password = "it's \\ mine"
    grants = [{"name": "by-sdk"}]
    database.create_database(made, name="by-sdk", character_set="utf8")
    database.create_user(made, name="sdk.user", password=password, databases=grants)
    saw["databases"] = [one.name for one in database.databases(made)]
    saw["users"] = [[one.name, one.databases] for one in database.users(made)]
    before, root = made.is_root_enabled(database), made.enable_root_user(database)
    after = made.is_root_enabled(database)
    saw["root"] = [before, root["name"], len(root["password"]), after]
    database.delete_user("sdk.user", instance=made)
    database.delete_database("by-sdk", instance=made)
    saw["empty"] = [[*database.databases(made)], [*database.users(made)]]
    saw["no database"] = refusal(
        lambda: database.delete_database("by-sdk", instance=made, ignore_missing=False)
    )


if __name__ == "__main__":
    json.dump(tour(openstack.connect().database), sys.stdout)
