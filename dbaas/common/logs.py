"""Sets up logging: oslo.log, as text or JSON lines, with request ids from the API to the guest."""

import logging

from oslo_config import cfg
from oslo_log import log
from oslo_log.formatters import JSONFormatter

GROUP = "DEFAULT"
OPTS = [
    cfg.BoolOpt(
        "log_json",
        default=False,
        help="Write each log line as one JSON object, for a log collector. The other log options "
        "are those of oslo.log.",
    ),
]

_QUIET = ("amqp", "kombu", "oslo.messaging", "oslo_messaging", "urllib3", "stevedore", "alembic")


def register(conf: cfg.ConfigOpts) -> None:
    """Register oslo.log's own options: before the configuration is read."""
    log.register_options(conf)


def setup(conf: cfg.ConfigOpts, service: str) -> None:
    """Begin to log as `service`."""
    log.set_defaults(
        logging_context_format_string=(
            "%(asctime)s.%(msecs)03d %(process)d %(levelname)s %(name)s "
            "[%(global_request_id)s %(request_id)s] %(instance)s%(message)s"
        ),
    )
    log.setup(conf, f"dbaas-{service}")
    if conf.log_json:
        for handler in logging.getLogger().handlers:
            handler.setFormatter(JSONFormatter())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
