"""Another flavor for an instance's server, with a way back until it is confirmed."""

from dataclasses import dataclass

from dbaas.catalog import guests, instances
from dbaas.cloud.base import Server, ServerState
from dbaas.contract import errors
from dbaas.contract.messages import Health, Memory
from dbaas.contract.operations import LedgerKind, Operation
from dbaas.contract.requests import ResizeFlavor
from dbaas.contract.states import Event
from dbaas.taskmanager.flow import Flow, Step
from dbaas.taskmanager.steps import cloud
from dbaas.taskmanager.toolbox import Toolbox


@dataclass
class Resize:
    instance_id: str
    request: ResizeFlavor
    health: Health | None = None
    """Of the database server with its new memory: the cloud may have started it again."""


def begin(op: Operation, request: ResizeFlavor) -> Resize:
    return Resize(op.instance_id, request)


def resize_server(op: Resize, tools: Toolbox) -> None:
    """Ask for it once: a cloud that has no room for it goes back by itself, and says nothing."""
    server = _server(op, tools)
    if server.state is ServerState.ACTIVE and server.flavor != op.request.new_flavor:
        compute, flavor = tools.cloud.compute, op.request.new_flavor
        tools.effect(lambda: compute.resize_server(server.name, flavor))


def wait_until_resized(op: Resize, tools: Toolbox) -> None:
    _expect_flavor(_server(op, tools), op.request.new_flavor, tools)


def return_to_old_flavor(op: Resize, tools: Toolbox) -> None:
    """Go back, by the cloud's own way while that is open, and give back what was charged.

    There is nothing to go back from where somebody deleted the server, or it broke down before.
    """
    server, old = _find_server(op, tools), op.request.old_flavor
    if server is not None and (server.state is not ServerState.ERROR or server.flavor != old):
        _return(server, old, tools)
    tools.write(
        lambda unit: instances.settle_flavor(unit, op.instance_id, old, op.request.old_ram_mib)
    )


def _return(server: Server, old: str, tools: Toolbox) -> None:
    compute = tools.cloud.compute
    if server.state is ServerState.VERIFY_RESIZE:
        tools.effect(lambda: compute.revert_resize(server.name))
        tools.look_again()
    if server.state is ServerState.ACTIVE and server.flavor != old:
        server = tools.effect(lambda: compute.resize_server(server.name, old))
    _expect_flavor(server, old, tools)
    if server.state is ServerState.VERIFY_RESIZE:
        tools.effect(lambda: compute.confirm_resize(server.name))


def use_new_memory(op: Resize, tools: Toolbox) -> None:
    op.health = tools.guest(op.instance_id).use_memory(Memory(op.request.new_ram_mib))


def use_old_memory(op: Resize, tools: Toolbox) -> None:
    tools.guest(op.instance_id).use_memory(Memory(op.request.old_ram_mib))


def confirm_resize(op: Resize, tools: Toolbox) -> None:
    server, compute = _server(op, tools), tools.cloud.compute
    if server.state is ServerState.VERIFY_RESIZE:
        tools.effect(lambda: compute.confirm_resize(server.name))
        server = _server(op, tools)
    cloud.expect_server(server, tools)


def record_flavor(op: Resize, tools: Toolbox) -> None:
    new, health = op.request, op.health
    if health is not None:
        tools.write(lambda unit: guests.reported(unit, op.instance_id, health))
    tools.write(
        lambda unit: instances.settle_flavor(unit, op.instance_id, new.new_flavor, new.new_ram_mib)
    )
    tools.write(lambda unit: instances.happened(unit, op.instance_id, Event.RESIZED))


def _find_server(op: Resize, tools: Toolbox) -> Server | None:
    return tools.cloud.compute.find_server(tools.name_of(op.instance_id, LedgerKind.SERVER))


def _server(op: Resize, tools: Toolbox) -> Server:
    server = _find_server(op, tools)
    if server is None:
        raise errors.Failed("The instance's server is gone.")
    return server


def _expect_flavor(server: Server, flavor: str, tools: Toolbox) -> None:
    if server.state is ServerState.VERIFY_RESIZE:
        return
    cloud.expect_server(server, tools)
    if server.flavor != flavor:
        raise errors.Failed(
            f"The cloud left the server at the flavor {server.flavor}: it may have no room for "
            f"{flavor}."
        )


RESIZE_FLAVOR = Flow(
    "resize_flavor",
    ResizeFlavor,
    Resize,
    begin,
    (
        Step(resize_server, undo=return_to_old_flavor),
        Step(wait_until_resized),
        Step(use_new_memory, undo=use_old_memory),
        Step(confirm_resize, pivot=True),
        Step(record_flavor),
    ),
)
