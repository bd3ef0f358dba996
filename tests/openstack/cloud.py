"""Which OpenStack the tests of this package are made on: that of the OS_* variables, or a box.

Another cloud has, for the tests, what a box has: its users (`osbox/accounts.py`), its networks
(`osbox/addresses.py`), its flavors (`osbox/content.py`). The tests run on a host that is where the
box's host is on those networks.
"""

import os

from tests.openstack.osbox import accounts, addresses
from tests.openstack.osbox.accounts import User
from tests.openstack.osbox.rest import Rest

IS_NAMED = "OS_AUTH_URL" in os.environ


def login_url() -> str:
    return os.environ["OS_AUTH_URL"] if IS_NAMED else addresses.login_url()


def _administrator() -> User:
    if not IS_NAMED:
        return accounts.ADMIN
    name, password = os.environ["OS_USERNAME"], os.environ["OS_PASSWORD"]
    return User(name, os.environ["OS_PROJECT_NAME"], ("admin",), password)


ADMIN = _administrator()


def requests_of(user: User) -> Rest:
    """Return what sends this user's requests to the cloud's services."""
    return Rest(user, login_url())
