"""What a create was at for how long, and how much of that is ours rather than the cloud's."""

from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from dbaas.contract.operations import LedgerKind, object_name
from tests.openstack.deployment import TASK_MANAGER, Deployment


@dataclass(frozen=True)
class Spent:
    """What all task managers did so far, in seconds."""

    working: float
    """On steps of creates, with the calls of the cloud in them."""
    calling: float

    @classmethod
    def now(cls, deployment: Deployment) -> "Spent":
        shown = [
            deployment.stack.figures(name)
            for name in deployment.stack.plan.metrics
            if name.startswith(TASK_MANAGER)
        ]
        return cls(
            sum(
                seconds
                for one in shown
                for (kind, _), seconds in one.get("dbaas_step_seconds_sum", {}).items()
                if kind == "create_instance"
            ),
            sum(sum(one.get("dbaas_cloud_seconds_sum", {}).values()) for one in shown),
        )


@dataclass(frozen=True)
class Phases:
    """Seconds by step, and what of them is ours."""

    steps: dict[str, float]
    working: float
    """Of our own processes, without the cloud's answers."""
    between: float
    """Nobody worked on it, though a step was done."""
    noticing: float
    """The server ran for so long before we saw it."""

    @property
    def ours(self) -> float:
        return self.working + self.between + self.noticing

    def __str__(self) -> str:
        listed = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in self.steps.items())
        return (
            f"{listed}; ours of it {self.ours:.2f} s: {self.working:.2f} s of work, "
            f"{self.between:.2f} s between steps, {self.noticing:.2f} s until a server was seen"
        )


def of_create(deployment: Deployment, instance: str, before: Spent) -> Phases:
    """Return the phases of the only create that there was since `before`."""
    now = Spent.now(deployment)
    rows = deployment.stack.sql(
        "SELECT s.name, s.started_at, s.finished_at FROM operation_steps s JOIN operations o"
        f" ON o.id = s.operation_id WHERE o.instance_id = '{instance}'"
        " AND o.kind = 'create_instance' ORDER BY s.n"
    )
    steps = {row["name"]: seconds(row["started_at"], row["finished_at"]) for row in rows}
    pauses = [seconds(one["finished_at"], next_["started_at"]) for one, next_ in pairwise(rows)]
    booted = next(row["finished_at"] for row in rows if row["name"] == "boot_server")
    return Phases(
        steps,
        (now.working - before.working) - (now.calling - before.calling),
        sum(pauses),
        seconds(_launched(deployment, instance), booted),
    )


def seconds(sooner: datetime, later: datetime) -> float:
    return (later - sooner).total_seconds()


def _launched(deployment: Deployment, instance: str) -> datetime:
    """Return when Nova says that the server ran, which the box's clock is ours for."""
    name = object_name(instance, LedgerKind.SERVER, 1)
    found = deployment.ask("compute", f"/servers/detail?all_tenants=1&name={name}")["servers"]
    server: dict[str, Any] = found[0]
    return datetime.fromisoformat(server["OS-SRV-USG:launched_at"])
