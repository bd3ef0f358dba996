"""schemathesis asks what the description allows, and what it does not, and checks the answers.

It runs against the application over a real catalog, with an engine in the place of the guests.
"""

import contextlib
import importlib
import pkgutil
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import bcrypt
import falcon.testing
import pytest
import schemathesis
from oslo_config import cfg
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema
from schemathesis.engine.recorder import ScenarioRecorder

from dbaas.api import app, described, options
from dbaas.catalog import tables, unit
from dbaas.catalog.unit import Catalog
from dbaas.common import config, sealing
from dbaas.common.sealing import Sealer
from dbaas.contract import messages
from dbaas.contract.messages import UserKey
from dbaas.contract.secret import Secret
from tests.catalog_server import CatalogServer
from tests.unit.api.conftest import MASTER_KEY, Api, Offers, Wakes, write_datastores
from tests.unit.api.engine import Guest

PROJECT = "tests"
Wsgi = Callable[[Any, Any], Iterable[bytes]]

EXAMPLES = 12
"""Of a kind, for each operation."""
SEED = 1

CHECKS: Mapping[str, object] = {
    # What is not served yet says so.
    "not_a_server_error": {"expected-statuses": ["2xx", "3xx", "4xx", "501"]},
    # No schema knows what flavors there are, what is busy, or how much the project has left.
    "positive_data_acceptance": {
        "expected-statuses": ["2xx", "400", "403", "404", "409", "413", "422", "501"]
    },
    # Too many items may be too many bytes first.
    "negative_data_rejection": {
        "expected-statuses": ["400", "401", "403", "404", "405", "406", "409", "413", "422", "501"]
    },
    # A method that a path does not have is 404, as clients are used to, and not 405.
    "unsupported_method": {"enabled": False},
    "allow_header_conformance": {"enabled": False},
    # It cannot send a request again to an application in this process: the last test here does.
    "ignored_auth": {"enabled": False},
}
"""All the others are made, too, as they are."""


@pytest.fixture(scope="module")
def make_conf(
    tmp_path_factory: pytest.TempPathFactory, catalog_server: CatalogServer
) -> Callable[[str], cfg.ConfigOpts]:
    """Give a function that makes the configuration of an `auth_strategy`."""
    home = tmp_path_factory.mktemp("openapi")
    Path(home, "key").write_text(MASTER_KEY)
    Path(home, "key").chmod(0o600)
    hashed = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()
    Path(home, "users").write_text(f"tester:{hashed}:{PROJECT}:member\n")
    rates = [f"http_{kind}_rate = 10000000" for kind in ("get", "post", "put", "delete")]
    lines = [
        *("[catalog]", f"connection = {catalog_server.fresh()}"),
        *("[secrets]", f"master_key_file = {home}/key"),
        *("[api]", f"users_file = {home}/users", *rates, "http_mgmt_post_rate = 10000000"),
        *("max_instances_per_tenant = -1", "max_volumes_per_tenant = -1"),
    ]

    def make(strategy: str) -> cfg.ConfigOpts:
        file = Path(home, f"{strategy}.conf")
        file.write_text("\n".join([*lines, f"auth_strategy = {strategy}"]))
        return config.load(["--config-file", str(file)], [options, unit, sealing])

    return make


@pytest.fixture(scope="module", autouse=True)
def import_everything() -> None:
    """Have schemathesis whole before its threads run: pytest rewrites what they would import, and
    two threads that parse at once are more than Python 3.11's parser bears (SystemError)."""
    for info in pkgutil.walk_packages(schemathesis.__path__, "schemathesis."):
        if not info.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(info.name)


