"""Chooses the storages that the operator named: entry points of `dbaas.strategies.grants`."""

from collections.abc import Mapping

from oslo_config import cfg

from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.strategies import registry
from dbaas.strategies.grants.base import Vault

GROUP = "backups"
OPTS = [
    cfg.StrOpt(
        "storage",
        default="local",
        help="Where backups go that are ordered without a storage_driver: 'local' is a directory, "
        "'swift' and 's3' are what their names say. The options of each are in storage_NAME.",
    ),
    cfg.ListOpt(
        "more_storages",
        default=[],
        help="Other storages that backups may be ordered for, or are in from earlier: of a storage "
        "that is not named any more, backups can be neither restored nor deleted.",
    ),
    cfg.StrOpt(
        "container",
        default="database_backups",
        help="Container of backups that are ordered without one, and whose project has no backup "
        "strategy.",
    ),
]


def load(conf: cfg.ConfigOpts, sealer: Sealer) -> Mapping[str, Vault]:
    """Return all storages that `conf` names, by name; that for new backups is the first.

    Nothing is asked of them yet. Raises `Invalid` naming an option that is wrong.
    """
    conf.register_opts(OPTS, group=GROUP)
    options = conf[GROUP]
    return {name: _made(name, conf, sealer) for name in (options.storage, *options.more_storages)}


def container(conf: cfg.ConfigOpts) -> str:
    """Return where backups go that name no container, and whose project has no strategy."""
    conf.register_opts(OPTS, group=GROUP)
    return str(conf[GROUP].container)


def _made(name: str, conf: cfg.ConfigOpts, sealer: Sealer) -> Vault:
    try:
        make = registry.load("grants", name)
    except errors.Unsupported as error:
        raise errors.Invalid(f"[{GROUP}] storage: {error.text}") from error
    made: Vault = make(conf, sealer)
    return made
