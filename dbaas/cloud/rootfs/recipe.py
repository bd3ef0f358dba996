"""Make a guest's root file system from a recipe in `images/`, once, and find it again.

A recipe is one or more folders, each of which may hold `packages` (a list), `essential.sh` (run
when the essential packages are there) and `customize.sh` (run when all are). Needs the standard
library only: it runs before there is a virtual environment.
"""

import hashlib
import os
import platform
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from dbaas.cloud.rootfs import aptsources
from dbaas.contract import errors
from dbaas.host import commands, files

IMAGES = Path(__file__).parents[3] / "images"

SUITE = "trixie"
"""The Debian release that guests run."""

OPTIONS = (
    "--mode=root",
    "--variant=minbase",
    "--format=directory",
    '--aptopt=APT::Install-Recommends "false"',
    '--aptopt=Acquire::Check-Valid-Until "false"',
    '--aptopt=Acquire::Retries "3"',
    "--dpkgopt=path-exclude=/usr/share/man/*",
    "--dpkgopt=path-exclude=/usr/share/doc/*",
    "--dpkgopt=path-exclude=/usr/share/locale/*",
    "--dpkgopt=force-unsafe-io",
)

CONTAINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
    "--mount-proc",
)
"""Runs the build so that its processes die with ours, and its mounts with them."""

UNATTENDED = {"DEBIAN_FRONTEND": "noninteractive", "INITRD": "No"}
"""Packages ask nothing, and a kernel's makes no initial file system: the recipe makes its own."""

BUILD_TIMEOUT = 3600.0
"""Seconds; it takes one minute on a good line."""

LOG_TAIL = 3000
"""Characters of the build's log that an error shows."""

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Recipe:
    """`name`: what it makes, as its directory's name begins."""

    name: str
    folders: tuple[Path, ...]
    extra: tuple[str, ...] = ()
    """Packages beside those that the folders list."""

    @property
    def packages(self) -> tuple[str, ...]:
        lists = [folder / "packages" for folder in self.folders]
        return (*(name for path in lists for name in listed(path.read_text())), *self.extra)

    def scripts(self, name: str) -> list[Path]:
        """Return the folders' scripts of this name, in the order in which they are run."""
        found = [folder / name for folder in self.folders]
        return [script for script in found if script.is_file()]

    def contents(self) -> Iterator[tuple[str, bytes]]:
        """Yield all that the result depends on, by name."""
        for folder in self.folders:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    yield str(path.relative_to(folder)), path.read_bytes()

    def digest(self) -> str:
        """Return what it hashes to: another file, option, suite or machine is another result."""
        total = hashlib.sha256(repr((SUITE, OPTIONS, platform.machine())).encode())
        for name, content in self.contents():
            total.update(f"{name} {len(content)}\n".encode() + content)
        total.update(" ".join(self.extra).encode())
        return total.hexdigest()[:16]


NAMESPACES = Recipe("rootfs", (IMAGES / "guest",))
"""For a guest made of namespaces: it has the kernel of its host."""

MACHINE = Recipe("machine", (IMAGES / "guest", IMAGES / "machine", IMAGES / "boot"))
"""For a virtual machine."""


def machine(extra: tuple[str, ...]) -> Recipe:
    """Return the recipe for a virtual machine with more packages."""
    return replace(MACHINE, extra=tuple(sorted(extra)))


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the host's cache directory, outside any checkout."""
    return Path(environment.get("XDG_CACHE_HOME") or "/var/cache") / "dbaas"


def listed(text: str) -> list[str]:
    """Return the names in a list of packages."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def location(cache: Path, recipe: Recipe) -> Path:
    """Return where the root file system of this recipe is, or will be."""
    return cache / f"{recipe.name}-{recipe.digest()}"


def ensure(cache: Path, recipe: Recipe, progress: Progress = lambda _: None) -> Path:
    """Return the root file system, made now if it is not there.

    It appears under its name when it is complete; two that want it at once make it once. Raise
    `Failed` with the end of the build's log.
    """
    root = location(cache, recipe)
    if root.is_dir():
        return root
    if os.geteuid() != 0:
        raise errors.Failed("making the guests' root file system needs root")
    cache.mkdir(parents=True, exist_ok=True)
    with files.lock(cache / f"{recipe.name}.lock"):
        if not root.is_dir():
            _build(recipe, root, progress)
    return root


def _build(recipe: Recipe, root: Path, progress: Progress) -> None:
    fresh = root.with_name(root.name + ".new")
    log = root.with_name(root.name + ".log")
    for stale in root.parent.glob(f"{recipe.name}-*.new"):  # of builds that were killed
        shutil.rmtree(stale)
    log.unlink(missing_ok=True)
    progress(f"making the guests' root file system, about a minute; log: {log}")
    started = time.monotonic()
    done = threading.Event()
    reporter = threading.Thread(target=_report, args=(log, done, started, progress), daemon=True)
    reporter.start()
    try:
        arguments = [*CONTAINED, *_arguments(recipe, fresh, log)]
        commands.run(arguments, timeout=BUILD_TIMEOUT, env=_environment())
    except errors.Error as error:
        said = log.read_text(errors="replace")[-LOG_TAIL:] if log.is_file() else ""
        shutil.rmtree(fresh, ignore_errors=True)
        raise errors.Failed(
            f"the guests' root file system could not be made: {error.text}\n{said}"
        ) from error
    finally:
        done.set()
        reporter.join()
    os.sync()  # dpkg was told not to
    fresh.rename(root)
    progress(f"made {root} in {time.monotonic() - started:.0f} s")


def _arguments(recipe: Recipe, target: Path, log: Path) -> list[str]:
    release = platform.freedesktop_os_release()
    source = aptsources.mirror(Path("/etc"), release.get("VERSION_CODENAME", ""))
    keyring = source.options.get("signed-by", "")
    if not keyring.startswith("/"):  # absent, or the key itself
        keyring = aptsources.DEBIAN_KEYRING
    return [
        "mmdebstrap",
        *OPTIONS,
        *_proxies(),
        f"--logfile={log}",
        *(f"--essential-hook={script}" for script in recipe.scripts("essential.sh")),
        *(f"--customize-hook={script}" for script in recipe.scripts("customize.sh")),
        f"--include={','.join(recipe.packages)}",
        SUITE,
        str(target),
        f"deb [signed-by={keyring}] {source.uri} {SUITE} main",
    ]


def _proxies() -> list[str]:
    """Return the proxies that the host's apt uses, as options for the build's."""
    settings = commands.run(["apt-config", "dump"], timeout=10)
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy")
    return [f"--aptopt={line}" for line in settings.splitlines() if line.startswith(wanted)]


def _environment() -> dict[str, str]:
    """Return what the build sees of this process's environment: the proxies, and little else."""
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", **UNATTENDED, **kept}


def _report(log: Path, done: threading.Event, started: float, progress: Progress) -> None:
    while not done.wait(10.0):
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        last = next((line for line in reversed(lines) if line.strip()), "")
        progress(f"  {time.monotonic() - started:3.0f} s  {last[:90]}")
