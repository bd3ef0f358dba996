"""Our services on a box, configured as docs/install-openstack.md says, from programs to datastore.

They have a broker and a catalog of their own, beside the box's: the ones of a single host's stack.
Guests reach the broker on the management network, where the box's host has an address.
"""

import json
import shutil
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pymysql
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session

from dbaas.common import killpoints
from dbaas.contract.operations import ENDED
from dbaas.host import files
from dbaas.manage.stack import accounts as stack_accounts
from dbaas.manage.stack import (
    broker,
    catalog,
    credentials,
    lifecycle,
    processes,
    settings,
    supervisor,
)
from dbaas.manage.stack import plan as plans
from dbaas.manage.stack.lifecycle import API, START_SECONDS
from dbaas.manage.stack.plan import Plan
from dbaas.manage.stack.supervisor import Supervisor
from tests.functional import clients
from tests.functional.clients import Clients
from tests.functional.stack import Answer, Stack
from tests.openstack import cloud
from tests.openstack.cloud import ADMIN
from tests.openstack.osbox import accounts, addresses
from tests.openstack.osbox.accounts import ALICE, DBAAS, User

MANAGEMENT, ALPHA = (
    next(network for network in addresses.NETWORKS if network.project == project)
    for project in ("service", "alpha")
)
"""Where guests reach the broker, and the network of the first tenant, alice."""

TASK_MANAGER, TASK_MANAGERS = "dbaas-taskmanager", 3
IMAGE_TAGS = ("tests", "mariadb")
GIB = 1 << 30

PATIENCE = 900.0
"""Seconds for an operation: a guest's processor is emulated, and boots in more than a minute."""

LEASE = 5
"""Seconds until another task manager goes on where one died."""


