"""What the operator decides about guests without root: the options of the group `[loopback]`."""

import ipaddress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from oslo_config import cfg

from dbaas.cloud import reach
from dbaas.cloud.base import Flavor
from dbaas.cloud.local.settings import DEFAULT_FLAVORS, flavor

GROUP = "loopback"

OPTS: list[cfg.Opt] = [
    cfg.StrOpt(
        "state_dir",
        default="/var/tmp/dbaas",  # noqa: S108  # a default that every user can write to
        sample_default="/var/tmp/dbaas",  # noqa: S108
        help="Directory of the guests: their files, volumes, addresses. At most 68 characters, "
        "since unix sockets lie within it.",
    ),
    cfg.StrOpt(
        "pool",
        default="127.77.0.0/24",
        help="Loopback addresses, within 127.0.0.0/8: each guest gets one, the first is for the "
        "broker. No other program of the host may use them.",
    ),
    cfg.StrOpt(
        "availability_zone",
        default="local",
        help="Name of the one availability zone that this host is.",
    ),
    cfg.ListOpt(
        "flavors",
        default=DEFAULT_FLAVORS,
        help="Sizes of guests, each as id:name:MiB of memory:cpus:GiB of disk. Engines are "
        "configured for that much memory; nothing holds them to it.",
    ),
    cfg.FloatOpt(
        "stop_timeout",
        default=60.0,
        min=1.0,
        max=3600.0,
        help="Seconds that a guest's engine gets to stop cleanly before it is killed.",
    ),
]

LONGEST_STATE_DIR = 68
"""Characters: a unix socket's path has at most 107 (unix(7)), and the engine's is in `root_dir`."""


@dataclass(frozen=True)
class Settings:
    """The options, checked. `command` is what guests of tests run instead of the agent."""

    state_dir: Path
    pool: ipaddress.IPv4Network
    flavors: tuple[Flavor, ...]
    engine_ports: tuple[int, ...] = (3306,)
    availability_zone: str = "local"
    stop_timeout: float = 60.0
    command: tuple[str, ...] = ()

    def root_dir(self, name: str) -> Path:
        """Return the directory that is a guest's root, by a short name."""
        return self.state_dir / "g" / sha256(name.encode()).hexdigest()[:10]


def from_conf(conf: cfg.ConfigOpts) -> Settings:
    """Return the settings; raise `ValueError` for one that cannot be."""
    conf.register_opts(OPTS, group=GROUP)
    options = conf[GROUP]
    state_dir = Path(options.state_dir).absolute()
    if len(str(state_dir)) > LONGEST_STATE_DIR:
        raise ValueError(f"state_dir {state_dir} has more than {LONGEST_STATE_DIR} characters")
    pool = ipaddress.IPv4Network(options.pool)
    if not pool.is_loopback:
        raise ValueError(f"pool {pool} is not within 127.0.0.0/8")
    return Settings(
        state_dir=state_dir,
        pool=pool,
        flavors=tuple(flavor(text) for text in options.flavors),
        engine_ports=reach.engine_ports(conf),
        availability_zone=options.availability_zone,
        stop_timeout=options.stop_timeout,
    )
