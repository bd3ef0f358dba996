"""The stack's guests and their network, by way of the provider that this host allows."""

import os
from typing import Protocol

from dbaas.cloud.base import Cloud, Compute
from dbaas.cloud.local import settings as local
from dbaas.cloud.local.cloud import LocalCloud
from dbaas.cloud.loopback import settings as loopback
from dbaas.cloud.loopback import templates
from dbaas.cloud.loopback.cloud import LoopbackCloud
from dbaas.common import config
from dbaas.contract import errors
from dbaas.manage.stack.plan import Plan

IMAGE_SERIES = "11.8"
"""The MariaDB in the guests' root file system."""

WITHOUT_ROOT = """\
This stack runs without root, so instances are processes of yours beside each other:
  no isolation   each can read the others' files and connect to them; nothing limits memory or cpus
  no resize      neither of flavors nor of volumes: a volume is a directory
  no networks    instances are reached from this host only, by whoever is on it; access cannot be
                 restricted, there is no IPv6, and no fault in the network can be tried
  MariaDB        is this host's own, {series}
Run it as root to have all that."""


class Servers(Compute, Protocol):
    """Servers on this host, which have processes."""

    def pid(self, name: str) -> int:
        """Return its first process; raise `NotFound` when it does not run."""


class Provider(Cloud, Protocol):
    """What `up` and `down` do, beside what flows do."""

    @property
    def compute(self) -> Servers: ...

    def ensure_network(self) -> None: ...

    def teardown_network(self) -> None: ...

    def start_all(self) -> dict[str, str]: ...

    def stop_all(self) -> None: ...


def provider(plan: Plan) -> Provider:
    """Return the provider as the task managers have it, from the same configuration file."""
    arguments = ["--config-file", str(plan.configuration)]
    if plan.isolates:
        return LocalCloud(local.from_conf(config.load(arguments, [local])))
    return LoopbackCloud(loopback.from_conf(config.load(arguments, [loopback])))


def may_isolate() -> bool:
    return os.geteuid() == 0


def expect_rights(plan: Plan) -> None:
    """Raise `Forbidden` when the stack was made with other rights than we have now."""
    if plan.isolates and not may_isolate():
        raise errors.Forbidden(f"the stack in {plan.directory} needs root, which made it")
    if may_isolate() and not plan.isolates:
        raise errors.Forbidden(
            f"the stack in {plan.directory} was made without root: run it so, or remove it and "
            "make it anew"
        )


def series(plan: Plan) -> str:
    """Return the release series of MariaDB that guests have."""
    return IMAGE_SERIES if plan.isolates else templates.series()


def shortcomings(plan: Plan) -> str:
    """Return what is missing here, for people; empty when nothing is."""
    return "" if plan.isolates else WITHOUT_ROOT.format(series=templates.series())
