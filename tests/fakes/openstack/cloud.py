"""A whole OpenStack on loopback, and the provider that is configured for it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path

from dbaas.cloud import drivers
from dbaas.cloud.base import Cloud
from dbaas.common import config
from tests.fakes.openstack import keystone, neutron
from tests.fakes.openstack.cinder import Cinder
from tests.fakes.openstack.glance import Glance
from tests.fakes.openstack.keystone import Keystone
from tests.fakes.openstack.neutron import Neutron
from tests.fakes.openstack.nova import Nova
from tests.fakes.openstack.swift import Swift
from tests.fakes.openstack.web import Answer, Fault, Service, World, serving

POOL = "10.77.0.0/28"

SETTINGS = f"""\
[DEFAULT]
cloud = openstack
[openstack]
auth_type = password
auth_url = %s/identity/v3
username = {keystone.USER}
password = {keystone.PASSWORD}
user_domain_name = Default
project_name = dbaas
project_domain_name = Default
default_network = {neutron.NETWORK}
public_network = {neutron.PUBLIC}
settle_time = 0.2
request_timeout = 20
poll_interval = 0.02
"""


def lost(service: str, method: str, path: str, times: int = 1) -> Fault:
    """Such requests are carried out, and the connection ends without an answer."""
    return Fault(service, method, path, effect=True, times=times)


def late(service: str, method: str, path: str) -> Fault:
    """Such a request is carried out, and answered when nobody waits for that any more."""
    return Fault(service, method, path, effect=True, answer=Answer(), seconds=1.5)


def refused(
    service: str,
    method: str,
    path: str,
    status: int,
    headers: Mapping[str, str] | None = None,
    times: int = 1,
) -> Fault:
    """Such requests are answered with this status, in the words of a proxy before the service."""
    words = f"<html><body>{HTTPStatus(status).phrase}</body></html>"
    return Fault(service, method, path, answer=Answer(status, words, headers or {}), times=times)


@dataclass(frozen=True)
class FakeOpenStack:
    """The services behind one server, to be looked into and to be broken."""

    world: World
    keystone: Keystone
    nova: Nova
    cinder: Cinder
    neutron: Neutron
    glance: Glance
    url: str

    def meet(self, fault: Fault) -> None:
        with self.world.lock:
            self.world.faults.append(fault)

    def cloud(self, home: Path, more: str = "") -> Cloud:
        """Return a provider of this cloud; `more` are further lines of its group of options."""
        settings = home / "openstack.conf"
        settings.write_text(SETTINGS % self.url + more)
        return drivers.load(config.load(["--config-file", str(settings)], [drivers]))


@contextmanager
def running(*, with_routers: bool = True) -> Iterator[FakeOpenStack]:
    world, elsewhere = World(), dict[str, str]()
    volumes, networks = Cinder(world), Neutron(world, POOL, with_routers=with_routers)
    servers, images = Nova(world, volumes, networks), Glance(world)
    logins = Keystone(world, elsewhere)
    services: Mapping[str, Service] = {
        "identity": logins,
        "compute": servers,
        "block-storage": volumes,
        "network": networks,
        "image": images,
        "object-store": (objects := Swift()),
    }
    with serving(world, services) as server:
        elsewhere |= {
            kind: server.url + service.prefix
            for kind, service in services.items()
            if service is not objects
        }
        elsewhere["object-store"] = f"{server.url}{objects.prefix}/AUTH_{keystone.PROJECT}"
        yield FakeOpenStack(world, logins, servers, volumes, networks, images, server.url)
