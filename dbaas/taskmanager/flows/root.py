"""The tenant as the engine's administrator: let in, and out again; the catalog remembers both."""

from dataclasses import dataclass

from dbaas.catalog import instances
from dbaas.contract.messages import RootPassword
from dbaas.contract.operations import Operation
from dbaas.contract.requests import DisableRoot, EnableRoot
from dbaas.contract.secret import Secret
from dbaas.taskmanager.flow import Flow, Step, Unreachable
from dbaas.taskmanager.toolbox import Toolbox

PATIENCE = 60.0
"""Seconds after which nobody waits any more for a password, which is told once."""


@dataclass
class Root:
    instance_id: str
    user_id: str
    password: Secret | None


def begin_enabling(op: Operation, request: EnableRoot) -> Root:
    return Root(op.instance_id, op.user_id, request.password)


def begin_disabling(op: Operation, _request: DisableRoot) -> Root:
    return Root(op.instance_id, op.user_id, None)


def let_root_in(op: Root, tools: Toolbox) -> None:
    if op.password is not None:
        tools.guest(op.instance_id).enable_root(RootPassword(op.password))
    tools.write(lambda unit: instances.root_enabled(unit, op.instance_id, op.user_id))


def keep_root_out(op: Root, tools: Toolbox) -> None:
    tools.guest(op.instance_id).disable_root()
    tools.write(lambda unit: instances.root_disabled(unit, op.instance_id))


ENABLE_ROOT = Flow(
    "enable_root",
    EnableRoot,
    Root,
    begin_enabling,
    (Step(let_root_in, deadline=PATIENCE),),
    deadline=PATIENCE,
    unreachable=Unreachable.GO_ON,
    moves_instance=False,
)

DISABLE_ROOT = Flow(
    "disable_root",
    DisableRoot,
    Root,
    begin_disabling,
    (Step(keep_root_out, deadline=PATIENCE),),
    deadline=PATIENCE,
    unreachable=Unreachable.GO_ON,
    moves_instance=False,
)
