"""The stack's own RabbitMQ: two vhosts, one user, and nothing that listens beyond its place.

The control plane reaches it on 127.0.0.1, guests by TLS on the bridge's address. Erlang's port
mapper is a program of the stack too, so that it does not outlive it: a node that finds none would
start one as a daemon.
"""

import base64
import hashlib
import http.client
import json
import secrets
from contextlib import suppress
from ipaddress import IPv4Address
from pathlib import Path

from dbaas.common import certificates
from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.host import commands, files
from dbaas.manage.stack import accounts, credentials
from dbaas.manage.stack.credentials import BROKER_USER, Credentials
from dbaas.manage.stack.plan import Plan
from dbaas.manage.stack.programs import Program

NAMES, BROKER = "names", "broker"
CONTROL_VHOST, GUEST_VHOST = "ctl", "guest"

LARGEST_MESSAGE = 1 << 20
"""Bytes. A memory alarm would block both vhosts, so what a guest can send is bounded."""

_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_TOOL = "/usr/lib/rabbitmq/bin/rabbitmqctl"
_PERMISSIONS = {"configure": ".*", "write": ".*", "read": ".*"}


def configure(plan: Plan, known: Credentials) -> None:
    """Write all that the broker reads; the same again when it runs already."""
    account = accounts.for_broker(plan.directory)
    account.make_directory(plan.broker)
    contents = {
        "rabbitmq.conf": _settings(plan),
        "definitions.json": json.dumps(_definitions(known.broker)),
        "enabled_plugins": "[rabbitmq_management].\n",
        # Erlang's own resolver, so that nothing depends on the names which the host knows.
        "inetrc": '{lookup, [file]}.\n{host, {127,0,0,1}, ["localhost"]}.\n',
        "ca.crt": credentials.authority(plan).cert_pem,
    }
    for name, content in contents.items():
        files.write(plan.broker / name, content)
    cookie = plan.broker / ".erlang.cookie"
    if not cookie.exists():
        files.write(cookie, secrets.token_hex(16), mode=0o400)
    _ensure_certificate(plan)
    for path in plan.broker.iterdir():
        account.own(path)


def programs(plan: Plan) -> list[Program]:
    account = accounts.for_broker(plan.directory)
    names = ["epmd", "-address", "127.0.0.1", "-port", str(plan.ports.names)]
    environment = _environment(plan)
    return [
        Program(NAMES, tuple(account.command(names)), plan.broker, environment),
        Program(BROKER, tuple(account.command([_SERVER])), plan.broker, environment),
    ]


def is_ready(plan: Plan, known: Credentials) -> bool:
    """Tell whether both listeners take connections; the broker opens them when all else is done."""
    return all(
        _get(plan, known, f"/api/health/checks/port-listener/{port}")
        for port in (plan.ports.broker, plan.ports.guests)
    )


def control(plan: Plan, *arguments: str, timeout: float = 60.0) -> str:
    """Run rabbitmqctl on this stack's broker and return what it prints."""
    command = accounts.for_broker(plan.directory).command([_TOOL, *arguments])
    return commands.run(command, timeout=timeout, env=_environment(plan))


def shorten_stop(plan: Plan) -> None:
    """Make the SIGTERM that follows take one second instead of six.

    RabbitMQ 3.10's statistics handler asks, while it is stopped, the process that is stopping it,
    and is killed after five seconds; removed beforehand it does not. Without an answer nothing is
    lost but these seconds.
    """
    handler = "gen_event delete_handler [rabbit_event, rabbit_mgmt_db_handler, []]"
    account = accounts.for_broker(plan.directory)
    command = account.command(["erl_call", "-sname", _node(plan), "-a", handler])
    with suppress(errors.Error):
        commands.run(command, timeout=5, env=_environment(plan))


def _node(plan: Plan) -> str:
    return f"rabbit-{plan.id}@localhost"


def _settings(plan: Plan) -> str:
    home = plan.broker
    return f"""\
listeners.tcp.1 = 127.0.0.1:{plan.ports.broker}
listeners.ssl.1 = {plan.bridge_address}:{plan.ports.guests}
ssl_options.cacertfile = {home / "ca.crt"}
ssl_options.certfile = {home / "server.crt"}
ssl_options.keyfile = {home / "server.key"}
ssl_options.verify = verify_none
ssl_options.versions.1 = tlsv1.3
ssl_options.versions.2 = tlsv1.2
management.tcp.ip = 127.0.0.1
management.tcp.port = {plan.ports.management}
management.rates_mode = none
load_definitions = {home / "definitions.json"}
max_message_size = {LARGEST_MESSAGE}
log.console = true
log.console.level = info
log.file = false
"""


def _definitions(password: Secret) -> dict[str, object]:
    """Return the objects that must be there; with these, RabbitMQ makes no guest/guest."""
    vhosts = (CONTROL_VHOST, GUEST_VHOST)
    return {
        "users": [
            {
                "name": BROKER_USER,
                "password_hash": _hash(password),
                "hashing_algorithm": "rabbit_password_hashing_sha256",
                "tags": "administrator",
            }
        ],
        "vhosts": [{"name": name} for name in vhosts],
        "permissions": [{"user": BROKER_USER, "vhost": name, **_PERMISSIONS} for name in vhosts],
    }


def _hash(password: Secret) -> str:
    """Return RabbitMQ's salted hash (rabbitmq.com/docs/passwords); the salt is of the password.

    So the definitions stay the same from start to start.
    """
    salt = hashlib.sha256(b"salt" + password.reveal().encode()).digest()[:4]
    return base64.b64encode(
        salt + hashlib.sha256(salt + password.reveal().encode()).digest()
    ).decode()


def _ensure_certificate(plan: Plan) -> None:
    certificate = plan.broker / "server.crt"
    if not certificate.exists():
        address: IPv4Address = plan.bridge_address
        made = certificates.issue(
            credentials.authority(plan),
            "dbaas broker",
            [str(address)],
            [],
            credentials.BROKER_CERTIFICATE_DAYS,
        )
        files.write(plan.broker / "server.key", made.key_pem.reveal(), mode=credentials.PRIVATE)
        files.write(certificate, made.cert_pem)


def _environment(plan: Plan) -> dict[str, str]:
    home: Path = plan.broker
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        # The start script becomes the server, instead of waiting for it; it does so for systemd.
        "RUNNING_UNDER_SYSTEMD": "true",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(plan.ports.names),
        "ERL_INETRC": str(home / "inetrc"),
        "RABBITMQ_NODENAME": _node(plan),
        "RABBITMQ_DIST_PORT": str(plan.ports.distribution),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "log"),
        # Its schedulers do not spin while idle: the host has other work.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none "
        "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def _get(plan: Plan, known: Credentials, path: str) -> bool:
    """Tell whether the management API answers this with 200."""
    token = base64.b64encode(f"{BROKER_USER}:{known.broker.reveal()}".encode()).decode()
    connection = http.client.HTTPConnection("127.0.0.1", plan.ports.management, timeout=5)
    try:
        connection.request("GET", path, headers={"Authorization": f"Basic {token}"})
        return connection.getresponse().status == http.client.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