@pytest.fixture(scope="module")
def api(make_conf: Callable[[str], cfg.ConfigOpts]) -> Iterator[Api]:
    """An application that takes anybody for whoever he says he is."""
    conf = make_conf("noauth")
    catalog = Catalog(conf)
    catalog.run(write_datastores)
    guest = Guest(catalog, Sealer(bytes.fromhex(MASTER_KEY)))
    guest.databases = {"shop": messages.DatabaseSpec("shop")}
    guest.users = {UserKey("app"): messages.UserSpec("app", Secret("old"), databases=("shop",))}
    wakes = Wakes(guest=guest)
    made = Api(app.make(conf, catalog, Offers(), wakes), catalog, wakes)
    made.project = PROJECT
    yield made
    catalog.close()


def for_admin(application: Wsgi, before: Callable[[], None] = lambda: None) -> Wsgi:
    """Return the application as an administrator meets it, `before` having been done each time."""

    def answer(environ: Any, start_response: Any) -> Iterable[bytes]:
        before()
        return application({**environ, "HTTP_X_ROLES": "admin,member"}, start_response)

    return answer


def ask(application: Wsgi, within: str, fixed: Mapping[str, str]) -> tuple[list[str], Counter[int]]:
    """Ask all operations whose path is like `within`; return what is wrong, and the statuses.

    `fixed` are the values of some of the paths' parameters.
    """
    settings = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "parameters": {f"path.{name}": value for name, value in fixed.items()},
            "checks": CHECKS,
            "generation": {"max-examples": EXAMPLES},
        }
    )
    schema = schemathesis.openapi.from_wsgi("/openapi.json", application, config=settings)
    wrong: list[str] = []
    statuses: Counter[int] = Counter()
    for event in from_schema(schema.include(path_regex=within)).execute():
        if isinstance(event, events.ScenarioFinished):
            wrong += _failures(event.recorder)
            for exchange in event.recorder.interactions.values():
                if exchange.response is not None:
                    statuses[exchange.response.status_code] += 1
        elif isinstance(event, events.NonFatalError | events.FatalError):
            wrong.append(str(event))
    return wrong, statuses


def _failures(recorder: ScenarioRecorder) -> Iterator[str]:
    for id_, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                failure = check.failure_info.failure
                case = recorder.cases[id_].value
                yield f"{failure.title}: {failure.message}\n{case.as_curl_command()}"


def test_the_whole_api_is_as_it_is_described(api: Api) -> None:
    wrong, statuses = ask(for_admin(api.app), ".*", {"project": PROJECT})
    assert not wrong, "\n\n".join(wrong)
    assert statuses[200] > 100, statuses
    assert statuses[400] > 500, statuses
    assert not any(status >= 500 and status != 501 for status in statuses), statuses


def test_so_it_is_for_an_instance_that_there_is(api: Api) -> None:
    id_ = api.create(volume={"size": 2})
    api.make_active(id_)

    def settle() -> None:
        """Make it ready again, whatever was done to it."""
        api.set_row(id_, status="ACTIVE", deleted_at=None)
        api.run(lambda unit: unit.execute(tables.instance_locks.delete()))

    known = {"project": PROJECT, "instance_id": id_}
    wrong, statuses = ask(for_admin(api.app, settle), "instances/{instance_id}", known)
    assert not wrong, "\n\n".join(wrong)
    assert statuses[200] + statuses[202] > 100, statuses


@pytest.mark.parametrize("header", [None, "Basic dGVzdGVyOndyb25n", "Bearer x"])
def test_everything_that_is_not_open_asks_who_one_is(
    make_conf: Callable[[str], cfg.ConfigOpts], api: Api, header: str | None
) -> None:
    application = app.make(make_conf("http_basic"), api.catalog, Offers(), Wakes())
    headers = {} if header is None else {"Authorization": header}
    for method, path, _ in described.everything():
        whole = path.format_map(defaultdict(lambda: "x", project=PROJECT))
        answer = falcon.testing.simulate_request(application, method, whole, headers=headers)
        if path.startswith(described.PROJECT):
            assert answer.status_code == 401, (method, path)
            assert answer.headers["www-authenticate"].startswith("Basic ")
        else:
            assert answer.status_code == 200, (method, path)
