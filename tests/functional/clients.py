"""The clients that users have, as they are published, run as programs of their own.

Their environment is made on first use and kept outside the checkout, for each list of requirements
its own: their libraries are none of ours.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dbaas.cloud.rootfs import recipe
from dbaas.host import files
from tests.functional import place

HERE = Path(__file__).parent
REQUIREMENTS = HERE / "clients-requirements.txt"
INSTALL_SECONDS = 900
COMMAND_SECONDS = 120
AT_ONCE = 3
"""Clients that run side by side: each needs a second of one processor."""

T = TypeVar("T")


@dataclass(frozen=True)
class Ran:
    """How a client ended, and what it said."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.status == 0, self
        return json.loads(self.out)

    @property
    def complaint(self) -> str:
        """What it said instead of doing what it was told, in one line."""
        assert self.status != 0, self
        return " ".join(self.err.split())


@dataclass(frozen=True)
class Clients:
    """The clients of one user, whom `variables` describe as an openrc file does."""

    home: Path
    variables: Mapping[str, str]

    def openstack(self, *arguments: str) -> Ran:
        return self._run(str(self.home / "bin" / "openstack"), *arguments)

    def json(self, *arguments: str) -> Any:
        return self.openstack(*arguments, "-f", "json").json

    def python(self, script: Path) -> Ran:
        """Run a script that imports openstacksdk."""
        return self._run(str(self.home / "bin" / "python"), str(script))

    def _run(self, *command: str) -> Ran:
        done = subprocess.run(
            command,
            env={"PATH": os.environ["PATH"], "HOME": str(self.home), **self.variables},
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
        )
        return Ran(done.returncode, done.stdout, done.stderr)


def at_once(*calls: Callable[[], T]) -> list[T]:
    """Make these calls, some at a time; return what they give, in their order."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda call: call(), calls))


def environment(requirements: Path = REQUIREMENTS) -> Path:
    """Return the virtual environment with what is required; make it if it is not there."""
    cache = recipe.default_cache()
    name = requirements.stem.removesuffix("-requirements")
    wanted = f"{platform.python_version()}\n{requirements.read_text()}"
    home = cache / f"{name}-{hashlib.sha256(wanted.encode()).hexdigest()[:16]}"
    done = home / "complete"
    cache.mkdir(parents=True, exist_ok=True)
    with files.lock(cache / f"{name}.lock", timeout=INSTALL_SECONDS):
        if not done.exists():
            shutil.rmtree(home, ignore_errors=True)
            with place.inside(place.OUTSIDE):
                _install(home, requirements)
            done.touch()
    return home


def _install(home: Path, requirements: Path) -> None:
    pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "-r", str(requirements)]
    for command in ([sys.executable, "-m", "venv", str(home)], pip):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_SECONDS)
        assert ran.returncode == 0, ran.stdout + ran.stderr
