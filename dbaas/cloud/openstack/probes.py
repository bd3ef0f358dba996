"""What an operator has to have set up in an OpenStack, service by service."""

import keystoneauth1.exceptions
from keystoneauth1.adapter import Adapter
from keystoneauth1.session import Session

from dbaas.cloud.base import Compute, Volumes
from dbaas.cloud.openstack.calls import calling
from dbaas.cloud.openstack.images import Images
from dbaas.cloud.openstack.networks import NeutronNetworks
from dbaas.cloud.openstack.settings import Settings
from dbaas.common.probes import Probe
from dbaas.contract import errors

SWIFT = "The object store"


def probes(
    session: Session,
    settings: Settings,
    compute: Compute,
    volumes: Volumes,
    networks: NeutronNetworks,
    images: Images,
) -> list[Probe]:
    """Return a look at each service, in the order in which they depend upon each other."""
    return [
        Probe(
            "Keystone",
            lambda: _login(session),
            "Check the credentials in [openstack]: auth_url, username, password, project_name.",
        ),
        Probe(
            "Glance",
            lambda: f"{images.count()} images",
            "Make an endpoint for image, and give the service's user rights on it.",
        ),
        Probe(
            "Nova",
            lambda: _sizes(compute),
            "Make flavors that the service's project may use, and an endpoint for compute.",
        ),
        Probe(
            "Cinder",
            lambda: f"{len(volumes.volumes())} volumes of ours",
            "Make an endpoint for block-storage, and give the service's user rights on it.",
        ),
        Probe(
            "Neutron",
            lambda: f"{len(networks.subnets())} subnets",
            "Make an endpoint for network, and give the service's user the role admin: ports are "
            "made on networks of tenants.",
        ),
        Probe(
            "networks of the configuration",
            networks.check_networks,
            "Correct management_network, default_network and public_network in [openstack]: "
            "`openstack network list` shows the ids.",
        ),
        Probe(
            "Swift",
            lambda: _account(session, settings),
            "Give the service's user a role that Swift's operator_roles names, in its project. "
            "Without Swift backups have to be stored elsewhere.",
        ),
    ]


def _login(session: Session) -> str:
    with calling("Keystone"):
        return f"user {session.get_user_id()}, project {session.get_project_id()}"


def _sizes(compute: Compute) -> str:
    flavors = compute.flavors()
    if not flavors:
        raise errors.NotFound("there is no flavor")
    return f"{len(flavors)} flavors, zones {', '.join(compute.availability_zones())}"


def _account(session: Session, settings: Settings) -> str:
    """See whether the service may use its own account; a cloud without Swift lacks nothing."""
    swift = Adapter(
        session,
        service_type="object-store",
        region_name=settings.region_name,
        interface=settings.interface,
    )
    with calling(SWIFT):
        try:
            answer = swift.head("")
        except keystoneauth1.exceptions.EndpointNotFound:
            return "none in this cloud"
    return f"{answer.headers.get('X-Account-Container-Count', '0')} containers"
