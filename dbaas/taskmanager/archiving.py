"""Which logs are archived unasked, where, and how often they are merged: group `[archives]`."""

from oslo_config import cfg

GROUP = "archives"
OPTS = [
    cfg.ListOpt(
        "default_for",
        default=[],
        help="Datastores, as mariadb, or versions of them, as mariadb/11.8, whose new instances "
        "archive what they log, so that any second since their first backup can be gone back to. "
        "The others do so when their owners switch it on.",
    ),
    cfg.StrOpt(
        "container",
        default="database_archives",
        help="Container of archives that begin now, in the storage where backups go.",
    ),
    cfg.FloatOpt(
        "compacted_every",
        default=3600.0,
        min=1.0,
        help="Seconds after which the small objects of an archive are merged again, and those go "
        "that no backup needs any more. What is merged more often is fetched and stored more "
        "often, what is merged less often takes longer to be restored from.",
    ),
]


def versions(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """Return the datastores, and versions of them, whose new instances have an archive."""
    conf.register_opts(OPTS, group=GROUP)
    return tuple(conf[GROUP].default_for)


def compacted_every(conf: cfg.ConfigOpts) -> float:
    """Return seconds."""
    conf.register_opts(OPTS, group=GROUP)
    return float(conf[GROUP].compacted_every)


def container(conf: cfg.ConfigOpts) -> str:
    conf.register_opts(OPTS, group=GROUP)
    return str(conf[GROUP].container)
