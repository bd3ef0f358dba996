"""What makes an instance of an accepted request: volume, certificate, server, database server."""

import json
from typing import Protocol

from dbaas.catalog import instances
from dbaas.cloud.base import ServerOrder, VolumeOrder
from dbaas.common import certificates
from dbaas.contract import codec, errors
from dbaas.contract.messages import CONTACT_FILE, Health, Prepare, ServerCertificate
from dbaas.contract.operations import LedgerKind
from dbaas.contract.requests import CreateInstance
from dbaas.contract.secret import Secret
from dbaas.taskmanager.flow import Step
from dbaas.taskmanager.steps import bus, cloud
from dbaas.taskmanager.steps.services import Services
from dbaas.taskmanager.toolbox import Toolbox

CERTIFICATE_DAYS = 3650


class Built(Protocol):
    """What is journalled of an instance that is being built."""

    instance_id: str
    request: CreateInstance
    address: str
    address6: str
    public_address: str
    certificate: ServerCertificate | None
    health: Health | None


def make_volume(op: Built, tools: Toolbox) -> None:
    volumes = tools.cloud.volumes
    request = op.request
    volume = tools.make(
        op.instance_id,
        LedgerKind.VOLUME,
        volumes.find_volume,
        lambda name: volumes.create_volume(
            VolumeOrder(name, request.volume_gib, request.volume_type, request.availability_zone)
        ),
        tools.cloud.settle_time,
    )
    if volume.interrupted:
        cloud.make_anew(lambda: volumes.delete_volume(volume.name), tools)
    cloud.expect_volume(volume.state, tools)
    tools.write(lambda unit: instances.describe(unit, op.instance_id, volume_id=volume.id))


def issue_certificate(op: Built, tools: Toolbox) -> None:
    services: Services = tools.services
    issued = certificates.issue(
        services.authority,
        op.instance_id,
        [address for address in (op.address, op.address6, op.public_address) if address],
        [op.instance_id],
        CERTIFICATE_DAYS,
    )
    op.certificate = ServerCertificate(issued.cert_pem, issued.key_pem, services.authority.cert_pem)
    shown = issued.cert_pem + services.authority.cert_pem
    tools.write(lambda unit: instances.set_certificate(unit, op.instance_id, shown))


def boot_server(op: Built, tools: Toolbox) -> None:
    compute = tools.cloud.compute
    contact = bus.contact_of(op.instance_id, tools)
    ports = [tools.name_of(op.instance_id, LedgerKind.PORT)]
    if tools.cloud.networks.management_network():
        ports.append(tools.name_of(op.instance_id, LedgerKind.MANAGEMENT_PORT))
    volume = tools.name_of(op.instance_id, LedgerKind.VOLUME)
    server = tools.make(
        op.instance_id,
        LedgerKind.SERVER,
        compute.find_server,
        lambda name: compute.create_server(
            ServerOrder(
                name=name,
                flavor=op.request.flavor,
                image=op.request.image,
                image_tags=op.request.image_tags,
                ports=tuple(ports),
                volumes=(volume,),
                files={CONTACT_FILE: Secret(json.dumps(codec.dump(contact)))},
                availability_zone=op.request.availability_zone,
                hostname=op.instance_id,
            )
        ),
        tools.cloud.settle_time,
    )
    if server.interrupted:
        cloud.make_anew(lambda: compute.delete_server(server.name), tools)
    cloud.expect_server(server, tools)
    tools.write(lambda unit: instances.describe(unit, op.instance_id, server_id=server.id))


def prepare_database(op: Built, tools: Toolbox) -> None:
    if op.certificate is None:
        raise errors.Failed("The instance has no certificate.")
    request = op.request
    prepared = tools.guest(op.instance_id).prepare(
        Prepare(
            engine=request.engine,
            version=request.engine_version,
            memory_mib=request.flavor_ram_mib,
            server_id=_server_number(op.instance_id),
            certificate=op.certificate,
            databases=request.databases,
            users=request.users,
        )
    )
    op.health = prepared.health


def _server_number(instance_id: str) -> int:
    """Return what tells the servers of a replication topology apart: 32 random bits, not zero."""
    return int(instance_id[:8], 16) or 1


BUILD = (
    Step(bus.write_credentials, undo=bus.forget_credentials),
    Step(bus.make_bus_objects, undo=bus.remove_bus_objects),
    Step(cloud.make_ports, undo=cloud.delete_ports),
    Step(make_volume, undo=cloud.delete_volume),
    Step(issue_certificate),
    Step(boot_server, undo=cloud.delete_server),
    Step(bus.introduce),
    Step(bus.note_introduction),
    Step(bus.retire_first_contact),
)
"""A guest whose agent answers, and that has no database server yet."""