@dataclass(frozen=True)
class Deployment:
    """What tests know of it; requests go to the API as clients send them."""

    stack: Stack
    sessions: dict[str, Session] = field(default_factory=dict)

    @property
    def tokens(self) -> Path:
        """Where the kill points are armed."""
        return self.stack.directory / "kill-points"

    @property
    def programs(self) -> Supervisor:
        return Supervisor(self.stack.plan)

    def client(self, user: User = ALICE) -> Clients:
        """Return the published clients, as they come with an openrc file of this user's."""
        return Clients(clients.environment(), user.variables())

    def session(self, user: User = ALICE) -> Session:
        """Return a session of the box's Keystone; it has a token as soon as it needs one."""
        if user.name not in self.sessions:
            login = Password(
                auth_url=cloud.login_url(),
                username=user.name,
                password=user.password,
                project_name=user.project,
                user_domain_name=accounts.DOMAIN,
                project_domain_name=accounts.DOMAIN,
            )
            self.sessions[user.name] = Session(auth=login)
        return self.sessions[user.name]

    def request(
        self, method: str, path: str, body: object = None, *, user: User = ALICE, token: str = ""
    ) -> Answer:
        """Send a request on a path below the user's project, with his or with this token."""
        session = self.session(user)
        answer = session.request(
            f"http://127.0.0.1:{addresses.DATABASE.port}/v1.0/{session.get_project_id()}/{path}",
            method,
            json=body,
            headers={"X-Auth-Token": token or session.get_token()},
            authenticated=False,
            raise_exc=False,
        )
        is_json = "json" in answer.headers.get("content-type", "")
        shown = answer.json() if answer.text and is_json else answer.text
        return Answer(answer.status_code, answer.headers, shown)

    def create(self, name: str, **more: Any) -> str:
        """Ask for a small instance on the first tenant's network, as he; return its id.

        `more`: what else is in the order, or instead.
        """
        order = {
            "name": name,
            "flavorRef": self.flavor("db.small"),
            "volume": {"size": 1},
            "nics": [{"net-id": self.network_id(ALPHA.name)}],
            "datastore": {"type": "mariadb", "version": "11.8"},
        }
        answer = self.request("POST", "instances", {"instance": order | more})
        assert answer.status == HTTPStatus.OK, answer
        return str(answer.body["instance"]["id"])

    def delete(self, instance_id: str) -> None:
        answer = self.request("DELETE", f"instances/{instance_id}")
        assert answer.status == HTTPStatus.ACCEPTED, answer

    def flavor(self, name: str) -> str:
        """Return the id of the flavor of this name."""
        flavors = self.request("GET", "flavors").body["flavors"]
        return next(str(flavor["id"]) for flavor in flavors if flavor["name"] == name)

    def details(self, instance_id: str) -> dict[str, Any]:
        answer = self.request("GET", f"instances/{instance_id}")
        assert answer.status == HTTPStatus.OK, answer
        shown: dict[str, Any] = answer.body["instance"]
        return shown

    def operations(self, instance_id: str) -> list[dict[str, Any]]:
        """Return the instance's operations with their steps, the newest first."""
        listed = self.request("GET", f"operations?instance_id={instance_id}").body["operations"]
        return [self.request("GET", f"operations/{one['id']}").body["operation"] for one in listed]

    def wait_until_done(self, instance_id: str, seconds: float = PATIENCE) -> dict[str, Any]:
        """Return the instance's last operation as soon as it has ended, however it did."""
        deadline = time.monotonic() + seconds
        while True:
            last = self.operations(instance_id)[0]
            if last["state"] in (*ENDED, "parked"):
                return last
            assert time.monotonic() < deadline, f"{self.operations(instance_id)}"
            time.sleep(1)

    @contextmanager
    def connected(
        self, address: str, user: str, password: str, database: str, source: str = ALPHA.gateway
    ) -> Iterator["pymysql.cursors.Cursor"]:
        """Be connected as a tenant's user, from an address on his network, by verified TLS."""
        authority = credentials.authority_files(self.stack.plan)[0]
        link = pymysql.connect(
            host=address,
            user=user,
            password=password,
            database=database,
            autocommit=True,
            bind_address=source,
            ssl=ssl.create_default_context(cafile=str(authority)),
            connect_timeout=15,
            read_timeout=120,
        )
        with link, link.cursor() as cursor:
            yield cursor

    def listings(self) -> dict[str, set[str]]:
        """Return the ids of all that any project has in the box, by kind."""
        found = {}
        for service, path, key in _LISTED:
            found[key] = {item["id"] for item in self.ask(service, path)[key]}
        return found

    def network_id(self, name: str) -> str:
        """Return the id of the box's network of this name."""
        return str(self.ask("network", f"/v2.0/networks?name={name}")["networks"][0]["id"])

    def ask(self, service: str, path: str, method: str = "GET", body: object = None) -> Any:
        """Ask one of the box's services something, as its administrator."""
        where = {"service_type": service, "interface": "internal"}
        answer = self.session(ADMIN).request(path, method, json=body, endpoint_filter=where)
        return answer.json() if answer.text else None


_LISTED = (
    ("compute", "/servers?all_tenants=1", "servers"),
    ("block-storage", "/volumes?all_tenants=1", "volumes"),
    ("block-storage", "/snapshots?all_tenants=1", "snapshots"),
    ("network", "/v2.0/ports?device_owner=compute:nova&device_owner=", "ports"),
    ("network", "/v2.0/security-groups", "security_groups"),
)
"""Service, path, key of the answer. Of ports those of servers and nobody's: not those of DHCP."""


def until(happened: Callable[[], bool], seconds: float = 120.0) -> None:
    """Wait for what happens by itself, as when agents of the cloud have heard of a change."""
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(1)


@contextmanager
def running(image: Path) -> Iterator[Deployment]:
    """Have our services on the box's network, which the caller has entered, and guests' image."""
    assert not lifecycle.is_healthy(addresses.DATABASE.port), "others serve this box already"
    directory = Path(tempfile.mkdtemp(prefix="dbaas-"))
    directory.chmod(0o711)  # the broker and the catalog have accounts of their own
    _planned(directory)
    deployment = Deployment(Stack(directory))
    try:
        _start(deployment)
        tags = [word for tag in IMAGE_TAGS for word in ("--tag", tag)]
        uploaded = deployment.stack.manage("image", "upload", str(image), *tags).stdout.strip()
        yield deployment
        _delete_whatever_is_left(deployment)
        deployment.ask("image", f"/v2/images/{uploaded}", "DELETE")
    finally:
        _stop(deployment)
        shutil.rmtree(directory)


