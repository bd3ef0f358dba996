"""An OpenStack as infrastructure: what flows get as `Cloud`."""

from oslo_config import cfg

from dbaas.cloud.openstack import calls, probes, settings
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
        self._images = Images(session, chosen)
        self.volumes = CinderVolumes(session, chosen, servers)
        self.compute = NovaCompute(servers, chosen, self._images, self.volumes, self.networks)
        self._chosen = chosen

    def probes(self) -> list[Probe]:
        return probes.probes(
            self._session, self._chosen, self.compute, self.volumes, self.networks, self._images
        )

    @property
    def settle_time(self) -> float:
        return self._chosen.settle_time

    @property
    def poll_interval(self) -> float:
        return self._chosen.poll_interval
