"""The parts of an instance that a cloud gives: port, volume, server."""

import functools
from collections.abc import Callable
from typing import Protocol

from dbaas.catalog import instances
from dbaas.cloud.base import Port, PortOrder, Server, ServerState, VolumeState
from dbaas.contract import errors
from dbaas.contract.operations import LedgerKind
from dbaas.contract.requests import CreateInstance
from dbaas.taskmanager.steps.bus import OfInstance
from dbaas.taskmanager.toolbox import Toolbox

USABLE = (VolumeState.AVAILABLE, VolumeState.IN_USE)


class WithPort(OfInstance, Protocol):
    request: CreateInstance
    address: str
    address6: str
    public_address: str


def make_ports(op: WithPort, tools: Toolbox) -> None:
    """Make the tenant's port, and one to reach the broker by where that one does not lead there."""
    wanted = op.request
    port = _made_port(
        op,
        LedgerKind.PORT,
        lambda name: PortOrder(name, wanted.network, wanted.subnet, wanted.address, wanted.reach),
        tools,
    )
    op.address, op.address6, op.public_address = port.address, port.address6, port.public
    show_addresses(op.instance_id, port, tools)
    if tools.cloud.networks.management_network():
        order = functools.partial(PortOrder, management=True)
        _made_port(op, LedgerKind.MANAGEMENT_PORT, order, tools)


def show_addresses(instance_id: str, port: Port, tools: Toolbox) -> None:
    """Let tenants see where the instance is reached."""
    shown = [
        {"address": address, "type": "private", "network": port.network}
        for address in (port.address, port.address6)
        if address
    ]
    if port.public:
        shown.append({"address": port.public, "type": "public"})
    tools.write(lambda unit: instances.describe(unit, instance_id, addresses=shown))


def _made_port(
    op: OfInstance, kind: LedgerKind, order: Callable[[str], PortOrder], tools: Toolbox
) -> Port:
    networks = tools.cloud.networks
    port = tools.make(
        op.instance_id,
        kind,
        networks.find_port,
        lambda name: networks.create_port(order(name)),
        tools.cloud.settle_time,
    )
    if port.interrupted:
        make_anew(lambda: networks.delete_port(port.name), tools)
    return port


def delete_ports(op: OfInstance, tools: Toolbox) -> None:
    """Delete both, whatever is configured by now: there may be one of a former network."""
    networks, settle = tools.cloud.networks, tools.cloud.settle_time
    for kind in (LedgerKind.PORT, LedgerKind.MANAGEMENT_PORT):
        tools.unmake(op.instance_id, kind, networks.find_port, networks.delete_port, settle)
    tools.write(lambda unit: instances.describe(unit, op.instance_id, addresses=[]))


def delete_volume(op: OfInstance, tools: Toolbox) -> None:
    volumes = tools.cloud.volumes

    def delete(name: str) -> None:
        try:
            volumes.delete_volume(name)
        except errors.Busy:
            tools.look_again()

    tools.unmake(
        op.instance_id,
        LedgerKind.VOLUME,
        volumes.find_volume,
        delete,
        tools.cloud.settle_time,
    )
    tools.write(lambda unit: instances.describe(unit, op.instance_id, volume_id=""))


def delete_server(op: OfInstance, tools: Toolbox) -> None:
    compute = tools.cloud.compute
    tools.unmake(
        op.instance_id,
        LedgerKind.SERVER,
        compute.find_server,
        compute.delete_server,
        tools.cloud.settle_time,
    )
    tools.write(lambda unit: instances.describe(unit, op.instance_id, server_id=""))


def make_anew(delete: Callable[[], None], tools: Toolbox) -> None:
    """Remove what an earlier task manager died over, and leave the step to be tried once more."""
    tools.effect(delete)
    raise errors.Unavailable("Its making was interrupted.")


def expect_server(server: Server, tools: Toolbox) -> None:
    """Return for a server that runs; leave by `Wait` while it is built; raise `Failed`.

    `OverQuota` where there is no room for it.
    """
    if server.state is ServerState.ERROR:
        kind = errors.OverQuota if server.no_room else errors.Failed
        raise kind(f"The cloud has the server in ERROR: {server.fault or 'it says no reason'}.")
    if server.state is not ServerState.ACTIVE:
        tools.look_again()


def expect_volume(state: VolumeState, tools: Toolbox) -> None:
    """Return for a volume that can be used; leave by `Wait` while it is made; raise `Failed`."""
    if state is VolumeState.ERROR:
        raise errors.Failed("The cloud could not make or grow the volume.")
    if state not in USABLE:
        tools.look_again()
