"""Make the guests' root filesystem from the recipe in `images/`, once, and find it again.

`python -m dbaas.cloud.local.image` makes it when it is not there, and prints where it is.
"""

import argparse
import hashlib
import os
import platform
import shutil
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from dbaas.cloud.local import aptsources
from dbaas.contract import errors
from dbaas.host import commands, files

SUITE = "trixie"
"""The Debian release that guests run."""

RECIPE = Path(__file__).parents[3] / "images"

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

BUILD_TIMEOUT = 3600.0
"""Seconds; it takes one minute on a good line."""

LOG_TAIL = 3000
"""Characters of the build's log that an error shows."""

Progress = Callable[[str], None]


def default_cache(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the host's cache directory, outside any checkout."""
    return Path(environment.get("XDG_CACHE_HOME") or "/var/cache") / "dbaas"


def location(cache: Path) -> Path:
    """Return where the root filesystem of this checkout's recipe is, or will be."""
    return cache / f"rootfs-{digest(RECIPE)}"


def digest(recipe: Path) -> str:
    """Return what the recipe hashes to: another file, option, suite or machine is another image."""
    total = hashlib.sha256(repr((SUITE, OPTIONS, platform.machine())).encode())
    for path in sorted(recipe.rglob("*")):
        if path.is_file():
            content = path.read_bytes()
            total.update(f"{path.relative_to(recipe)} {len(content)}\n".encode() + content)
    return total.hexdigest()[:16]


def ensure(cache: Path, progress: Progress = lambda _: None) -> Path:
    """Return the root filesystem, made now if it is not there.

    It appears under its name when it is complete; two that want it at once make it once. Raise
    `Failed` with the end of the build's log.
    """
    root = location(cache)
    if root.is_dir():
        return root
    if os.geteuid() != 0:
        raise errors.Failed("making the guests' root filesystem needs root")
    cache.mkdir(parents=True, exist_ok=True)
    with files.lock(cache / "rootfs.lock"):
        if not root.is_dir():
            _build(root, progress)
    return root


def _build(root: Path, progress: Progress) -> None:
    fresh = root.with_name(root.name + ".new")
    log = root.with_name(root.name + ".log")
    for stale in root.parent.glob("rootfs-*.new"):  # of builds that were killed
        shutil.rmtree(stale)
    log.unlink(missing_ok=True)
    progress(f"making the guests' root filesystem, about a minute; log: {log}")
    started = time.monotonic()
    done = threading.Event()
    reporter = threading.Thread(target=_report, args=(log, done, started, progress), daemon=True)
    reporter.start()
    try:
        commands.run(_arguments(fresh, log), timeout=BUILD_TIMEOUT, env=_environment())
    except errors.Error as error:
        said = log.read_text(errors="replace")[-LOG_TAIL:] if log.is_file() else ""
        shutil.rmtree(fresh, ignore_errors=True)
        raise errors.Failed(
            f"the guests' root filesystem could not be made: {error.text}\n{said}"
        ) from error
    finally:
        done.set()
        reporter.join()
    os.sync()  # dpkg was told not to
    fresh.rename(root)
    progress(f"made {root} in {time.monotonic() - started:.0f} s")


def _arguments(target: Path, log: Path) -> list[str]:
    release = platform.freedesktop_os_release()
    source = aptsources.mirror(Path("/etc"), release.get("VERSION_CODENAME", ""))
    keyring = source.options.get("signed-by", "")
    if not keyring.startswith("/"):  # absent, or the key itself
        keyring = aptsources.DEBIAN_KEYRING
    return [
        *CONTAINED,
        "mmdebstrap",
        *OPTIONS,
        *_proxies(),
        f"--logfile={log}",
        f"--essential-hook={RECIPE / 'essential.sh'}",
        f"--customize-hook={RECIPE / 'customize.sh'}",
        f"--include={','.join(packages((RECIPE / 'packages').read_text()))}",
        SUITE,
        str(target),
        f"deb [signed-by={keyring}] {source.uri} {SUITE} main",
    ]


def _proxies() -> list[str]:
    """Return the proxies that the host's apt uses, as options for the build's."""
    settings = commands.run(["apt-config", "dump"], timeout=10)
    wanted = ("Acquire::http::Proxy", "Acquire::https::Proxy")
    return [f"--aptopt={line}" for line in settings.splitlines() if line.startswith(wanted)]


def packages(text: str) -> list[str]:
    """Return the names in the recipe's list of packages."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]


def _environment() -> dict[str, str]:
    """Return what the build sees of this process's environment: the proxies, and little else."""
    kept = {name: value for name, value in os.environ.items() if name.lower().endswith("_proxy")}
    path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive", **kept}


def _report(log: Path, done: threading.Event, started: float, progress: Progress) -> None:
    while not done.wait(10.0):
        lines = log.read_text(errors="replace").splitlines() if log.is_file() else []
        last = next((line for line in reversed(lines) if line.strip()), "")
        progress(f"  {time.monotonic() - started:3.0f} s  {last[:90]}")


def main() -> int:
    parser = argparse.ArgumentParser(prog="dbaas.cloud.local.image", description=__doc__)
    parser.add_argument("--cache", type=Path, default=default_cache())
    cache = parser.parse_args().cache
    try:
        root = ensure(cache, lambda line: _say(sys.stderr.fileno(), line))
    except errors.Error as error:
        _say(sys.stderr.fileno(), error.text)
        return 1
    _say(sys.stdout.fileno(), str(root))
    return 0


def _say(handle: int, line: str) -> None:
    os.write(handle, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
