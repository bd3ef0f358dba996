"""Every route with everything that can be wrong: a fault that names the field, never a 500.

The routes are compared with those of the application, so that a new one is not forgotten.
"""

import copy
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import falcon.inspect
import pytest

from dbaas.api import app
from dbaas.api.resources import later
from dbaas.catalog import tables
from dbaas.catalog.unit import Catalog
from dbaas.common.sealing import Sealer
from dbaas.contract import messages
from dbaas.contract.messages import UserKey
from dbaas.contract.secret import Secret
from tests.unit.api.conftest import MARIADB_11_8, MASTER_KEY, NETWORK, SUBNET, Api, Wakes
from tests.unit.api.engine import Guest

NOBODYS = "6f1c0000-0000-4000-8000-000000000000"

# Routes: method, path, a good body. A path's {instance_id} stands for one that is active.

INSTANCE = {
    "name": "orders",
    "flavorRef": "1",
    "volume": {"size": 1, "type": "ssd"},
    "datastore": {"type": "mariadb", "version": "11.8", "version_number": "11.8.3"},
    "databases": [{"name": "shop", "character_set": "utf8mb4", "collate": "utf8mb4_bin"}],
    "users": [{"name": "app", "password": "x1", "host": "%", "databases": [{"name": "shop"}]}],
    "nics": [{"network_id": NETWORK, "subnet_id": SUBNET, "ip_address": "10.9.0.9"}],
    "availability_zone": "nova",
    "region_name": "RegionOne",
    "access": {"is_public": True, "allowed_cidrs": ["10.0.0.0/8"]},
}
ACCESS = {"is_public": True, "allowed_cidrs": ["10.0.0.0/8"]}
DATABASES = [{"name": "new", "character_set": "utf8mb4", "collate": "utf8mb4_bin"}]
USERS = [{"name": "new", "password": "x1", "host": "%", "databases": [{"name": "shop"}]}]
PASSWORDS = [{"name": "app", "password": "x1", "host": "%"}]

ONE = "/instances/{instance_id}"
USER = f"{ONE}/users/{{user}}"
MANAGED = "/mgmt/instances/{instance_id}"

