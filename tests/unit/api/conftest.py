"""The application over a real catalog, without a broker and without a cloud."""

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import falcon.testing
import pytest
import sqlalchemy
from oslo_config import cfg

from dbaas.api import app, options
from dbaas.catalog import tables, unit
from dbaas.catalog.unit import Catalog, Unit
from dbaas.cloud.base import Flavor, Subnet
from dbaas.common import config, sealing
from dbaas.common.sealing import Sealer
from tests.catalog_server import CatalogServer
from tests.unit.api.engine import Guest

MASTER_KEY = "ab" * 32
NETWORK = "7d1f3a52-0000-4c52-9c93-0c1d7ad4a2a1"
SUBNET = "8d1f3a52-0000-4c52-9c93-0c1d7ad4a2a1"
OTHER_NETWORK = "7d1f3a52-0001-4c52-9c93-0c1d7ad4a2a1"
OTHER_SUBNET = "8d1f3a52-0001-4c52-9c93-0c1d7ad4a2a1"
FOREIGN_NETWORK = "7d1f3a52-0002-4c52-9c93-0c1d7ad4a2a1"
FOREIGN_SUBNET = "8d1f3a52-0002-4c52-9c93-0c1d7ad4a2a1"
RATE = 100_000
MARIADB = "ef9ca42b-6db9-4b52-bbcd-6cdef6d3eb66"
MARIADB_11_8 = "48e08b61-5243-4ad5-8da9-67bbbfd12356"
MARIADB_10_11 = "58e08b61-5243-4ad5-8da9-67bbbfd12356"


class Offers:
    """Two flavors, two networks of one subnet each and one of another project's, two zones."""

    def flavors(self) -> tuple[Flavor, ...]:
        return (Flavor("1", "db.tiny", 512, 1, 5), Flavor("d2", "db.small", 1024, 1, 10))

    def subnets(self) -> tuple[Subnet, ...]:
        return (
            Subnet(SUBNET, NETWORK, "10.9.0.0/24"),
            Subnet(OTHER_SUBNET, OTHER_NETWORK, "10.10.0.0/24"),
            Subnet(FOREIGN_SUBNET, FOREIGN_NETWORK, "10.11.0.0/24", project="somebody else's"),
        )

    def default_network(self) -> str:
        return NETWORK

    def zones(self) -> tuple[str, ...]:
        return ("nova", "west")


@dataclass
class Wakes:
    """Remembers what it was asked to wake; a guest, where there is one, does it at once."""

    ids: list[str] = field(default_factory=list)
    guest: Guest | None = None

    def wake(self, operation_id: str) -> None:
        self.ids.append(operation_id)
        if self.guest is not None:
            self.guest.serve(operation_id)


class Api(falcon.testing.TestClient):
    """Speaks for one project, which no other test has."""

    def __init__(self, application: app.App, catalog: Catalog, wakes: Wakes) -> None:
        super().__init__(application, headers={"Host": "db.example.org:8779"})
        self.project = uuid.uuid4().hex
        self.catalog = catalog
        self.wakes = wakes

    def ask(self, method: str, path: str, body: object = None, **headers: str) -> Any:
        sent = {key.replace("_", "-"): value for key, value in headers.items()}
        if body is not None:
            sent.setdefault("Content-Type", "application/json")
        return self.simulate_request(
            method,
            f"/v1.0/{self.project}{path}",
            body=None if body is None else body if isinstance(body, str) else json.dumps(body),
            headers=sent,
        )

    def create(self, **more: Any) -> str:
        """Create an instance; return its id."""
        body = {"instance": {"name": "orders", "flavorRef": "1", "volume": {"size": 1}} | more}
        answer = self.ask("POST", "/instances", body)
        assert answer.status_code == 200, answer.text
        id_: str = answer.json["instance"]["id"]
        return id_

    def run(self, work: Callable[[Unit], Any]) -> Any:
        return self.catalog.run(work)

    def set_row(self, instance_id: str, **values: Any) -> None:
        """Put an instance where its operations would have brought it."""
        table = tables.instances
        self.run(lambda one: one.execute(table.update().where(table.c.id == instance_id), values))

    def make_active(self, instance_id: str, health: str = "healthy") -> None:
        """As if its build had finished: its operation ended, and its guest reported."""
        now = sqlalchemy.func.now(6)
        locks, reports = tables.instance_locks, tables.guest_health
        self.set_row(instance_id, status="ACTIVE")

        def work(one: Unit) -> None:
            one.execute(locks.delete().where(locks.c.instance_id == instance_id))
            one.execute(
                tables.instances.update()
                .where(tables.instances.c.id == instance_id)
                .values(ready_at=now)
            )
            one.execute(
                reports.insert().values(
                    instance_id=instance_id,
                    boot=1,
                    seq=1,
                    service=health,
                    volume_total=2 * 1024**3,
                    volume_used=1024**3 // 2,
                    progress="{}",
                )
            )

        self.run(work)

    def usage(self) -> dict[str, int]:
        answer = self.ask("GET", f"/mgmt/quotas/{self.project}")
        return {item["resource"]: item["in_use"] for item in answer.json["quotas"]}


