"""A task manager over a cloud that makes everything at once: a process of `tests.bench.operations`.

python -m tests.bench.instant_manager SOCKET --config-file FILE

A server that it makes is known to `tests.bench.instant_guests`, which listens at SOCKET.
"""

import ipaddress
import socket
import sys

from dbaas.cloud.base import Server, ServerOrder
from dbaas.common import config, logs
from dbaas.contract.messages import CONTACT_FILE
from dbaas.taskmanager import service
from tests.fakes.cloud import FLAVORS, FakeCloud, FakeCompute

POOL = ipaddress.IPv4Network("10.96.0.0/16")


class BootingCompute(FakeCompute):
    """Gives what a server finds in its contact file to those who play the guests."""

    def listen_at(self, path: str) -> None:
        self._guests = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._guests.connect(path)

    def create_server(self, order: ServerOrder) -> Server:
        server = super().create_server(order)
        self._guests.send(order.files[CONTACT_FILE].reveal().encode())
        return server


def main() -> None:
    path, *arguments = sys.argv[1:]
    conf = config.load(arguments, service.MODULES, before=logs.register)
    logs.setup(conf, "taskmanager")
    cloud = FakeCloud(pool=str(POOL))
    compute = BootingCompute(cloud.world, FLAVORS, cloud.volumes, cloud.networks)
    compute.listen_at(path)
    cloud.compute = compute
    service.serve(conf, cloud)


if __name__ == "__main__":
    main()