WITH_BODY: tuple[tuple[str, str, Any], ...] = (
    ("POST", "/instances", {"instance": INSTANCE}),
    ("PUT", ONE, {"instance": {"name": "renamed"}}),
    ("PUT", ONE, {"instance": {"access": ACCESS}}),
    ("PATCH", ONE, {"instance": {"name": "renamed"}}),
    ("POST", f"{ONE}/action", {"resize": {"volume": {"size": 3}}}),
    ("POST", f"{ONE}/action", {"resize": {"flavorRef": "d2"}}),
    ("POST", f"{ONE}/databases", {"databases": DATABASES}),
    ("POST", f"{ONE}/users", {"users": USERS}),
    ("PUT", f"{ONE}/users", {"users": PASSWORDS}),
    ("POST", USER, {"users": [{"name": "app", "password": "x1", "host": "10.0.0.1"}]}),
    ("PUT", USER, {"user": {"name": "app", "password": "x1", "host": "%"}}),
    ("PUT", f"{USER}/databases", {"databases": [{"name": "shop"}]}),
    ("POST", f"{ONE}/root", {"password": "x1"}),
    (
        "POST",
        "/backups",
        {
            "backup": {
                "name": "nightly",
                "instance": "{instance_id}",
                "description": "before the sale",
                "incremental": 1,
                "swift_container": "cellar",
                "storage_driver": "local",
            }
        },
    ),
    (
        "POST",
        "/backup_schedules",
        {
            "backup_schedule": {
                "name": "nightly",
                "instance": "{instance_id}",
                "cron": "0 3 * * *",
                "full_cron": "0 3 * * 0",
                "timezone": "Europe/Berlin",
                "retention": {"count": 14, "days": 30},
                "enabled": True,
                "verify": True,
                "swift_container": "cellar",
                "storage_driver": "local",
            }
        },
    ),
    (
        "POST",
        "/backup_strategies",
        {"backup_strategy": {"swift_container": "cellar", "instance_id": None}},
    ),
    ("PUT", "/mgmt/quotas/{project}", {"quotas": {"volumes": 30}}),
    ("POST", f"{MANAGED}/action", {"reset-task-status": {}}),
    ("POST", f"{MANAGED}/action", {"rotate-keys": {}}),
)
WITHOUT_BODY: tuple[tuple[str, str], ...] = (
    ("GET", "/instances"),
    ("GET", "/instances/detail"),
    ("GET", ONE),
    ("DELETE", ONE),
    ("GET", f"{ONE}/databases"),
    ("GET", f"{ONE}/databases/{{database}}"),
    ("DELETE", f"{ONE}/databases/{{database}}"),
    ("GET", f"{ONE}/users"),
    ("GET", USER),
    ("DELETE", USER),
    ("GET", f"{USER}/databases"),
    ("DELETE", f"{USER}/databases/{{database}}"),
    ("GET", f"{ONE}/root"),
    ("DELETE", f"{ONE}/root"),
    ("GET", f"{ONE}/recovery"),
    ("GET", f"{ONE}/ssl"),
    ("POST", f"{ONE}/ssl"),
    ("GET", "/datastores"),
    ("GET", "/datastores/{datastore}"),
    ("GET", "/datastores/{datastore}/versions"),
    ("GET", "/datastores/{datastore}/versions/{version}"),
    ("GET", "/datastores/{datastore}/versions/{version}/flavors"),
    ("GET", "/datastores/versions/{version}"),
    ("GET", "/flavors"),
    ("GET", "/flavors/{flavor}"),
    ("GET", f"{ONE}/backups"),
    ("GET", "/backups"),
    ("GET", "/backups/{backup_id}"),
    ("DELETE", "/backups/{backup_id}"),
    ("POST", "/backups/{backup_id}/verify"),
    ("GET", "/backup_schedules"),
    ("GET", "/backup_schedules/{schedule_id}"),
    ("PATCH", "/backup_schedules/{schedule_id}"),
    ("DELETE", "/backup_schedules/{schedule_id}"),
    ("GET", "/backup_strategies"),
    ("DELETE", "/backup_strategies"),
    ("GET", "/limits"),
    ("GET", "/operations"),
    ("GET", "/operations/{operation_id}"),
    ("GET", "/mgmt/quotas/{target}"),
    ("GET", "/mgmt/instances"),
    ("POST", "/mgmt/instances"),
    ("GET", MANAGED),
    ("PUT", MANAGED),
    ("PATCH", MANAGED),
    ("DELETE", MANAGED),
    ("GET", f"{MANAGED}/root"),
    ("GET", f"{MANAGED}/rpc_ping"),
)
FILLED = {
    "user": "app",
    "database": "shop",
    "datastore": "mariadb",
    "version": MARIADB_11_8,
    "flavor": "1",
    "operation_id": NOBODYS,
    "backup_id": NOBODYS,
    "schedule_id": NOBODYS,
}


@dataclass
class Ground:
    """One project with an active instance, and another's; nothing stays of what a test does."""

    api: Api
    guest: Guest
    mine: str
    theirs: str

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Any:
        if body is not None:
            text = body if isinstance(body, str) else json.dumps(body)
            body = text.replace("{instance_id}", self.mine)
        return self.api.ask(method, self.filled(path), body, **headers)

    def filled(self, path: str, **values: str) -> str:
        known = {"instance_id": self.mine, "project": self.api.project, "target": self.api.project}
        return path.format(**(FILLED | known | values))

    def settle(self) -> None:
        table = tables.instances
        self.api.set_row(self.mine, status="ACTIVE", volume_charged_gib=2, ram_charged_mib=512)
        project = self.api.project

        def work(unit: Any) -> None:
            unit.execute(tables.instance_locks.delete())
            unit.execute(tables.quota_usages.delete().where(
                tables.quota_usages.c.project_id == project
            ))  # fmt: skip
            unit.execute(tables.quotas.delete().where(tables.quotas.c.project_id == project))
            unit.execute(tables.guest_health.update().values(service="healthy"))
            unit.execute(table.update().where(table.c.id == self.mine).values(name="orders"))

        self.api.run(work)
        self.guest.databases = {"shop": messages.DatabaseSpec("shop")}
        self.guest.users = {
            UserKey("app"): messages.UserSpec("app", Secret("old"), databases=("shop",))
        }
        self.guest.asked.clear()


