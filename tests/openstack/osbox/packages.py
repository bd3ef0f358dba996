"""Installs Debian's packages, and keeps the daemons in them from running outside the box."""

import os
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands, files
from tests.openstack.osbox import place

WANTED = (
    *("keystone", "glance-api", "placement-api"),
    *("nova-api", "nova-conductor", "nova-scheduler", "nova-compute-qemu"),
    *("neutron-server", "neutron-linuxbridge-agent", "neutron-dhcp-agent"),
    *("cinder-api", "cinder-scheduler", "cinder-volume"),
    *("swift-proxy", "swift-account", "swift-container", "swift-object"),
    *("python3-openstackclient", "python3-keystonemiddleware", "python3-pymysql"),
    *("python3-memcache", "rabbitmq-server", "mariadb-server-core", "mariadb-client-core"),
    *("memcached", "libvirt-daemon", "libvirt-daemon-driver-qemu", "libvirt-clients"),
    *("genisoimage", "dnsmasq-base", "dnsmasq-utils", "bridge-utils", "ipset", "ebtables"),
    *("iptables", "conntrack", "iputils-arping", "qemu-system-x86", "qemu-utils", "e2fsprogs"),
    *("zstd", "iproute2", "util-linux", "procps"),
)

RELEASE = "bookworm"

POLICY = Path("/usr/sbin/policy-rc.d")
"""While this refuses, no package starts its daemon (Debian policy 9.3.3.1)."""

_SECONDS = 1800.0
_PASSED_ON = ("http_proxy", "https_proxy", "no_proxy")
_UNITS = (".service", ".socket", ".timer")


def install() -> int:
    """Install what is missing; return how many packages were. Raise `Unsupported` elsewhere."""
    if platform.freedesktop_os_release().get("VERSION_CODENAME") != RELEASE:
        raise errors.Unsupported(f"the box is made of the packages of Debian 12, {RELEASE}")
    before = installed()
    missing = [name for name in WANTED if name not in before]
    if missing:
        with _daemons_forbidden():
            _apt_get("update")
            _apt_get(
                *("install", "--yes", "--no-install-recommends"),
                *("--option", "Dpkg::Options::=--force-confold", *missing),
            )
        _keep_from_boot(installed() - before)
    return len(missing)


def installed() -> set[str]:
    shown = commands.run(
        ["dpkg-query", "--show", "--showformat", "${db:Status-Status} ${Package}\n"], timeout=60.0
    )
    pairs = (line.split() for line in shown.splitlines())
    return {name for status, name in pairs if status == "installed"}


def versions(*names: str) -> str:
    """Return the versions of these packages, as a text that changes with any of them."""
    return commands.run(
        ["dpkg-query", "--show", "--showformat", "${Package} ${Version}\n", *names], timeout=60.0
    )


@contextmanager
def _daemons_forbidden() -> Iterator[None]:
    """A policy that is there already stays."""
    ours = not POLICY.exists()
    if ours:
        files.write(POLICY, "#!/bin/sh\nexit 101\n", mode=0o755)
    try:
        yield
    finally:
        if ours:
            POLICY.unlink()


def _apt_get(*words: str) -> None:
    passed_on = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    options = ("-qq", "--option", "DPkg::Lock::Timeout=900", "--option", "Acquire::Retries=3")
    commands.run(
        ["apt-get", *options, *words],
        timeout=_SECONDS,
        env=place.environment() | passed_on | {"DEBIAN_FRONTEND": "noninteractive"},
    )


def _keep_from_boot(new: set[str]) -> None:
    """Disable the units of new packages: the box starts its daemons itself."""
    if not new or shutil.which("systemctl") is None:
        return
    owned = commands.run(["dpkg-query", "--listfiles", *sorted(new)], timeout=60.0).splitlines()
    units = sorted({Path(path).name for path in owned if "/systemd/system/" in path})
    units = [unit for unit in units if unit.endswith(_UNITS) and "@" not in unit]
    if units:
        commands.run(["systemctl", "--quiet", "disable", *units], timeout=120.0)
