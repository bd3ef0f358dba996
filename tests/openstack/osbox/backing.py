"""RabbitMQ, which carries the services' messages, and memcached, which remembers tokens."""

import shutil
import socket

from tests.openstack.osbox import place, shared
from tests.openstack.osbox.accounts import PASSWORD
from tests.openstack.osbox.addresses import LOOPBACK
from tests.openstack.osbox.service import ANSWER_SECONDS, EAGER, Service, listens, service

QUEUE_PORT, MEMCACHED_PORT = 5672, 11211

_SERVER = "/usr/lib/rabbitmq/bin/rabbitmq-server"
_SETTINGS = f"""\
listeners.tcp.1 = 0.0.0.0:{QUEUE_PORT}
default_user = openstack
default_pass = {PASSWORD}
default_user_tags.administrator = true
loopback_users.guest = true
vm_memory_high_watermark.absolute = 1GB
disk_free_limit.absolute = 50MB
log.console = true
log.console.level = warning
log.file = false
heartbeat = 60
"""


def configure() -> None:
    shared.write_text("rabbitmq/rabbitmq.conf", _SETTINGS)
    shared.write_text("rabbitmq/enabled_plugins", "[].\n")


def forget_queues() -> None:
    """Begin with no queue at all: nothing in them outlives the services."""
    shutil.rmtree(place.state("rabbitmq"))


def services() -> list[Service]:
    memcached = ("-u", "root", "-l", LOOPBACK, "-p", str(MEMCACHED_PORT), "-m", "64", "-t", "2")
    return [
        service("memcached", "memcached", *memcached, serves=lambda: listens(MEMCACHED_PORT)),
        service("rabbitmq", *EAGER, _SERVER, serves=_speaks, environment=_environment()),
    ]


def _speaks() -> bool:
    """Tell whether the broker begins to talk AMQP 0-9-1."""
    with socket.create_connection((LOOPBACK, QUEUE_PORT), ANSWER_SECONDS) as link:
        link.sendall(b"AMQP\x00\x00\x09\x01")
        return link.recv(8)[:1] == b"\x01"


def _environment() -> dict[str, str]:
    home = place.state("rabbitmq")
    settings = shared.settings("rabbitmq")
    return {
        "HOME": str(home),
        # The start script becomes the server, instead of waiting for it; it does so for systemd.
        "RUNNING_UNDER_SYSTEMD": "true",
        "RABBITMQ_NODENAME": "osbox@localhost",
        "RABBITMQ_MNESIA_BASE": str(home / "mnesia"),
        "RABBITMQ_LOG_BASE": str(place.HOME.logs),
        "RABBITMQ_LOGS": "-",
        "RABBITMQ_CONFIG_FILE": str(settings / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(settings / "enabled_plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "ERL_EPMD_ADDRESS": LOOPBACK,
        "RABBITMQ_DIST_PORT": "25672",
        # Its schedulers do not spin while idle: the host has other work.
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none "
        "-kernel inet_dist_use_interface {127,0,0,1}",
    }
