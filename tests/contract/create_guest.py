"""A process that makes or deletes one guest, to be killed while it does.

Arguments: state directory, deployment, the verb, and the Python that starts the guest.
"""

import sys
from pathlib import Path

from dbaas.cloud.base import PortOrder, VolumeOrder
from dbaas.cloud.local.cloud import LocalCloud
from tests.contract import hosts

if __name__ == "__main__":
    state_dir, deployment, verb, sys.executable = sys.argv[1:]
    cloud = LocalCloud(hosts.settings(Path(state_dir), deployment))
    if verb == "create":
        cloud.networks.create_port(PortOrder("a"))
        cloud.volumes.create_volume(VolumeOrder("a", 1))
        cloud.compute.create_server(hosts.order("a"))
    else:
        hosts.destroy(cloud, "a")
