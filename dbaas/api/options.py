"""The options of the API: group `[api]`."""

from oslo_config import cfg

from dbaas.catalog import quotas

GROUP = "api"

OPTS: list[cfg.Opt] = [
    cfg.StrOpt("bind_host", default="0.0.0.0", help="Address that the API listens on."),  # noqa: S104 # a service for tenants
    cfg.PortOpt("bind_port", default=8779, help="TCP port that the API listens on."),
    cfg.IntOpt(
        "workers",
        default=1,
        min=1,
        max=256,
        help="Processes that serve requests. One serves some hundred requests a second: as many as "
        "the host has cores to spare for the API.",
    ),
    cfg.IntOpt(
        "threads",
        default=16,
        min=1,
        max=512,
        help="Requests that each worker serves at a time; more of them wait. Not more than "
        "[catalog] pool_size.",
    ),
    cfg.IntOpt(
        "graceful_timeout",
        default=30,
        min=1,
        help="Seconds that requests get to end when the API is told to stop.",
    ),
    cfg.FloatOpt(
        "drain",
        default=0.0,
        min=0.0,
        help="Seconds for which the API goes on serving when it is told to stop, while GET "
        "/healthcheck answers 503: so long a load balancer may take to notice. 0 where there is "
        "none.",
    ),
    cfg.StrOpt(
        "auth_strategy",
        default="keystone",
        choices=("keystone", "http_basic", "noauth"),
        help="How users prove who they are: by a Keystone token, by the name and password of "
        "[api] users_file, or not at all (noauth: for tests only, anybody is whoever he says).",
    ),
    cfg.StrOpt(
        "users_file",
        help="File of the users for auth_strategy=http_basic, one a line, as "
        "NAME:BCRYPT:PROJECT_ID:ROLE,ROLE. Read again when it changes.",
    ),
    cfg.StrOpt(
        "public_endpoint",
        help="URL that version discovery shows, where the API is behind a proxy; by default the "
        "one that the client used.",
    ),
    cfg.StrOpt(
        "healthcheck_disabling_file",
        help="While a file of this path exists, GET /healthcheck answers 503, so that a load "
        "balancer sends no more requests to this host.",
    ),
    cfg.StrOpt("region", default="RegionOne", help="Name of the region that instances are in."),
    cfg.StrOpt(
        "default_datastore",
        help="Name or id of the datastore of an instance whose request names none. Without it, a "
        "request must name one, unless there is but one.",
    ),
    cfg.IntOpt(
        "instances_page_size",
        default=20,
        min=1,
        max=1000,
        help="Instances, and operations, that one answer lists at most.",
    ),
    cfg.IntOpt(
        "backups_page_size",
        default=20,
        min=1,
        max=1000,
        help="Backups that one answer lists, unless the request says how many.",
    ),
    *(
        cfg.IntOpt(
            f"{plural}_page_size",
            default=20,
            min=1,
            max=1000,
            help=f"{plural.capitalize()} of an instance that one answer lists at most.",
        )
        for plural in ("databases", "users")
    ),
    cfg.IntOpt(
        "max_accepted_volume_size",
        default=10,
        min=1,
        help="Size in GiB of the largest volume that an instance may have.",
    ),
    *quotas.OPTS,
    *(
        cfg.IntOpt(
            f"http_{verb}_rate",
            default=200,
            min=1,
            help=f"{text} requests per minute and project, as GET /limits shows them.",
        )
        for verb, text in (
            ("get", "GET"),
            ("post", "POST"),
            ("put", "PUT"),
            ("delete", "DELETE"),
            ("mgmt_post", "Management POST"),
        )
    ),
    cfg.StrOpt(
        "rates_file",
        help="File in which the APIs of this host count requests together, on a file system that "
        "is in memory, as /run. Without it each service counts for its own workers only.",
    ),
    cfg.FloatOpt(
        "agent_heartbeat_expiry",
        default=90.0,
        min=1,
        help="Seconds without a heartbeat after which an instance's operating status is ERROR.",
    ),
]
