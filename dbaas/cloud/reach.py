"""Which ports of guests can be connected to at all, whatever they are made of."""

from oslo_config import cfg, types

GROUP = "DEFAULT"
OPTS = [
    cfg.ListOpt(
        "engine_ports",
        item_type=types.Port(),
        default=[3306],
        help="Ports of guests that can be connected to at all, from where their tenants allow it. "
        "3306 is MariaDB's. Without root, an address whose ports another program has is given to "
        "no guest.",
    ),
]


def engine_ports(conf: cfg.ConfigOpts) -> tuple[int, ...]:
    conf.register_opts(OPTS)
    return tuple(conf.engine_ports)
