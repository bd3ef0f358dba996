"""What can happen to a guest and its host, made to happen: for tests."""

from enum import StrEnum
from pathlib import Path

from dbaas.cloud.local import bridge
from dbaas.cloud.local.cloud import LocalCloud
from dbaas.host import commands

TABLE = "inet dbaas_fault"
TIMEOUT = 10.0


class Way(StrEnum):
    TO_GUEST = "input"
    FROM_GUEST = "output"


def kill(cloud: LocalCloud, name: str) -> None:
    """Have its host die: silence on the network, then no process. `start_server` repairs it."""
    link_down(cloud, name)
    cloud.body.kill(name)


def freeze(cloud: LocalCloud, name: str) -> None:
    """Have its host hang: the kernel still accepts connections, and nobody answers them."""
    cloud.body.groups.freeze(name, frozen=True)


def thaw(cloud: LocalCloud, name: str) -> None:
    cloud.body.groups.freeze(name, frozen=False)


def link_down(cloud: LocalCloud, name: str) -> None:
    """Pull the plug of its first interface."""
    _link(cloud, name, "down")


def link_up(cloud: LocalCloud, name: str) -> None:
    _link(cloud, name, "up")


def drop(cloud: LocalCloud, name: str, way: Way) -> None:
    """Lose every packet that goes one way, but for the guest's own loopback."""
    link = "iifname" if way is Way.TO_GUEST else "oifname"
    hook = f"type filter hook {way} priority filter"
    _filter(cloud, name, f'table {TABLE} {{\nchain {way} {{\n{hook}\n{link} != "lo" drop\n}}\n}}\n')


def drop_nothing(cloud: LocalCloud, name: str) -> None:
    _filter(cloud, name, f"table {TABLE}\ndelete table {TABLE}\n")


def _link(cloud: LocalCloud, name: str, state: str) -> None:
    link = bridge.link_name(cloud.settings, name)
    commands.run(["ip", "link", "set", link, state], timeout=TIMEOUT)


def _filter(cloud: LocalCloud, name: str, rules: str) -> None:
    space = Path("/run/netns") / cloud.settings.link_name(name)
    within = ["nsenter", f"--net={space}"]
    commands.run([*within, "nft", "-f", "-"], input=rules.encode(), timeout=TIMEOUT)
