"""Which instances' logs are archived without being asked, and where: group `[archives]`."""

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
]


def versions(conf: cfg.ConfigOpts) -> tuple[str, ...]:
    """Return the datastores, and versions of them, whose new instances have an archive."""
    conf.register_opts(OPTS, group=GROUP)
    return tuple(conf[GROUP].default_for)


def container(conf: cfg.ConfigOpts) -> str:
    conf.register_opts(OPTS, group=GROUP)
    return str(conf[GROUP].container)
