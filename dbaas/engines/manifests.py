"""What goes with what: one line per engine."""

import importlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from dbaas.contract import errors
from dbaas.engines.base import Engine, Places


@dataclass(frozen=True)
class Manifest:
    """An engine's driver, and the release series of its server that it knows."""

    driver: str
    series: tuple[str, ...]
    backups: tuple[str, ...] = ()
    """The strategies by which it is backed up and restored; the first one is used unless another
    is chosen."""
    archive: str = ""
    """The strategy by which its log is archived; empty: it cannot be."""


MANIFESTS: Mapping[str, Manifest] = {
    "mariadb": Manifest(
        "dbaas.engines.mariadb.engine:MariaDB",
        ("11.8", "10.11"),
        ("mariabackup", "mariadb_dump"),
        "binlog",
    ),
}


def series(version: str) -> str:
    """Return the release series of a version number, `11.8` of `11.8.6`."""
    match = re.match(r"\d+\.\d+(?=\.|$)", version)
    if match is None:
        raise errors.Invalid(f"{version[:32]!r} is not a version number")
    return match[0]


def check(name: str, version: str) -> str:
    """Return the release series of this version; raise `Unsupported` when nothing here drives it,
    and `Invalid` for what is no version number."""
    manifest = MANIFESTS.get(name)
    if manifest is None:
        raise errors.Unsupported(
            f"There is no engine {name[:32]!r}: there are {', '.join(sorted(MANIFESTS))}."
        )
    known = series(version)
    if known not in manifest.series:
        raise errors.Unsupported(
            f"This version of the service drives {name} {', '.join(manifest.series)}, "
            f"and no {known}."
        )
    return known


def check_backup(name: str, strategy: str) -> str:
    """Return the strategy, or the engine's default for an empty one; raise `Unsupported`."""
    known = MANIFESTS[name].backups if name in MANIFESTS else ()
    if not known:
        raise errors.Unsupported(f"There are no backups of {name[:32]!r}.")
    if strategy and strategy not in known:
        raise errors.Unsupported(
            f"{name} is backed up by {' or '.join(known)}, and not by {strategy[:32]!r}."
        )
    return strategy or known[0]


def archive(name: str) -> str:
    """Return the strategy by which what it logs is archived; raise `Unsupported`."""
    found = MANIFESTS[name].archive if name in MANIFESTS else ""
    if not found:
        raise errors.Unsupported(f"What {name[:32]!r} logs cannot be archived.")
    return found


def load(name: str, version: str, places: Places) -> Engine:
    """Return the driver of this engine, as `check`; only then is what it needs imported."""
    known = check(name, version)
    module, driver = MANIFESTS[name].driver.split(":")
    return cast(Engine, getattr(importlib.import_module(module), driver)(known, places))
