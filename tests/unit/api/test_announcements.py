"""What is told of operations, from when they are accepted until they have ended."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from oslo_config import cfg

from dbaas.api import app
from dbaas.api.announcements import Announcing
from dbaas.catalog import tables
from dbaas.catalog.unit import Catalog
from dbaas.common.sealing import Sealer
from dbaas.contract import messages
from dbaas.contract.messages import UserKey
from dbaas.contract.operations import Operation, Position, State
from dbaas.contract.secret import Secret
from dbaas.rpc.notifications import Look, Notification
from dbaas.taskmanager import announcements as endings
from tests.unit.api.conftest import MARIADB, MASTER_KEY, RATE, Api, Offers, Wakes
from tests.unit.api.engine import Guest


@dataclass
class Bus:
    """Remembers what it was told."""

    said: list[Notification] = field(default_factory=list)

    def send(self, look: Look) -> None:
        found = look()
        if found is not None:
            self.said.append(found)

    def take(self) -> Notification:
        """Return the only thing that was said."""
        (said,) = self.said
        self.said.clear()
        return said


@pytest.fixture
def bus() -> Bus:
    return Bus()


@pytest.fixture
def announced(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, catalog: Catalog, bus: Bus
) -> Api:
    """The application, whose waker announces; a guest does what engines are asked for."""
    guest = Guest(catalog, Sealer(bytes.fromhex(MASTER_KEY)))
    guest.databases = {"shop": messages.DatabaseSpec("shop")}
    guest.users = {UserKey("app"): messages.UserSpec("app", Secret("old"), databases=("shop",))}
    wakes = Wakes(guest=guest)
    conf = make_conf(catalog_url, http_post_rate=RATE)
    announcing = Announcing(wakes, bus.send, catalog)
    return Api(app.make(conf, catalog, Offers(), announcing), catalog, wakes)


def end(api: Api, bus: Bus, state: State, **values: Any) -> Notification | None:
    """Let the newest operation end, as a task manager would; return what it tells."""
    id_ = api.wakes.ids[-1]
    table = tables.operations
    api.run(
        lambda one: one.execute(table.update().where(table.c.id == id_), {"state": state, **values})
    )
    operation = Operation(
        id=id_,
        kind="",
        instance_id="",
        project_id="",
        user_id="",
        request_id="",
        position=Position(),
        request=None,
        data=None,
        started=True,
        superseded=False,
        predecessor_ended=True,
        wakes=0,
        step_left=None,
        left=None,
    )
    endings.Announcing(bus.send, api.catalog).stopped(operation, state)
    return bus.said.pop() if bus.said else None


def test_a_creation_is_told_with_all_that_it_asks_for_but_no_password(
    announced: Api, bus: Bus
) -> None:
    users = [{"name": "app", "password": "s3cret-of-app", "databases": [{"name": "shop"}]}]
    id_ = announced.create(databases=[{"name": "shop"}, {"name": "log"}], users=users)
    told = bus.take()
    assert told.event == "dbaas.instance_create.start"
    sender = {
        key: told.payload[key]
        for key in ("tenant_id", "client_ip", "server_type", "server_ip", "request_id")
    }
    assert sender["tenant_id"] == announced.project
    assert sender["client_ip"] == "127.0.0.1"
    assert sender["server_type"] == "api"
    assert sender["server_ip"].count(".") == 3
    assert sender["request_id"].startswith("req-")
    rest = {key: value for key, value in told.payload.items() if key not in sender}
    assert rest == {
        "name": "orders",
        "flavor_id": "1",
        "datastore": "mariadb",
        "datastore_version": "11.8",
        "image_id": rest["image_id"],
        "availability_zone": rest["availability_zone"],
        "region_name": "RegionOne",
        "volume_size": 1,
        "databases": "shop,log",
        "users": "app",
    }
    ended = end(announced, bus, State.SUCCEEDED)
    assert ended is not None
    assert ended.event == "dbaas.instance_create.end"
    assert not ended.failed
    assert ended.payload == {
        **told.payload,
        "server_type": "taskmanager",
        "instance_id": id_,
    }
    assert "s3cret" not in str((told, ended))


def test_what_failed_is_told_with_its_reason(announced: Api, bus: Bus) -> None:
    id_ = announced.create()
    bus.said.clear()
    fault = {"fault_message": "No room.", "fault_details": "first\nsecond", "fault_kind": "Failed"}
    told = end(announced, bus, State.FAILED, **fault)
    assert told is not None
    assert told.event == "dbaas.instance_create.error"
    assert told.failed
    assert told.payload["instance_id"] == id_
    assert told.payload["message"] == "No room."
    assert told.payload["exception"] == ["first", "second"]


def test_what_is_parked_is_told_as_an_error_with_its_reason(announced: Api, bus: Bus) -> None:
    announced.create()
    bus.said.clear()
    fault = {"fault_message": "Its guest is silent.", "fault_details": "", "fault_kind": "Failed"}
    told = end(announced, bus, State.PARKED, **fault)
    assert told is not None
    assert told.event == "dbaas.instance_create.error"
    assert told.payload["message"] == "Its guest is silent."


def test_what_a_later_request_stopped_is_an_error(announced: Api, bus: Bus) -> None:
    announced.create()
    bus.said.clear()
    told = end(announced, bus, State.CANCELLED)
    assert told is not None
    assert told.event == "dbaas.instance_create.error"
    assert told.payload["message"] == "It was stopped before it was done."


@pytest.mark.parametrize(
    ("method", "path", "body", "event", "keys"),
    [
        ("DELETE", "", None, "instance_delete", {}),
        ("POST", "/action", {"restart": {}}, "instance_restart", {}),
        ("POST", "/action", {"reset_status": {"force_delete": True}}, "instance_reset_status", {}),
        (
            *("POST", "/action", {"resize": {"volume": {"size": 3}}}, "instance_resize_volume"),
            {"new_size": 3},
        ),
        (
            *("POST", "/action", {"resize": {"flavorRef": "d2"}}, "instance_resize_instance"),
            {"new_flavor_id": "d2"},
        ),
        (
            *("POST", "/databases", {"databases": [{"name": "a"}, {"name": "b"}]}),
            *("database_create", {"dbname": "a,b"}),
        ),
        ("DELETE", "/databases/shop", None, "database_delete", {"dbname": "shop"}),
        (
            *("POST", "/users", {"users": [{"name": "eve", "password": "x1y2z3"}]}),
            *("user_create", {"username": "eve"}),
        ),
        ("DELETE", "/users/app", None, "user_delete", {"username": "app"}),
        (
            *("PUT", "/users", {"users": [{"name": "app", "password": "x1y2z3"}]}),
            *("user_change_password", {"username": "app"}),
        ),
        (
            *("PUT", "/users/app", {"user": {"name": "other"}}),
            *("user_update_attributes", {"username": "app"}),
        ),
        (
            *("PUT", "/users/app/databases", {"databases": [{"name": "shop"}]}),
            *("user_grant", {"username": "app", "database": "shop"}),
        ),
        (
            *("DELETE", "/users/app/databases/shop", None),
            *("user_revoke", {"username": "app", "database": "shop"}),
        ),
    ],
    ids=lambda item: item if isinstance(item, str) and "_" in item else "",
)
def test_every_change_has_the_event_and_the_keys_that_listeners_know(
    announced: Api, bus: Bus, method: str, path: str, body: object, event: str, keys: dict[str, Any]
) -> None:
    id_ = announced.create(volume={"size": 2})
    announced.make_active(id_)
    bus.said.clear()
    answer = announced.ask(method, f"/instances/{id_}{path}", body)
    assert answer.status_code == 202, answer.text
    told = bus.take()
    assert told.event == f"dbaas.{event}.start"
    common = {"tenant_id", "client_ip", "server_ip", "server_type", "request_id"}
    assert {key: value for key, value in told.payload.items() if key not in common} == {
        "instance_id": id_,
        **keys,
    }
    assert "x1y2z3" not in str(told)


def test_what_changes_nothing_is_not_told(announced: Api, bus: Bus) -> None:
    id_ = announced.create()
    announced.make_active(id_)
    bus.said.clear()
    for path in ("/databases", "/users", "/users/app", "/root"):
        assert announced.ask("GET", f"/instances/{id_}{path}").status_code == 200
    assert announced.ask("POST", "/instances", {}).status_code == 400
    assert announced.ask("DELETE", f"/instances/{MARIADB}").status_code == 404
    assert bus.said == []


def test_a_request_that_is_repeated_is_told_once(announced: Api, bus: Bus) -> None:
    body = {"instance": {"name": "orders", "flavorRef": "1", "volume": {"size": 1}}}
    for _ in range(3):
        assert announced.ask("POST", "/instances", body, Idempotency_Key="k").status_code == 200
    assert bus.take().event == "dbaas.instance_create.start"
