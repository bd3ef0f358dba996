"""An ordinary user with a clean clone: what works for him, and what he is told does not.

All of it is what he would type. His environment is made by pip, which takes most of the time.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.functional import place

CHECKOUT = Path(__file__).parents[2]
UID = 64001
"""A number that no package takes (Debian policy 9.2.2), where the tests are root's."""

SETUP_SECONDS = 900
SECONDS = 300


@dataclass(frozen=True)
class User:
    home: Path

    def run(self, *command: str, seconds: float = SECONDS, more: Mapping[str, str] = {}) -> str:
        """Run a command in the clone as this user; return what it says."""
        drop = [f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--no-new-privs"]
        done: subprocess.CompletedProcess[str] = subprocess.run(
            [*(["setpriv", *drop, "--"] if os.geteuid() == 0 else []), *command],
            cwd=self.home / "clone",
            env={**self._environment(), **more},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=seconds,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _environment(self) -> dict[str, str]:
        """As after a login, and the ways to a package index."""
        kept = {k: v for k, v in os.environ.items() if k.startswith("PIP_") or "proxy" in k.lower()}
        home = str(self.home)
        return {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": home, "COLUMNS": "200", **kept}

    def openrc(self) -> dict[str, str]:
        lines = (self.home / "clone/.run/openrc").read_text().splitlines()
        exports = [line.removeprefix("export ") for line in lines if line.startswith("export ")]
        return dict(line.split("=", 1) for line in exports)

    def processes(self) -> list[str]:
        """Return what runs of his clone."""
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            try:
                line = (process / "cmdline").read_bytes()
            except OSError:
                continue
            if f"{self.home}/".encode() in line:
                found.append(line.replace(b"\0", b" ").decode())
        return found


@pytest.fixture(scope="module")
def user() -> Iterator[User]:
    with tempfile.TemporaryDirectory(prefix="u-", dir="/tmp") as directory:
        made = User(Path(directory))
        made.home.chmod(0o755)
        _clone(made.home / "clone")
        if os.geteuid() == 0:
            commands = ["chown", "-R", f"{UID}:{UID}", directory]
            subprocess.run(commands, check=True)
        with place.inside(place.OUTSIDE):  # where packages are to be had
            made.run("make", "setup", seconds=SETUP_SECONDS)
        with _own_network():
            try:
                yield made
            finally:
                made.run("make", "clean")
        assert made.processes() == []


def test_the_demo_works_and_what_is_missing_is_said(user: User) -> None:
    said = user.run("make", "demo")
    for missing in ("no isolation", "no resize", "without root it is a directory"):
        assert missing in said
    assert "0 objects in the ledger, 0 backups, 0 archives' streams, 0 differences" in said


def test_an_instance_outlives_the_stack_and_keeps_its_rows(user: User) -> None:
    user.run("make", "up")
    openrc = user.openrc()
    dbaas = ".venv/bin/dbaas"
    user.run(dbaas, "instance", "create", "one", "--flavor", "1", "--database", "shop",
             "--user", "demo:secret", more=openrc)  # fmt: skip
    listed = user.run(dbaas, "instance", "list", more=openrc)
    address = next(word for word in listed.split() if word.startswith("127."))

    def sql(statement: str, *before: str) -> str:
        client = ["mariadb", "-N", "-h", address, "-u", "demo", "shop", "-e", statement]
        return user.run(*before, *client, more={"MYSQL_PWD": "secret"}).strip()

    sql("CREATE TABLE t (i INT); INSERT INTO t VALUES (1), (2)")
    user.run("make", "down")
    assert user.processes() == []
    user.run("make", "up")
    again = ("timeout", "30", "sh", "-c", 'until "$@" 2>/dev/null; do sleep 0.1; done', "again")
    assert sql("SELECT COUNT(*) FROM t", *again) == "2"


def _clone(target: Path) -> None:
    """Copy what is in version control, as it is here now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=CHECKOUT,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, target / name)


@contextmanager
def _own_network() -> Iterator[None]:
    """Where we may: a loopback interface that nobody else has anything at."""
    if os.geteuid() != 0:
        yield
        return
    with place.network_namespace() as namespace, place.inside(namespace):
        yield
