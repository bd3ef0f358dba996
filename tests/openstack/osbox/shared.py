"""What the configuration files of OpenStack's services have in common."""

from collections.abc import Mapping
from pathlib import Path

from dbaas.host import files
from tests.openstack.osbox import accounts, addresses, place
from tests.openstack.osbox.accounts import PASSWORD
from tests.openstack.osbox.addresses import LOOPBACK

Section = Mapping[str, object]

QUEUES = f"rabbit://openstack:{PASSWORD}@{LOOPBACK}:5672/"
MEMCACHED = f"{LOOPBACK}:11211"
CACHE: Section = {
    "enabled": "true",
    "backend": "dogpile.cache.memcached",
    "memcache_servers": MEMCACHED,
}
SILENT: Section = {"driver": "noop"}
"""For notifications: nobody listens to them."""


def write(name: str, sections: Mapping[str, Section]) -> Path:
    """Write a configuration file and return where it is."""
    lines = []
    for section, options in sections.items():
        lines += [f"[{section}]", *(f"{key} = {value}" for key, value in options.items()), ""]
    return write_text(name, "\n".join(lines))


def write_text(name: str, text: str) -> Path:
    path = settings(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    files.write(path, text)
    return path


def settings(name: str) -> Path:
    return place.HOME.settings / name


def reading(*names: str) -> tuple[str, ...]:
    """Return the words of a command that make it read these configuration files."""
    return tuple(word for name in names for word in ("--config-file", str(settings(name))))


def database(name: str) -> str:
    return f"mysql+pymysql://osbox:{PASSWORD}@{LOOPBACK}/{name}?charset=utf8"


def locks() -> Section:
    return {"lock_path": place.state("locks")}


def login(user: str) -> dict[str, object]:
    """Return the options with which a service comes into Keystone."""
    return {
        "auth_url": addresses.login_url(),
        "auth_type": "password",
        "project_domain_name": accounts.DOMAIN,
        "user_domain_name": accounts.DOMAIN,
        "project_name": "service",
        "username": user,
        "password": PASSWORD,
    }


def tokens(user: str) -> dict[str, object]:
    """Return the options with which a service checks who asks."""
    return login(user) | {
        "www_authenticate_uri": addresses.login_url(addresses.GATEWAY),
        "memcached_servers": MEMCACHED,
        "region_name": addresses.REGION,
        "service_token_roles": "service",
        "service_token_roles_required": "true",
        "interface": "internal",
    }


def helper(*names: str) -> Section:
    """Return what starts the helper of oslo.privsep: not by sudo, since all here is root's."""
    return {"helper_command": " ".join(("privsep-helper", *reading(*names)))}
