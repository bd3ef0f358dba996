"""What the operator decides about guests in an OpenStack: the options of `[openstack]`."""

from dataclasses import dataclass

from oslo_config import cfg

from dbaas.cloud import reach
from dbaas.common import keystone

GROUP = "openstack"

_OURS: list[cfg.Opt] = [
    cfg.StrOpt(
        "deployment",
        default="dbaas",
        help="Name of this deployment, of which a cloud may have several: servers are tagged, and "
        "volumes and ports marked with it. Do not change it while guests exist.",
    ),
    cfg.StrOpt(
        "region_name", help="Region in which guests are built; empty: the only one that there is."
    ),
    cfg.StrOpt(
        "interface",
        default="internal",
        choices=["public", "internal", "admin"],
        help="Which of the cloud's endpoints are spoken to.",
    ),
    cfg.StrOpt(
        "management_network",
        default="",
        help="Id of the network on which every guest has a port and reaches the broker. Empty: it "
        "reaches the broker from the network of its tenant.",
    ),
    cfg.StrOpt(
        "default_network",
        default="",
        help="Id of the network of instances whose tenants name none. Empty: they have to.",
    ),
    cfg.StrOpt(
        "public_network",
        default="",
        help="Id of the external network whose floating addresses public instances get. Empty: "
        "there are no public instances.",
    ),
    cfg.StrOpt(
        "key_name",
        default="",
        help="Key pair of Nova's with which operators log in to guests. Empty: nobody does.",
    ),
    cfg.FloatOpt(
        "settle_time",
        default=30.0,
        min=0.0,
        help="Seconds within which an object may still appear though the answer to its creation "
        "was lost. It is created again only after that.",
    ),
    cfg.FloatOpt(
        "poll_interval",
        default=0.5,
        min=0.01,
        max=60.0,
        help="Seconds between two looks at what the cloud is still at, as a server that boots. All "
        "waiting operations share a look: a larger value spares the cloud little.",
    ),
    cfg.FloatOpt(
        "stuck_after",
        default=900.0,
        min=0.0,
        help="Seconds for which a volume that is to be deleted may be made, attached or detached "
        "without an end; then it is deleted by force. More than the cloud ever takes for that.",
    ),
    cfg.FloatOpt(
        "request_timeout",
        default=60.0,
        min=1.0,
        help="Seconds after which a service that has not answered counts as away.",
    ),
]

# For the sample alone: keystoneauth registers its own, as soon as it knows the `auth_type`.
OPTS: list[cfg.Opt] = [
    *_OURS,
    cfg.StrOpt("auth_type", help="How the service comes into Keystone: mostly password."),
    cfg.StrOpt("auth_url", help="URL of Keystone, with auth_type = password."),
    cfg.StrOpt("username", help="Name of the user who builds guests: the service's own."),
    cfg.StrOpt("password", secret=True, help="The password of that user."),
    cfg.StrOpt("user_domain_name", help="Name of the domain that the user is in."),
    cfg.StrOpt("project_name", help="Name of the project that owns all guests."),
    cfg.StrOpt("project_domain_name", help="Name of the domain that the project is in."),
    cfg.StrOpt("cafile", help="File with the certificates to trust, where the cloud needs one."),
    cfg.BoolOpt("insecure", default=False, help="Trust any certificate. For tests alone."),
]


@dataclass(frozen=True)
class Settings:
    """The options, without those about credentials."""

    deployment: str
    region_name: str | None
    interface: str
    management_network: str
    default_network: str
    engine_ports: tuple[int, ...]
    public_network: str
    key_name: str
    settle_time: float
    poll_interval: float
    stuck_after: float
    request_timeout: float


def register(conf: cfg.ConfigOpts) -> None:
    """Add the group's options: ours, and keystoneauth's for credentials and TLS."""
    keystone.register(conf, GROUP)
    conf.register_opts(_OURS, group=GROUP)


def from_conf(conf: cfg.ConfigOpts) -> Settings:
    """Return the settings, whose options are registered."""
    options = conf[GROUP]
    return Settings(
        deployment=options.deployment,
        region_name=options.region_name or None,
        interface=options.interface,
        management_network=options.management_network,
        default_network=options.default_network,
        engine_ports=reach.engine_ports(conf),
        public_network=options.public_network,
        key_name=options.key_name,
        settle_time=options.settle_time,
        poll_interval=options.poll_interval,
        stuck_after=options.stuck_after,
        request_timeout=options.request_timeout,
    )