@pytest.fixture(scope="module")
def shared(application: tuple[app.App, Wakes], catalog: Catalog) -> Ground:
    made, wakes = application
    guest = Guest(catalog, Sealer(bytes.fromhex(MASTER_KEY)))
    api, other = Api(made, catalog, wakes), Api(made, catalog, wakes)
    mine, theirs = api.create(volume={"size": 2}), other.create()
    api.make_active(mine)
    other.make_active(theirs)
    return Ground(api, guest, mine, theirs)


@pytest.fixture
def ground(shared: Ground) -> Ground:
    shared.api.wakes.guest = shared.guest
    shared.settle()
    return shared


def fault(answer: Any) -> str:
    """Return the message of a fault, which has the envelope of all."""
    ((key, inner),) = answer.json.items()
    assert inner["code"] == answer.status_code
    assert key in FAULTS, key
    assert answer.headers["x-openstack-request-id"].startswith("req-")
    message: str = inner["message"]
    return message


FAULTS = (
    "badRequest", "unauthorized", "forbidden", "itemNotFound", "overLimit", "badMediaType",
    "unprocessableEntity", "notImplemented",
)  # fmt: skip


def test_every_route_of_the_application_is_here(application: tuple[app.App, Wakes]) -> None:
    unserved = {path for _, path, _ in later.ROUTES}
    prefix = "/v1.0/{project}"
    found = {
        (method.method, route.path.removeprefix(prefix))
        for route in falcon.inspect.inspect_routes(application[0])
        for method in route.methods
        if route.path.startswith(f"{prefix}/")
        and not method.internal
        and route.path.removeprefix(prefix) not in unserved
    }
    table = {(method, path) for method, path, _ in WITH_BODY} | set(WITHOUT_BODY)
    table = {(method, path.replace("{project}", "{target}")) for method, path in table}
    assert found == table


@pytest.mark.parametrize(("method", "path", "body"), WITH_BODY, ids=str)
def test_the_good_bodies_are_good(ground: Ground, method: str, path: str, body: Any) -> None:
    answer = ground.ask(method, path, body, X_Roles="admin")
    assert answer.status_code in (200, 201, 202), answer.text


# Bodies that are none, or not of the form: as sent; its content type; status; words

JSON = "application/json"
FORMS: tuple[tuple[bytes | None, str | None, int, str], ...] = (
    (None, JSON, 400, "has no body"),
    (b"", None, 400, "has no body"),
    (b"{", JSON, 400, "not valid JSON"),
    (b"{'a': 1}", JSON, 400, "not valid JSON"),
    (b'{"a": NaN}', JSON, 400, "NaN is no number"),
    (b"[]", JSON, 400, "must be a JSON object"),
    (b"null", JSON, 400, "must be a JSON object"),
    (b'"text"', JSON, 400, "must be a JSON object"),
    (b"5", JSON, 400, "must be a JSON object"),
    (b'{"a": "\xff"}', JSON, 400, "not valid UTF-8"),
    (b'{"\\ud800": 1}', JSON, 400, "not valid JSON"),
    (b"[" * 100_000, JSON, 400, "nested too deeply"),
    (b'{"a": ' * 50_000 + b"1" + b"}" * 50_000, JSON, 400, "nested too deeply"),
    (b" " * (1024 * 1024 + 1), JSON, 413, "larger than"),
    (b"{}", None, 415, "use application/json"),
    (b"{}", "text/plain", 415, "'text/plain'"),
    (b"<a/>", "application/xml", 415, "'application/xml'"),
    (b"a=1", "application/x-www-form-urlencoded", 415, "use application/json"),
    (b'{"no such key": {}}', JSON, 400, "no such key"),
)
MAY_BE_EMPTY = f"{ONE}/root"


