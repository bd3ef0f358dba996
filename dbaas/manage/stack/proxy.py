"""Puts HAProxy before several APIs, where there are several: it serves at the port of the one.

A request that no API has got yet is sent to another one. One that an API got and did not answer,
since it was killed, may have been accepted: it is repeated only if that does no harm, because it
reads or carries an `Idempotency-Key`.
"""

import shutil
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import files
from dbaas.manage.stack.plan import Plan
from dbaas.manage.stack.programs import Program

PROXY = "proxy"
INTERVAL = 0.2
"""Seconds between two questions for an API's health: one answer takes it out, or in again."""

_CHECK_SECONDS = 3
_ANSWER_SECONDS = 75
"""An API holds a request for a guest's answer for 15 s at most."""


def configure(plan: Plan) -> None:
    if plan.apis:
        files.write(_file(plan), _settings(plan))


def program(plan: Plan) -> Program:
    """Raise `Unsupported` where it is not installed: ordinary users do without."""
    executable = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/sbin:/bin")
    if executable is None:
        raise errors.Unsupported("several APIs need a proxy: install the package haproxy")
    return Program(PROXY, (executable, "-db", "-f", str(_file(plan))), plan.directory)


def _file(plan: Plan) -> Path:
    return plan.directory / "haproxy.cfg"


def _settings(plan: Plan) -> str:
    interval = f"{INTERVAL * 1000:.0f}ms"
    lines = [
        "defaults",
        "    mode http",
        "    timeout connect 2s",
        f"    timeout client {_ANSWER_SECONDS}s",
        f"    timeout server {_ANSWER_SECONDS}s",
        "    timeout queue 30s",
        f"    timeout check {_CHECK_SECONDS}s",  # a busy host is slow, not ill
        "    option httpchk GET /healthcheck",
        f"    default-server check inter {interval} fall 1 rise 1",
        # An API that ends closes its idle connections: none of them must be about to be used.
        "    option http-server-close",
        "    retries 3",
        "    option redispatch 1",
        "    retry-on conn-failure empty-response",
        "",
        "listen api",
        f"    bind 127.0.0.1:{plan.ports.api}",
        "    balance roundrobin",
        "    acl may_be_repeated method GET HEAD",
        "    acl may_be_repeated req.hdr(idempotency-key) -m found",
        "    http-request disable-l7-retry unless may_be_repeated",
        *(f"    server {name} 127.0.0.1:{port}" for name, port in plan.apis.items()),
    ]
    return "\n".join(lines) + "\n"
