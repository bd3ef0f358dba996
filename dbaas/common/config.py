"""Reads the configuration files and registers every module's options.

A module with options declares `GROUP` and `OPTS`; they are found by walking the packages of the
control plane, so that an option has one place: next to its use.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from types import ModuleType

from oslo_config import cfg

import dbaas

CONTROL_PACKAGES = (
    *("common", "rpc", "catalog", "cloud", "strategies.grants"),
    *("api", "taskmanager", "conductor", "depot"),
)
"""Where options are looked for: the guest agent has none, it is told everything."""


def option_modules() -> Iterator[ModuleType]:
    """Yield every module that declares `GROUP` and `OPTS`."""
    for package in CONTROL_PACKAGES:
        root = importlib.import_module(f"{dbaas.__name__}.{package}")
        for info in pkgutil.walk_packages(root.__path__, f"{root.__name__}."):
            module = importlib.import_module(info.name)
            if hasattr(module, "OPTS"):
                yield module


def load(
    arguments: Sequence[str],
    modules: Sequence[ModuleType],
    before: Callable[[cfg.ConfigOpts], None] = lambda _conf: None,
) -> cfg.ConfigOpts:
    """Return the configuration of one process, which uses the options of `modules`.

    `arguments` may name files with `--config-file`; without any, the usual places are read.
    `before` registers the options of libraries. Raises `cfg.Error` for a file that is missing or an
    option that is wrong.
    """
    conf = cfg.ConfigOpts()
    before(conf)
    for module in modules:
        conf.register_opts(module.OPTS, group=None if module.GROUP == "DEFAULT" else module.GROUP)
    conf(list(arguments), project="dbaas")
    return conf