@pytest.mark.parametrize(
    ("method", "path"), dict.fromkeys((method, path) for method, path, _ in WITH_BODY), ids=str
)
@pytest.mark.parametrize(
    ("body", "media_type", "status", "words"), FORMS, ids=lambda item: str(item)[:20]
)
def test_a_body_of_no_form_is_refused(
    ground: Ground,
    method: str,
    path: str,
    body: bytes | None,
    media_type: str | None,
    status: int,
    words: str,
) -> None:
    if path == MAY_BE_EMPTY and not body:
        return
    headers = {"X-Roles": "admin"} | ({} if media_type is None else {"Content-Type": media_type})
    url = f"/v1.0/{ground.api.project}{ground.filled(path)}"
    answer = ground.api.simulate_request(method, url, body=body, headers=headers)
    assert answer.status_code == status, answer.text
    assert words in fault(answer)
    assert ground.guest.asked == []


# Values in every place of a good body

VALUES: Mapping[str, Any] = {
    "null": None,
    "true": True,
    "number": 5,
    "fraction": 1.5,
    "negative": -1,
    "huge": 2**70,
    "object": {"a": 1},
    "array": [1],
    "empty": "",
    "nul": "a\0b",
    "control": "a\x07b",
    "sql": "x'; DROP TABLE instances; --",
    "long": "x" * 5000,
    "emoji": "\U0001f600",
    "format": "%s%n{0}",
}

# What may be, by the path of the place; everything else must be refused by the name of the place.
_OPTIONAL = {"null", "empty"}
LEGAL: Mapping[str, set[str]] = {
    "instance.flavorRef": set(),
    "backup.name": {"sql", "format"},
    "backup.description": {"control", "sql", "emoji", "format"},
    "backup.incremental": {"true"},
    "backup.swift_container": {"sql", "emoji", "format", *_OPTIONAL},
    "backup.storage_driver": _OPTIONAL,
    "backup_schedule.name": {"sql", "format"},
    "backup_schedule.full_cron": {"null"},
    "backup_schedule.retention.count": {"null", "number"},
    "backup_schedule.retention.days": {"null", "number"},
    "backup_schedule.enabled": {"true"},
    "backup_schedule.verify": {"true"},
    "backup_schedule.swift_container": {"null", "sql", "emoji", "format"},
    "backup_schedule.storage_driver": {"null"},
    "backup_strategy.swift_container": {"sql", "emoji", "format"},
    "backup_strategy.instance_id": _OPTIONAL,
    "instance.name": {"sql", "format"},
    "instance.volume.type": {"null", "sql", "format", "empty", "emoji"},
    "instance.databases[0].character_set": _OPTIONAL,
    "instance.databases[0].collate": _OPTIONAL,
    "instance.users[0].password": {"sql", "format"},
    "instance.users[0].host": _OPTIONAL,
    "instance.availability_zone": _OPTIONAL,
    "instance.region_name": _OPTIONAL,
    "resize.volume.size": {"number"},
    "databases[0].character_set": _OPTIONAL,
    "databases[0].collate": _OPTIONAL,
    "users[0].password": {"sql", "format"},
    "users[0].host": _OPTIONAL,
    "instance.access.is_public": {"true"},
    "instance.users[0].name": {"format"},
    "user.name": {"format"},
    "user.password": {"sql", "format"},
    "user.host": _OPTIONAL,
    "password": {"null", "sql", "format"},
    "quotas.volumes": {"null", "number", "negative"},
    "instance.volume.size": {"number"},
}


