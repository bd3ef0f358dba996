"""An OpenStack as infrastructure: what flows get as `Cloud`."""

from oslo_config import cfg

from dbaas.cloud.openstack import calls, settings
from dbaas.cloud.openstack.images import Images
from dbaas.cloud.openstack.inventory import Inventory
from dbaas.cloud.openstack.networks import NeutronNetworks
from dbaas.cloud.openstack.servers import NovaCompute
from dbaas.cloud.openstack.volumes import CinderVolumes
from dbaas.common.probes import Probe


def from_conf(conf: cfg.ConfigOpts) -> "OpenStackCloud":
    """Return the cloud that the options of `[openstack]` describe; nothing is asked of it yet."""
    settings.register(conf)
    return OpenStackCloud(conf)


class OpenStackCloud:
    """Threads may share it."""

    def __init__(self, conf: cfg.ConfigOpts) -> None:
        chosen = settings.from_conf(conf)
        self._session = session = calls.session(conf)
        self.networks = NeutronNetworks(session, chosen)
        servers = Inventory(session, chosen)
        self.volumes = CinderVolumes(session, chosen, servers)
        self.compute = NovaCompute(
            servers, chosen, Images(session, chosen), self.volumes, self.networks
        )
        self._chosen = chosen

    def probes(self) -> list[Probe]:
        login = "Check the credentials in [openstack]: auth_url, username, password, project_name."
        return [
            Probe("Keystone", self._keystone, login),
            Probe(
                "Nova",
                lambda: f"{len(self.compute.flavors())} flavors",
                "Make flavors that the service's project may use, and an endpoint for compute.",
            ),
            Probe(
                "Cinder",
                lambda: f"{len(self.volumes.volumes())} volumes of ours",
                "Make an endpoint for block-storage, and give the service's user rights on it.",
            ),
            Probe(
                "Neutron",
                lambda: f"{len(self.networks.subnets())} subnets",
                "Make an endpoint for network, and give the service's user the role admin: ports "
                "are made on networks of tenants.",
            ),
            Probe(
                "networks of the configuration",
                self.networks.check_networks,
                "Correct management_network, default_network and public_network in [openstack]: "
                "`openstack network list` shows the ids.",
            ),
        ]

    def _keystone(self) -> str:
        with calls.calling("Keystone"):
            return f"user {self._session.get_user_id()}, project {self._session.get_project_id()}"

    @property
    def settle_time(self) -> float:
        return self._chosen.settle_time

    @property
    def poll_interval(self) -> float:
        return self._chosen.poll_interval
