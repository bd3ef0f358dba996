"""One host without root as infrastructure: what flows get as `Cloud`, and what `make up` does."""

import time

from oslo_config import cfg

from dbaas.cloud.local.servers import HostCompute
from dbaas.cloud.loopback import settings, templates
from dbaas.cloud.loopback.groups import ProcessGroups
from dbaas.cloud.loopback.networks import LoopbackNetworks
from dbaas.cloud.loopback.settings import Settings
from dbaas.cloud.loopback.volumes import LoopbackVolumes
from dbaas.common.probes import Probe
from dbaas.contract import errors


def from_conf(conf: cfg.ConfigOpts) -> "LoopbackCloud":
    """Return the cloud that the options of `[loopback]` describe."""
    return LoopbackCloud(settings.from_conf(conf))


class LoopbackCloud:
    """Several of these, in any number of processes, may work on one state directory."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.networks = LoopbackNetworks(settings)
        self.volumes = LoopbackVolumes(settings)
        self._body = ProcessGroups(settings, self.volumes, self.networks)
        self.compute = HostCompute(
            settings.state_dir,
            settings.flavors,
            settings.availability_zone,
            settings.stop_timeout,
            self._body,
            self.volumes,
            self.networks,
        )

    @property
    def settle_time(self) -> float:
        """Nothing appears late here: what a call made is there when it returns, or never."""
        return 0.0

    @property
    def poll_interval(self) -> float:
        return 0.5

    def probes(self) -> list[Probe]:
        """Every kernel has what this needs."""
        return []

    def ensure_network(self) -> None:
        """The kernel has every loopback address: there is nothing to make but the template."""
        templates.ensure(self.settings.state_dir)

    def teardown_network(self) -> None:
        """There is nothing to remove."""

    def start_all(self) -> dict[str, str]:
        """Start the guests that ran when the host, or `stop_all`, stopped them.

        Return why, for each that cannot be started.
        """
        faults: dict[str, str] = {}
        for name in self.compute.wanted():
            try:
                self.compute.start_server(name)
            except errors.Error as error:
                faults[name] = error.text
        return faults

    def stop_all(self) -> None:
        """Shut every guest down, all at once, and leave nothing of any running.

        Their directories stay, and whether they are to run again.
        """
        names = list(self.compute.servers())
        deadline = time.monotonic() + self.settings.stop_timeout
        for name in names:
            self._body.shut_down(name)
        for name in names:
            self._body.wait(name, max(0.0, deadline - time.monotonic()))
        for name in names:
            self.compute.end(name)
