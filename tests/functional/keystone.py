"""A real Keystone for tests: from PyPI, with an SQLite file and Fernet tokens, on loopback.

Its environment is made on first use and kept outside the checkout, as that of the clients is.
"""

import getpass
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from tests.functional import clients

REQUIREMENTS = Path(__file__).parent / "keystone-requirements.txt"
PASSWORD = "everybody's"
TOKEN_SECONDS = 20
"""For which a token is good: a test waits for the end of one."""

_CONFIGURATION = """\
[DEFAULT]
log_file = {home}/keystone.log
[database]
connection = sqlite:///{home}/keystone.db
[token]
expiration = {seconds}
[fernet_tokens]
key_repository = {home}/fernet
[credential]
key_repository = {home}/credential
[identity]
password_hash_rounds = 4
"""

_SERVING = """\
bind = "127.0.0.1:{port}"
threads = 4
preload_app = True
control_socket_disable = True
wsgi_app = "keystone.wsgi.api:application"
"""


@dataclass(frozen=True)
class Keystone:
    """It answers at `url`; its roles, projects and users are ids by name."""

    url: str
    roles: dict[str, str] = field(default_factory=dict)
    projects: dict[str, str] = field(default_factory=dict)
    users: dict[str, str] = field(default_factory=dict)

    def token(self, user: str, project: str | None, **identity: Any) -> str:
        """Return a token of this user for this project, or for none."""
        methods = identity or {"password": {"user": _named(user) | {"password": PASSWORD}}}
        asked: dict[str, Any] = {"identity": {"methods": [*methods], **methods}}
        if project is not None:
            asked["scope"] = {"project": _named(project)}
        elif not identity:
            asked["scope"] = "unscoped"
        answer = requests.post(f"{self.url}/auth/tokens", json={"auth": asked}, timeout=30)
        assert answer.status_code == 201, answer.text
        return str(answer.headers["X-Subject-Token"])

    def revoke(self, token: str) -> None:
        self.call("DELETE", "/auth/tokens", headers={"X-Subject-Token": token})

    def add_project(self, name: str) -> None:
        made = self.call("POST", "/projects", {"project": {"name": name, "domain_id": "default"}})
        self.projects[name] = made["project"]["id"]

    def add_user(self, name: str, roles: Mapping[str, str]) -> None:
        """Make a user with a role in each of these projects."""
        user = {"name": name, "password": PASSWORD, "domain_id": "default"}
        id_ = self.users[name] = self.call("POST", "/users", {"user": user})["user"]["id"]
        for project, role in roles.items():
            at = f"/projects/{self.projects[project]}/users/{id_}/roles/{self.roles[role]}"
            self.call("PUT", at)

    def add_service(self, kind: str, url: str) -> None:
        service = {"type": kind, "name": kind}
        id_ = self.call("POST", "/services", {"service": service})["service"]["id"]
        for interface in ("public", "internal", "admin"):
            endpoint = {"service_id": id_, "interface": interface, "url": url}
            self.call("POST", "/endpoints", {"endpoint": endpoint | {"region_id": "RegionOne"}})

    def call(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        token: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Any:
        """Send a request, as the administrator unless with another token."""
        sent = {"X-Auth-Token": token or self.token("admin", "admin"), **(headers or {})}
        answer = requests.request(method, self.url + path, json=body, headers=sent, timeout=30)
        assert answer.ok, answer.text
        return answer.json() if answer.content else None


def _named(name: str) -> dict[str, Any]:
    return {"name": name, "domain": {"id": "default"}}


@contextmanager
def running(home: Path, port: int) -> Iterator[Keystone]:
    """Have a Keystone in this directory; it is stopped by its process id."""
    programs = clients.environment(REQUIREMENTS) / "bin"
    url = f"http://127.0.0.1:{port}/v3"
    configuration = home / "keystone.conf"
    configuration.write_text(_CONFIGURATION.format(home=home, seconds=TOKEN_SECONDS))
    for directory in ("fernet", "credential"):
        Path(home, directory).mkdir(mode=0o700)
    keys = ("--keystone-user", getpass.getuser(), "--keystone-group", getpass.getuser())
    public = ("--bootstrap-public-url", url, "--bootstrap-internal-url", url)
    names = ("--bootstrap-password", PASSWORD, "--bootstrap-region-id", "RegionOne")
    for command in (("db_sync",), ("fernet_setup", *keys), ("bootstrap", *names, *public)):
        manage = [str(programs / "keystone-manage"), "--config-file", str(configuration), *command]
        done = subprocess.run(manage, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stdout + done.stderr
    # Keystone reads the words of the command itself: gunicorn's are in the file that it looks for.
    Path(home, "gunicorn.conf.py").write_text(_SERVING.format(port=port))
    with (
        Path(home, "gunicorn.log").open("wb") as log,
        subprocess.Popen(
            [str(programs / "gunicorn")],
            env={"OS_KEYSTONE_CONFIG_FILES": str(configuration), "HOME": str(home)},
            cwd=home,
            stdout=log,
            stderr=log,
        ) as process,
    ):
        try:
            _wait_until_it_answers(url, process, home)
            made = Keystone(url)
            for kind, ids in (("roles", made.roles), ("projects", made.projects)):
                found = made.call("GET", f"/{kind}")[kind]
                ids.update({item["name"]: item["id"] for item in found})
            yield made
        finally:
            process.terminate()


def _wait_until_it_answers(url: str, process: subprocess.Popen[bytes], home: Path) -> None:
    for _ in range(600):
        try:
            if requests.get(url, timeout=20).ok:
                return
        except requests.RequestException:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise AssertionError(Path(home, "gunicorn.log").read_text()[-2000:])
