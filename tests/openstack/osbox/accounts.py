"""Who there is in the box's Keystone, and with which password."""

from dataclasses import dataclass

from tests.openstack.osbox import addresses

DOMAIN = "Default"
PASSWORD = "osbox"
"""Of every service's account, in Keystone, MariaDB and RabbitMQ alike."""

PROJECTS = ("service", "alpha", "beta")
"""Beside `admin`, which comes with Keystone."""

ROLES = ("service", "ResellerAdmin")
"""Beside those that come with Keystone."""


@dataclass(frozen=True)
class User:
    """Somebody with roles in one project; his password is his name where it is not said."""

    name: str
    project: str
    roles: tuple[str, ...]
    password: str

    def variables(self) -> dict[str, str]:
        """Return what an openrc file of his sets."""
        return {
            "OS_AUTH_URL": addresses.login_url(addresses.GATEWAY),
            "OS_IDENTITY_API_VERSION": "3",
            "OS_USERNAME": self.name,
            "OS_PASSWORD": self.password,
            "OS_PROJECT_NAME": self.project,
            "OS_USER_DOMAIN_NAME": DOMAIN,
            "OS_PROJECT_DOMAIN_NAME": DOMAIN,
            "OS_REGION_NAME": addresses.REGION,
            "OS_INTERFACE": "public",
        }


ADMIN = User("admin", "admin", ("admin", "ResellerAdmin"), "admin")
DBAAS = User("dbaas", "service", ("admin", "service", "ResellerAdmin"), "dbaas")
ALICE = User("alice", "alpha", ("member", "reader"), "alice")
BOB = User("bob", "beta", ("member", "reader"), "bob")

PEOPLE = (ADMIN, DBAAS, ALICE, BOB)
"""Those that tests come as."""

SERVICES = tuple(
    User(name, "service", ("admin", "service"), PASSWORD)
    for name in ("nova", "neutron", "glance", "cinder", "placement", "swift")
)


def named(name: str) -> User:
    """Return one of the people; raise `KeyError`."""
    return {user.name: user for user in PEOPLE}[name]