# What may be, but not where the user is another, or there already, or not there.
ELSEWHERE: Mapping[tuple[str, str, str, str], int] = {
    ("POST", USER, "users[0].name", "format"): 400,
    ("POST", USER, "users[0].host", "null"): 400,
    ("POST", USER, "users[0].host", "empty"): 400,
    ("POST", f"{ONE}/users", "users[0].name", "format"): 202,
    ("PUT", f"{ONE}/users", "users[0].name", "format"): 404,
}


def places(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Yield the path of every plain value."""
    items: Any = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield from places(item, (*path, key))
        else:
            yield (*path, key)


def dotted(path: tuple[str | int, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)[1:]


def replaced(body: Any, path: tuple[str | int, ...], value: Any) -> Any:
    """Return the body with another value there."""
    made = copy.deepcopy(body)
    inner = made
    for part in path[:-1]:
        inner = inner[part]
    inner[path[-1]] = value
    return made


PLACES = [
    pytest.param(method, path, body, place, name, id=f"{method}{path}-{dotted(place)}-{name}")
    for method, path, body in WITH_BODY
    for place in places(body)
    for name in VALUES
]


@pytest.mark.parametrize(("method", "path", "body", "place", "name"), PLACES)
def test_a_value_is_taken_or_its_place_is_named(
    ground: Ground, method: str, path: str, body: Any, place: tuple[str | int, ...], name: str
) -> None:
    sent = replaced(body, place, VALUES[name])
    answer = ground.ask(method, path, json.dumps(sent), X_Roles="admin")
    where = dotted(place)
    if (status := ELSEWHERE.get((method, path, where, name))) is not None:
        assert answer.status_code == status, answer.text
        return
    if name in LEGAL.get(where, ()):
        assert answer.status_code in (200, 201, 202), answer.text
        return
    assert answer.status_code in (400, 404, 413), answer.text
    message = fault(answer)
    field = next(part for part in reversed(place) if isinstance(part, str))
    assert field.lower() in message.lower(), message
    assert ground.guest.asked == []


# Ids and names in paths

OF_AN_INSTANCE = [
    (method, path)
    for method, path in dict.fromkeys(
        (*((method, path) for method, path, _ in WITH_BODY), *WITHOUT_BODY)
    )
    if ONE in path
    # Not served yet, whoever asks:
    and (method, path) != ("GET", f"{ONE}/databases/{{database}}")
    and (path != MANAGED or method == "GET")
]
BODIES = {(method, path): body for method, path, body in WITH_BODY}


@pytest.mark.parametrize(("method", "path"), OF_AN_INSTANCE, ids=str)
def test_another_tenants_instance_is_not_there(ground: Ground, method: str, path: str) -> None:
    body = BODIES.get((method, path))
    answers = [
        ground.api.ask(method, ground.filled(path, instance_id=id_), body)
        for id_ in (ground.theirs, NOBODYS)
    ]
    if path.startswith("/mgmt"):
        assert [answer.status_code for answer in answers] == [401, 401]
        return
    texts = []
    for answer, id_ in zip(answers, (ground.theirs, NOBODYS), strict=True):
        assert answer.status_code == 404
        assert f"Resource {id_} cannot be found." in fault(answer)
        texts.append(answer.text.replace(id_, ""))
    assert texts[0] == texts[1]  # not to be told from one that there is not
    assert ground.guest.asked == []
    shown = ground.api.catalog.read(
        lambda unit: unit.execute(tables.instances.select()
            .where(tables.instances.c.id == ground.theirs)).one()
    )  # fmt: skip
    assert (shown.name, shown.status) == ("orders", "ACTIVE")


NO_IDS = [
    "x",
    "%00",
    "1%27%20OR%20%271%27=%271",
    "%F0%9F%98%80",
    "%FF",
    "..",
    "a" * 3000,
    "-",
    "%2F",
]


@pytest.mark.parametrize("text", [*NO_IDS, NOBODYS.upper(), f"{NOBODYS}%0A"], ids=lambda t: t[:20])
@pytest.mark.parametrize(("method", "path"), OF_AN_INSTANCE, ids=str)
def test_what_is_no_id_is_not_there(ground: Ground, method: str, path: str, text: str) -> None:
    url = ground.filled(path, instance_id=text)
    body = BODIES.get((method, path))
    answer = ground.api.ask(method, url, body, X_Roles="admin")
    assert answer.status_code == 404, answer.text
    fault(answer)


@pytest.mark.parametrize(
    "text",
    [
        "%00",
        "x%27--",
        "a%0Ab",
        "%20",
        "x" * 3000,
        "a%2Fb",
        "a%5Cb",
        "%22",
        "a%60b",
        "%3B%3B",
        "%2525",
    ],
    ids=lambda t: t[:20],
)
@pytest.mark.parametrize(
    ("method", "path"),
    [(m, p) for m, p in OF_AN_INSTANCE if "{user}" in p or "{database}" in p],
    ids=str,
)
def test_a_name_that_cannot_be_is_refused(
    ground: Ground, method: str, path: str, text: str
) -> None:
    if text == "%2525" and "{user}" in path:
        text = "x%40%2525%2525"  # a percent sign is a user, but %% is no host
    body = BODIES.get((method, path))
    url = ground.filled(path, user=text, database="shop" if "{user}" in path else text)
    answer = ground.api.ask(method, url, body)
    assert answer.status_code == 400, answer.text
    assert fault(answer).startswith(("The user", "The database"))
    assert ground.guest.asked == []


# What stands behind the question mark

PARAMETERS = [
    *itertools.product(
        ("/instances", "/instances/detail", "/operations", f"{ONE}/databases", f"{ONE}/users",
         "/mgmt/instances"),
        ("limit",),
        ("0", "-1", "x", "1.5", "1e3", "%00", "9" * 40, "%D9%A1", "1%27%20OR%201=1"),
    ),
    *itertools.product(
        ("/instances", "/instances/detail", "/operations", "/mgmt/instances"),
        ("marker",),
        ("x", "-1", "%00", "1%27%20OR%201=1", "%F0%9F%98%80", "a" * 3000),
    ),
    *itertools.product(
        (f"{ONE}/databases", f"{ONE}/users"), ("marker",), ("%00", "a%0Ab", "a" * 3000)
    ),
    *itertools.product(("/operations",), ("state", "instance_id"), ("x", "%00", "1%27--")),
    *itertools.product(("/mgmt/instances",), ("deleted",), ("x", "1", "%00")),
    *itertools.product(("/mgmt/instances",), ("project_id",), ("%00", "1%27--", "a" * 300)),
    *itertools.product((MANAGED, f"{MANAGED}/root"), ("deleted",), ("x", "1")),
    *itertools.product((f"{ONE}/ssl",), ("include_certificate",), ("x", "1", "%00")),
]  # fmt: skip


@pytest.mark.parametrize(("path", "key", "value"), PARAMETERS, ids=lambda item: str(item)[:40])
def test_a_parameter_that_cannot_be_is_named(
    ground: Ground, path: str, key: str, value: str
) -> None:
    answer = ground.ask("GET", f"{path}?{key}={value}", X_Roles="admin")
    assert answer.status_code == 400, answer.text
    assert fault(answer).startswith(f"{key} must be ")
    assert ground.guest.asked == []


# What a read costs

READS = [path for method, path in WITHOUT_BODY if method == "GET" and "{database}" not in path]
ASK_A_GUEST = ("/databases", "/users", USER, "/rpc_ping")


@pytest.mark.parametrize("path", [p for p in READS if not p.endswith(ASK_A_GUEST)])
def test_a_read_takes_three_statements_at_most(
    ground: Ground, statements: list[str], path: str
) -> None:
    ground.ask("GET", path, X_Roles="admin")
    assert len(statements) <= 3, statements
