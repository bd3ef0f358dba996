"""A faked OpenStack and a deployment over it, as the tests of flows need them."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dbaas.cloud.base import Cloud
from tests.chaos import requests
from tests.fakes.openstack import cloud as openstack
from tests.fakes.openstack import neutron
from tests.fakes.openstack.cloud import FakeOpenStack
from tests.fakes.openstack.glance import IMAGE
from tests.rehearsal import Api, Rehearsal, rehearsing


@dataclass
class Place:
    """`services` are OpenStack's, `cloud` the provider, `stage` the task manager."""

    services: FakeOpenStack
    cloud: Cloud
    api: Api
    stage: Rehearsal

    def create(self, **more: Any) -> str:
        """Ask for an instance and return its id, when its building has ended."""
        body = {"instance": requests.order("shop") | more}
        answer = self.api.request("POST", "instances", body)
        assert answer.status == 200, answer.body
        return str(answer.body["instance"]["id"])

    def nic(self, address: str) -> dict[str, str]:
        """Return what asks for this address on the tenants' network."""
        (subnet,) = (
            one["id"]
            for one in self.services.neutron.things["subnets"].values()
            if one["network_id"] == neutron.NETWORK and one["ip_version"] == 4
        )
        return {"network_id": neutron.NETWORK, "subnet_id": subnet, "ip_address": address}

    def shown(self, instance: str) -> dict[str, Any]:
        """Return the instance as its tenant sees it; without anything when it is gone."""
        answer = self.api.request("GET", f"instances/{instance}")
        return answer.body["instance"] if answer.status == 200 else {}

    def status(self, instance: str) -> str:
        return str(self.shown(instance).get("status", "GONE"))

    def fault(self, instance: str) -> str:
        """Return what the tenant reads of what went wrong."""
        return str(self.shown(instance)["fault"]["message"])

    def last(self, instance: str) -> dict[str, Any]:
        """Return the newest operation of the instance."""
        found = self.api.request("GET", f"operations?instance_id={instance}").body["operations"]
        newest: dict[str, Any] = found[0]
        return newest

    def left(self) -> list[str]:
        """Return the names of what there is in the cloud of any instance."""
        services = self.services
        things = services.neutron.things
        return [
            *(server["name"] for server in services.nova.servers.values()),
            *(volume["name"] for volume in services.cinder.volumes.values()),
            *(port["name"] for port in things["ports"].values()),
            *(group["name"] for group in things["security-groups"].values()),
            *(one["description"] for one in things["floatingips"].values()),
        ]


@contextmanager
def place(
    catalog_url: str, home: Path, more: str = "", *, with_routers: bool = True
) -> Iterator[Place]:
    """Give a place; `more` are further options of `[openstack]`."""
    with openstack.running(with_routers=with_routers) as services:
        cloud = services.cloud(home, more)
        with rehearsing(catalog_url, home, cloud, IMAGE) as (api, stage):
            yield Place(services, cloud, api, stage)
