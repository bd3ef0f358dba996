"""Keystone: tokens by Fernet, valid for a day."""

import base64
import os

from dbaas.host import commands, files
from tests.openstack.osbox import accounts, addresses, place, shared
from tests.openstack.osbox.addresses import GATEWAY, LOOPBACK
from tests.openstack.osbox.service import EAGER, Service, answers, service, wsgi

SETTINGS = "keystone/keystone.conf"
TOKEN_SECONDS = 86400
PROGRAM = "/usr/bin/keystone-wsgi-public"
VARIABLE = "OS_KEYSTONE_CONFIG_FILES"
"""Environment variable that tells the program what to read."""

_BOOTSTRAP_SECONDS = 120.0


def configure() -> None:
    fernet, credential = (_keys(name) for name in ("fernet-keys", "credential-keys"))
    shared.write(
        SETTINGS,
        {
            "DEFAULT": {"transport_url": shared.QUEUES, "notification_format": "basic"},
            "database": {"connection": shared.database("keystone")},
            "token": {"provider": "fernet", "expiration": TOKEN_SECONDS},
            "fernet_tokens": {"key_repository": fernet},
            "fernet_receipts": {"key_repository": fernet},
            "credential": {"key_repository": credential},
            "identity": {"password_hash_rounds": 4},
            "cache": shared.CACHE,
            "oslo_messaging_notifications": shared.SILENT,
        },
    )


def _keys(name: str) -> str:
    """Have a directory with the two keys that Keystone wants: the next one and the first."""
    directory = shared.settings("keystone") / name
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    for number in "01":
        if not (directory / number).exists():
            key = base64.urlsafe_b64encode(os.urandom(32))
            files.write(directory / number, key, mode=0o600)
    return str(directory)


def services() -> list[Service]:
    port = addresses.KEYSTONE.port
    command = wsgi("keystone", port, PROGRAM, processes=2, threads=4)
    settings = {VARIABLE: str(shared.settings(SETTINGS))}
    return [
        service(
            "keystone",
            *(*EAGER, *command),
            serves=lambda: answers(port, "/v3"),
            environment=settings,
        )
    ]


def bootstrap() -> None:
    """Make the administrator, and the service's own place in its catalog."""
    command = [
        "keystone-manage", *shared.reading(SETTINGS), "bootstrap",
        "--bootstrap-password", accounts.ADMIN.password,
        "--bootstrap-region-id", addresses.REGION,
        "--bootstrap-public-url", addresses.login_url(GATEWAY),
        "--bootstrap-internal-url", addresses.login_url(LOOPBACK),
        "--bootstrap-admin-url", addresses.login_url(LOOPBACK),
    ]  # fmt: skip
    commands.run(command, timeout=_BOOTSTRAP_SECONDS, env=place.environment())
