"""What an operator's commands work on: the deployment that a configuration file describes."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import typer
from oslo_config import cfg
from rich.console import Console

from dbaas.catalog import unit
from dbaas.catalog.unit import Catalog
from dbaas.cloud import drivers
from dbaas.common import config, sealing
from dbaas.contract import errors
from dbaas.rpc import broker

MODULES = (unit, sealing, drivers, broker)

WIDE = 240
"""Characters of a line for whoever is no terminal: a program needs whole ids."""

OUT = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
ERR = Console(stderr=True, highlight=False)


@dataclass(frozen=True)
class Deployment:
    conf: cfg.ConfigOpts
    catalog: Catalog


@contextmanager
def said() -> Iterator[None]:
    """Say what goes wrong in one line, and end with exit status 2."""
    try:
        yield
    except (errors.Error, cfg.Error) as error:
        text = error.text if isinstance(error, errors.Error) else str(error)
        ERR.print(f"dbaas-manage: {text}", soft_wrap=True)
        sys.exit(2)


@contextmanager
def deployment(context: typer.Context) -> Iterator[Deployment]:
    """Give the deployment; what goes wrong is said."""
    arguments = [f"--config-file={name}" for name in context.obj or ()]
    with said():
        conf = config.load(arguments, MODULES)
        catalog = Catalog(conf)
        yield Deployment(conf, catalog)
        catalog.close()
