"""The depot's process: it has the directory and one key, and runs as the directory's owner."""

import logging
import os
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

from oslo_config import cfg

from dbaas.common import config, logs, sealing, stopping
from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.depot.server import Bounds, Server
from dbaas.strategies.grants import leave, local
from dbaas.strategies.grants.shelves import ARRIVING, Shelves

LOG = logging.getLogger(__name__)

GROUP = "depot"
OPTS = [
    cfg.StrOpt(
        "bind_host",
        default="127.0.0.1",
        help="Address that the depot listens at: one that guests reach, and nobody else needs.",
    ),
    cfg.PortOpt("bind_port", default=8780, help="Port that the depot listens at."),
    cfg.IntOpt(
        "largest_object",
        default=256 << 20,
        min=1 << 20,
        help="Bytes that an object of a guest may have at most. Segments of backups have 32 MiB.",
    ),
    cfg.IntOpt(
        "reserve",
        default=1 << 30,
        min=0,
        help="Bytes that stay free on the directory's file system: what would not leave them is "
        "refused. Other things of the host may be on the same disk.",
    ),
    cfg.IntOpt("connections", default=256, min=1, max=4096, help="Connections at the same time."),
    cfg.IntOpt(
        "connections_of_address",
        default=32,
        min=1,
        max=4096,
        help="How many of them one address may have; a guest needs 4.",
    ),
    cfg.FloatOpt(
        "drain",
        default=10.0,
        min=0.0,
        help="Seconds that SIGTERM gives the requests in hand to finish. Guests repeat the others.",
    ),
]

MODULES = (sealing, logs, local, sys.modules[__name__])

STALE = 3600.0
"""Seconds after which what arrives is what a killed depot left: no leave lasts so long."""


def serve(conf: cfg.ConfigOpts) -> None:
    options = conf[GROUP]
    where = Shelves(Path(conf[local.GROUP].directory))
    key = leave.key(sealing.from_conf(conf))
    _become_owner(where)
    _make_ready(where)
    bounds = Bounds(
        largest_object=options.largest_object,
        reserve=options.reserve,
        connections=options.connections,
        per_address=options.connections_of_address,
    )
    server = _listen((options.bind_host, options.bind_port), where, key, bounds)
    stop = stopping.on_signals()
    threading.Thread(target=server.serve_forever, name="accept", daemon=True).start()
    LOG.info("Serving %s at %s:%d", where.root, options.bind_host, options.bind_port)
    stopping.wait(stop)
    server.shutdown()
    server.server_close()
    server.wait_until_idle(options.drain)


def _become_owner(where: Shelves) -> None:
    """Do as root nothing that guests can ask for: be who the directory belongs to."""
    try:
        owner = where.root.stat()
        if os.geteuid() == 0 and owner.st_uid != 0:
            os.setgroups([])
            os.setgid(owner.st_gid)
            os.setuid(owner.st_uid)
    except OSError as error:
        raise errors.Invalid(f"[{local.GROUP}] directory: {error}") from error


def _make_ready(where: Shelves) -> None:
    arriving = where.root / ARRIVING
    try:
        where.make(arriving)
        for path in arriving.iterdir():
            with suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > STALE:
                    path.unlink()
    except OSError as error:
        raise errors.Invalid(f"[{local.GROUP}] directory: {error}") from error


def _listen(address: tuple[str, int], where: Shelves, key: Secret, bounds: Bounds) -> Server:
    try:
        return Server(address, where, key, bounds)
    except OSError as error:
        raise errors.Unavailable(
            f"cannot listen at {address[0]}:{address[1]}: {error.strerror}"
        ) from error


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    try:
        conf = config.load(sys.argv[1:], MODULES, before=logs.register)
        logs.setup(conf, "depot")
        serve(conf)
    except (errors.Error, cfg.Error) as error:
        sys.exit(f"dbaas-depot cannot start: {error}")


if __name__ == "__main__":
    main()
