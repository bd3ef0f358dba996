"""One Linux host as infrastructure: what flows get as `Cloud`, and what `make up` and `down` do."""

import os
import time
from concurrent.futures import ThreadPoolExecutor

from oslo_config import cfg

from dbaas.cloud.local import bridge, image, settings
from dbaas.cloud.local.namespaces import Namespaces
from dbaas.cloud.local.networks import LocalNetworks
from dbaas.cloud.local.servers import HostCompute
from dbaas.cloud.local.settings import Settings
from dbaas.cloud.local.volumes import LocalVolumes
from dbaas.cloud.rootfs import layer
from dbaas.common.probes import Probe
from dbaas.contract import errors

STARTS_AT_ONCE = 4


def from_conf(conf: cfg.ConfigOpts) -> "LocalCloud":
    """Return the cloud that the options of `[local]` describe."""
    return LocalCloud(settings.from_conf(conf))


class LocalCloud:
    """Several of these, in any number of processes, may work on one state directory."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.networks = LocalNetworks(settings)
        self.volumes = LocalVolumes(settings)
        self.body = Namespaces(settings, self.volumes, self.networks)
        self.compute = HostCompute(
            settings.state_dir,
            settings.flavors,
            settings.availability_zone,
            settings.stop_timeout,
            self.body,
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
        return [
            Probe(
                "rights",
                self._rights,
                "Run the task managers and this command as root, or choose [DEFAULT] cloud = "
                "loopback.",
            ),
            Probe(
                "bridge of the guests",
                self._bridge,
                "It is made by `make up`, and by the first guest that is started.",
            ),
        ]

    def _rights(self) -> str:
        if os.geteuid() != 0:
            raise errors.Forbidden("not root: guests need namespaces, mounts and a bridge")
        return "root"

    def _bridge(self) -> str:
        if not bridge.exists(self.settings.bridge_name):
            raise errors.NotFound(f"there is no interface {self.settings.bridge_name}")
        return f"{self.settings.bridge_name}, {self.settings.bridge}"

    def ensure_network(self) -> None:
        self.networks.ensure()

    def teardown_network(self) -> None:
        """Remove the bridge and its firewall table; guests are stopped before."""
        self.networks.remove()
        self.body.groups.remove_parent()

    def start_all(self) -> dict[str, str]:
        """Start the guests that ran when the host, or `stop_all`, stopped them.

        Return why, for each that cannot be started.
        """
        faults: dict[str, str] = {}

        def start(name: str) -> None:
            try:
                self.compute.start_server(name)
            except errors.Error as error:
                faults[name] = error.text

        with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
            list(pool.map(start, self.compute.wanted()))
        return faults

    def stop_all(self) -> None:
        """Shut every guest down, all at once, and leave nothing of any running.

        Their disks stay, and whether they are to run again.
        """
        names = list(self.compute.servers())
        deadline = time.monotonic() + self.settings.stop_timeout
        for name in names:
            self.body.shut_down(name)
        for name in names:
            self.body.wait(name, deadline - time.monotonic())
        for name in names:
            self.compute.end(name)
        rootfs = image.location(self.settings.cache_dir)
        if rootfs.is_dir():
            layer.prune(self.settings.state_dir, layer.ensure(self.settings.state_dir, rootfs))
