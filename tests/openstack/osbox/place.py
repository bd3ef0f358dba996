"""Where the box keeps everything, and the environment of its programs."""

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

from dbaas.cloud.rootfs import recipe

VARIABLE = "DBAAS_OSBOX_DIR"
"""Environment variable: the directory of the box, if not the host's cache."""

CHECKOUT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Home:
    """The directory that all of it is in."""

    directory: Path

    @property
    def settings(self) -> Path:
        """Configuration files: written anew by every `up`."""
        return self.directory / "etc"

    @property
    def state(self) -> Path:
        """What makes one cloud: databases, servers, volumes, objects."""
        return self.directory / "state"

    @property
    def logs(self) -> Path:
        return self.directory / "log"

    @property
    def cache(self) -> Path:
        """What every new cloud would find out again."""
        return self.directory / "cache"

    @property
    def run(self) -> Path:
        """Sockets, and the number of the first process."""
        return self.directory / "run"

    @property
    def supervisor_configuration(self) -> Path:
        return self.settings / "supervisord.conf"

    @property
    def supervisor_socket(self) -> Path:
        return self.run / "supervisord.sock"


_CHOSEN = os.environ.get(VARIABLE, "")
_USUAL = recipe.default_cache({}) / "osbox"
HOME = Home(Path(_CHOSEN).resolve() if _CHOSEN else recipe.default_cache() / "osbox")

_NUMBER = hashlib.sha256(bytes(HOME.directory)).hexdigest()[:6]
NAMESPACE = "osbox" if HOME.directory == _USUAL else f"osbox-{_NUMBER}"
"""Name of the network namespace: boxes in directories of their own can be up at the same time."""


def state(*parts: str) -> Path:
    """Return a directory for the state of a service; it is there."""
    path = HOME.state.joinpath(*parts)
    path.mkdir(parents=True, exist_ok=True)
    return path


def programs() -> Path:
    """Return a directory whose programs the box finds in /usr/sbin, before those of the host."""
    path = HOME.settings / "sbin"
    path.mkdir(parents=True, exist_ok=True)
    return path


def environment() -> dict[str, str]:
    """Return what programs of the box get: nothing of the caller's."""
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(state("home")),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
    }
