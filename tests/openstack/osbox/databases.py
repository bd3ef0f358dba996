"""The services' tables: made once, kept as a template, and copied from it for every new cloud."""

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

from dbaas.host import commands, files
from tests.openstack.osbox import (
    cinder,
    glance,
    keystone,
    mariadb,
    neutron,
    nova,
    packages,
    place,
    shared,
)
from tests.openstack.osbox.place import HOME
from tests.openstack.osbox.tasks import Task

SCHEMAS = (
    *("keystone", "neutron", "cinder", "nova_api", "nova", "nova_cell0", "placement"),
    "glance",
)

_SECONDS = 600.0
_OF_PACKAGES = (
    *("keystone", "nova-common", "neutron-common", "cinder-common", "glance-common"),
    *("placement-common", "mariadb-server-core"),
)
"""When one of these changes, a template does not fit any more."""


def once(name: str, do: Callable[[], None]) -> None:
    """Do it unless it was done for this cloud before."""
    mark = place.state("done") / name
    if not mark.exists():
        do()
        mark.touch()


def schema_tasks() -> dict[str, Task]:
    """Return a task `schema NAME` for each, which follow `mariadb`, and `cells` of Nova."""
    made = {f"schema {name}": Task(_making(name), ("mariadb",)) for name in SCHEMAS}
    of_nova = ("schema nova_api", "schema nova", "schema nova_cell0")
    return made | {"cells": Task(lambda: once("cells", nova.make_cells), of_nova)}


def _making(name: str) -> Callable[[], None]:
    def make() -> None:
        commands.run(_command(name), timeout=_SECONDS, env=place.environment())

    return lambda: once(f"schema-{name}", make)


def _command(name: str) -> tuple[str, ...]:
    """Return the command that makes the tables of one database."""
    nova_manage = ("nova-manage", *shared.reading(nova.SETTINGS))
    to_cell0 = shared.reading(nova.CELL0_SETTINGS)
    return {
        "keystone": ("keystone-manage", *shared.reading(keystone.SETTINGS), "db_sync"),
        "neutron": (
            *("neutron-db-manage", *shared.reading(neutron.SETTINGS, neutron.ML2_SETTINGS)),
            *("upgrade", "heads"),
        ),
        "cinder": ("cinder-manage", *shared.reading(cinder.SETTINGS), "db", "sync"),
        "nova_api": (*nova_manage, "api_db", "sync"),
        "nova": (*nova_manage, "db", "sync", "--local_cell"),
        "nova_cell0": (*nova_manage, *to_cell0, "db", "sync", "--local_cell"),
        "placement": (
            *("placement-manage", *shared.reading(glance.PLACEMENT_SETTINGS)),
            *("db", "sync"),
        ),
        "glance": ("glance-manage", *shared.reading(glance.GLANCE_SETTINGS), "db_sync"),
    }[name]


def prepare() -> None:
    """Have a data directory: the one that is there, a copy of the template, or an empty one."""
    if mariadb.is_installed():
        return
    if has_template():
        shutil.rmtree(place.state("mysql"))
        commands.run(
            ["tar", "-I", "zstd", "-xSf", str(_template()), "-C", str(HOME.state)], timeout=_SECONDS
        )
    else:
        mariadb.install()


def has_template() -> bool:
    return _template().exists() and _key_file().exists() and _key_file().read_text() == _key()


def keep_template() -> None:
    """Keep what the databases hold now; MariaDB must be stopped."""
    fresh = _template().with_suffix(".new")
    commands.run(
        ["tar", "-I", "zstd -3 -T0", "-cSf", str(fresh), "-C", str(HOME.state), "mysql", "done"],
        timeout=_SECONDS,
    )
    fresh.rename(_template())
    files.write(_key_file(), _key())


def _template() -> Path:
    return HOME.directory / "template.tar.zst"


def _key_file() -> Path:
    return HOME.directory / "template.key"


def _key() -> str:
    recipe = "".join(Path(__file__).with_name(f"{name}.py").read_text() for name in _OF_MODULES)
    return hashlib.sha256((packages.versions(*_OF_PACKAGES) + recipe).encode()).hexdigest()


_OF_MODULES = ("databases", "mariadb", "tenants", "accounts", "addresses")
"""Modules of which the template is made."""
