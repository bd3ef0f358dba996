"""What every cloud promises to the flows, of a real OpenStack: the contract's own tests.

Their servers have an empty disk: nothing here needs a guest, and an emulated one takes its time.
"""

import inspect
import secrets
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from dbaas.cloud import drivers
from dbaas.cloud.base import Cloud
from dbaas.common import config
from dbaas.contract import errors
from dbaas.manage.stack import settings
from tests.contract import hosts, test_cloud
from tests.openstack import cloud as clouds
from tests.openstack.osbox import accounts
from tests.openstack.osbox.accounts import DBAAS
from tests.openstack.osbox.rest import Rest

EMPTY_DISK = bytes(1 << 20)
CIDR, CIDR6 = "10.78.0.0/28", "fd78::/64"
"""With room for 13 ports, as the contract's tests have it on every cloud."""


@dataclass(frozen=True)
class Ground:
    """What the contract's tests need in the cloud."""

    network: str


@pytest.fixture(scope="module")
def ground(on_the_box: None) -> Iterator[Ground]:
    ours = clouds.requests_of(DBAAS)
    image, network = _make_image(ours), _make_network(ours)
    yield Ground(network)
    ours.ask("DELETE", "network", f"/v2.0/networks/{network}")
    ours.ask("DELETE", "image", f"/v2/images/{image}")


def _make_image(ours: Rest) -> str:
    """Make the newest image of the tag that the contract's tests name."""
    wanted = {
        "name": "empty",
        "disk_format": "raw",
        "container_format": "bare",
        "tags": list(hosts.order("a").image_tags),
        "os_shutdown_timeout": "1",
    }
    made = ours.ask("POST", "image", "/v2/images", wanted)
    ours.upload("image", f"/v2/images/{made['id']}/file", EMPTY_DISK)
    return str(made["id"])


def _make_network(ours: Rest) -> str:
    wanted = {"network": {"name": "contract"}}
    made = ours.ask("POST", "network", "/v2.0/networks", wanted)["network"]["id"]
    for version, cidr in ((4, CIDR), (6, CIDR6)):
        subnet = {"network_id": made, "ip_version": version, "cidr": cidr, "enable_dhcp": False}
        ours.ask("POST", "network", "/v2.0/subnets", {"subnet": subnet})
    return str(made)


@pytest.fixture
def cloud(ground: Ground, tmp_path: Path) -> Iterator[Cloud]:
    """A provider whose deployment has nothing in the cloud, neither before nor after."""
    made = _provider(ground, tmp_path)
    yield made
    for name in made.compute.servers():
        made.compute.delete_server(name)
    hosts.wait(lambda: made.compute.servers() == {})
    hosts.wait(lambda: _has_no_volume(made))
    for name in made.networks.ports():
        made.networks.delete_port(name)
    assert made.networks.ports() == {}


def _has_no_volume(cloud: Cloud) -> bool:
    left = cloud.volumes.volumes()
    for name in left:
        with suppress(errors.Busy):
            cloud.volumes.delete_volume(name)
    return not left


@pytest.fixture
def machines(cloud: Cloud) -> Cloud:
    return cloud


def _provider(ground: Ground, home: Path) -> Cloud:
    options = {
        "DEFAULT": {"cloud": "openstack"},
        "openstack": {
            "deployment": f"contract-{secrets.token_hex(4)}",
            "auth_type": "password",
            "auth_url": clouds.login_url(),
            "username": DBAAS.name,
            "password": DBAAS.password,
            "user_domain_name": accounts.DOMAIN,
            "project_name": DBAAS.project,
            "project_domain_name": accounts.DOMAIN,
            "default_network": ground.network,
        },
    }
    file = home / "dbaas.conf"
    file.write_text(settings.ini(options))
    return drivers.load(config.load(["--config-file", str(file)], [drivers]))


def _contract() -> dict[str, object]:
    """Return the contract's tests that are about any cloud, by name."""
    return {
        name: test
        for name, test in vars(test_cloud).items()
        if name.startswith("test_")
        and {"cloud", "machines"} & {*inspect.signature(test).parameters}
    }


globals().update(_contract())
