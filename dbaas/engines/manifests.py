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


MANIFESTS: Mapping[str, Manifest] = {
    "mariadb": Manifest("dbaas.engines.mariadb.engine:MariaDB", ("11.8", "10.11")),
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


def load(name: str, version: str, places: Places) -> Engine:
    """Return the driver of this engine, as `check`; only then is what it needs imported."""
    known = check(name, version)
    module, driver = MANIFESTS[name].driver.split(":")
    return cast(Engine, getattr(importlib.import_module(module), driver)(known, places))
