"""Chooses the infrastructure that the operator named: an entry point of `dbaas.clouds`."""

from typing import Any

from oslo_config import cfg
from stevedore.driver import DriverManager
from stevedore.exception import NoMatches

from dbaas.cloud.base import Cloud
from dbaas.contract import errors

GROUP = "DEFAULT"
OPTS = [
    cfg.StrOpt(
        "cloud",
        default="local",
        help="Where instances are built: 'local' is this one Linux host. Do not change it while "
        "instances exist.",
    ),
]


def load(conf: cfg.ConfigOpts) -> Cloud:
    """Return the cloud that `conf` names; raise `Invalid` with the names that there are."""
    try:
        manager = DriverManager[Any]("dbaas.clouds", conf.cloud)
    except NoMatches as error:
        raise errors.Invalid(f"[DEFAULT] cloud: there is no '{conf.cloud}'") from error
    made: Cloud = manager.driver(conf)
    return made
