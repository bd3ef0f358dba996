"""The box's addresses, networks, and where its services are."""

from dataclasses import dataclass

LOOPBACK = "127.0.0.1"
GATEWAY = "10.77.0.1"
"""On the management network: where guests reach the APIs, which public endpoints name too."""

REGION = "RegionOne"
TUNNEL = "10.77.255.1"
"""Where the networks that tenants make for themselves would come from other hosts."""


@dataclass(frozen=True)
class Network:
    """A flat network of Neutron's on an interface that the namespace has an address on."""

    interface: str
    """Also what Neutron calls the physical network."""
    name: str
    prefix: str
    """The first three numbers of its addresses; the namespace's ends in 1."""
    project: str
    is_shared: bool = False
    has_gateway: bool = True
    """Whether DHCP names the namespace's address as the way out."""

    @property
    def gateway(self) -> str:
        return f"{self.prefix}.1"

    @property
    def cidr(self) -> str:
        return f"{self.prefix}.0/24"


NETWORKS = (
    Network("mgmt", "mgmt", "10.77.0", "service", has_gateway=False),
    Network("public", "public", "10.77.1", "admin", is_shared=True),
    Network("alpha", "alpha-net", "10.77.10", "alpha"),
    Network("beta", "beta-net", "10.77.11", "beta"),
)


@dataclass(frozen=True)
class Api:
    """A service in Keystone's catalog."""

    kind: str
    name: str
    port: int
    path: str = ""

    def url(self, host: str) -> str:
        return f"http://{host}:{self.port}{self.path}"


KEYSTONE = Api("identity", "keystone", 5000, "/v3")
GLANCE = Api("image", "glance", 9292)
PLACEMENT = Api("placement", "placement", 8778)
NOVA = Api("compute", "nova", 8774, "/v2.1")
NEUTRON = Api("network", "neutron", 9696)
CINDER = Api("block-storage", "cinder", 8776, "/v3/%(project_id)s")
CINDER_OLD = Api("volumev3", "cinderv3", CINDER.port, CINDER.path)
"""Under the name that Nova of Zed wants."""
SWIFT = Api("object-store", "swift", 8080, "/v1/AUTH_%(project_id)s")
DATABASE = Api("database", "dbaas", 8779, "/v1.0/%(project_id)s")
"""Ours: nothing listens there until a test starts it."""

CATALOG = (GLANCE, PLACEMENT, NOVA, NEUTRON, CINDER, CINDER_OLD, SWIFT, DATABASE)
"""All but Keystone's own, which comes with it."""


def login_url(host: str = LOOPBACK) -> str:
    return KEYSTONE.url(host)