def write_datastores(one: Unit) -> None:
    one.execute(
        tables.datastores.insert().values(
            id=MARIADB, name="mariadb", default_version_id=MARIADB_11_8
        )
    )
    for id_, name, version, active in (
        (MARIADB_11_8, "11.8", "11.8.3", True),
        (MARIADB_10_11, "10.11", "10.11.6", False),
    ):
        one.execute(
            tables.datastore_versions.insert().values(
                id=id_,
                datastore_id=MARIADB,
                name=name,
                version=version,
                manager="mariadb",
                image_tags='["dbaas"]',
                packages='["mariadb-server", "mariadb-backup"]',
                active=active,
            )
        )


@pytest.fixture(scope="session")
def make_conf(
    tmp_path_factory: pytest.TempPathFactory, catalog_server: CatalogServer
) -> Callable[..., cfg.ConfigOpts]:
    """Give a function that makes a configuration over a catalog, with other options in `[api]`."""
    home = tmp_path_factory.mktemp("api")
    key = home / "master.key"
    key.write_text(MASTER_KEY)
    key.chmod(0o600)

    def make(url: str, **api: object) -> cfg.ConfigOpts:
        path = Path(home, f"{uuid.uuid4()}.conf")
        api = {"auth_strategy": "noauth"} | api
        lines = ["[api]", *(f"{name} = {value}" for name, value in api.items())]
        lines += ["[catalog]", f"connection = {url}"]
        lines += ["[secrets]", f"master_key_file = {key}"]
        path.write_text("\n".join(lines))
        return config.load(["--config-file", str(path)], [options, unit, sealing])

    return make


@pytest.fixture(scope="session")
def catalog_url(catalog_server: CatalogServer) -> str:
    return catalog_server.fresh()


@pytest.fixture(scope="session")
def catalog(make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str) -> Iterator[Catalog]:
    made = Catalog(make_conf(catalog_url))
    made.run(write_datastores)
    yield made
    made.close()


@pytest.fixture(scope="session")
def application(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, catalog: Catalog
) -> tuple[app.App, Wakes]:
    wakes = Wakes()
    # Some tests ask a lot, all for one project.
    rates = {f"http_{verb}_rate": RATE for verb in ("get", "post", "put", "delete", "mgmt_post")}
    return app.make(make_conf(catalog_url, **rates), catalog, Offers(), wakes), wakes


@pytest.fixture
def api(application: tuple[app.App, Wakes], catalog: Catalog) -> Api:
    """The application, and a project that has nothing yet."""
    made, wakes = application
    wakes.ids.clear()
    wakes.guest = None
    return Api(made, catalog, wakes)


@pytest.fixture
def active(api: Api) -> str:
    """An instance that is ready, with a volume of 2 GiB."""
    id_ = api.create(volume={"size": 2})
    api.make_active(id_)
    api.wakes.ids.clear()
    return id_


@pytest.fixture
def guest(api: Api) -> Guest:
    """What answers for every instance of the project."""
    api.wakes.guest = Guest(api.catalog, Sealer(bytes.fromhex(MASTER_KEY)))
    return api.wakes.guest


@pytest.fixture
def statements(catalog: Catalog) -> Iterator[list[str]]:
    """What the catalog's engines send to the server, but for COMMIT."""
    sent: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        sent.append(statement)

    engines = (catalog._reader, catalog._writer)
    for engine in engines:
        sqlalchemy.event.listen(engine, "before_cursor_execute", note)
    yield sent
    for engine in engines:
        sqlalchemy.event.remove(engine, "before_cursor_execute", note)