def _planned(directory: Path) -> Plan:
    """Choose what the stack of a single host chooses; where the broker and the API are is given."""
    plans.choose(directory, isolates=True)
    file = directory / "stack.json"
    known = json.loads(file.read_text())
    known["subnet"] = MANAGEMENT.cidr
    known["ports"]["api"] = addresses.DATABASE.port
    known["counts"] = {TASK_MANAGER: TASK_MANAGERS}
    file.write_text(json.dumps(known))
    changed = plans.load(directory)
    assert changed is not None
    return lifecycle.with_all_ports(changed)


def _start(deployment: Deployment) -> None:
    plan, programs = deployment.stack.plan, deployment.programs
    known = credentials.ensure(plan)
    plan.logs.mkdir()
    broker.configure(plan, known)
    catalog.configure(plan, known)
    catalog.install(plan)
    stack_accounts.for_depot(plan.directory).make_directory(plan.backups)
    settings.write(plan, known)
    options = _options(deployment, settings.options(plan, known))
    files.write(plan.configuration, settings.ini(options), mode=credentials.PRIVATE)
    supervisor.configure(plan, lifecycle.all_programs(plan))
    deployment.tokens.mkdir()
    armed = {killpoints.VARIABLE: str(deployment.tokens)}
    supervisor.start(plan, lifecycle.environment(plan) | armed)
    for name in lifecycle.BACKENDS:
        programs.start(name)
    programs.wait(catalog.CATALOG, lambda: catalog.is_ready(plan), START_SECONDS)
    deployment.stack.manage("db", "upgrade")
    tags = [word for tag in IMAGE_TAGS for word in ("--image-tag", tag)]
    deployment.stack.manage("datastore", "register", "mariadb", "11.8", *tags)
    programs.wait(broker.BROKER, lambda: broker.is_ready(plan, known), START_SECONDS)
    for name in programs.states():
        programs.start(name)
    programs.wait(API, lambda: lifecycle.is_healthy(plan.ports.api), START_SECONDS)


def _options(deployment: Deployment, usual: settings.Options) -> settings.Options:
    """Return the options that the document names, and beyond them what tests need."""
    login = {
        "auth_type": "password",
        "auth_url": cloud.login_url(),
        "username": DBAAS.name,
        "password": DBAAS.password,
        "user_domain_name": accounts.DOMAIN,
        "project_name": DBAAS.project,
        "project_domain_name": accounts.DOMAIN,
    }
    return {
        **{group: values for group, values in usual.items() if group != "local"},
        "DEFAULT": {**usual["DEFAULT"], "cloud": "openstack"},
        "openstack": {
            **login,
            "region_name": addresses.REGION,
            "deployment": f"dbaas-{deployment.stack.plan.id}",
            "management_network": deployment.network_id(MANAGEMENT.name),
        },
        "api": {**usual["api"], "auth_strategy": "keystone", "region": addresses.REGION},
        "keystone_authtoken": {**login, "www_authenticate_uri": cloud.login_url()},
        "backups": {"storage": "swift"},
        "storage_swift": {"auth_section": "openstack", "region_name": addresses.REGION},
        "taskmanager": {"lease": LEASE},
    }


def _delete_whatever_is_left(deployment: Deployment) -> None:
    """Go on from tests that failed: what they built stays in the box else."""
    listed = deployment.request("GET", "mgmt/instances?deleted=false", user=ADMIN)
    left = [instance["id"] for instance in listed.body["instances"]]
    for instance in left:
        stop = {"reset_status": {"force_delete": True}}
        deployment.request("POST", f"instances/{instance}/action", stop, user=ADMIN)
        deployment.delete(instance)
    for instance in left:
        deployment.wait_until_done(instance)


def _stop(deployment: Deployment) -> None:
    plan, programs = deployment.stack.plan, deployment.programs
    if programs.answers():
        programs.stop(list(programs.states()), lifecycle.STOP_SECONDS)
        programs.shut_down()
    processes.end(processes.of(plan), lifecycle.STOP_SECONDS)
