"""What an instance can be made of, and where: asked of the cloud now and then."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from dbaas.cloud.base import Cloud, Flavor, Subnet

KEPT = 60.0
"""Seconds for which the cloud's answer is used again."""


class Offers(Protocol):
    def flavors(self) -> Sequence[Flavor]:
        """Return every flavor."""

    def subnets(self) -> Sequence[Subnet]:
        """Return the subnets that a request may name, and so their networks."""

    def zones(self) -> Sequence[str]:
        """Return the availability zones."""

    def default_network(self) -> str:
        """Return the network of who names none; empty: there is no such."""


@dataclass(frozen=True)
class _Known:
    flavors: tuple[Flavor, ...] = ()
    subnets: tuple[Subnet, ...] = ()
    zones: tuple[str, ...] = ()
    network: str = ""


class CloudOffers:
    """What a cloud offers; a request waits for the cloud only when the last answer is too old."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._lock = threading.Lock()
        self._known = _Known()
        self._until = 0.0

    def flavors(self) -> Sequence[Flavor]:
        return self._fresh().flavors

    def subnets(self) -> Sequence[Subnet]:
        return self._fresh().subnets

    def zones(self) -> Sequence[str]:
        return self._fresh().zones

    def default_network(self) -> str:
        return self._fresh().network

    def _fresh(self) -> _Known:
        if time.monotonic() >= self._until:
            with self._lock:
                if time.monotonic() >= self._until:
                    cloud = self._cloud
                    self._known = _Known(
                        tuple(cloud.compute.flavors()),
                        tuple(cloud.networks.subnets()),
                        tuple(cloud.compute.availability_zones()),
                        cloud.networks.default_network(),
                    )
                    self._until = time.monotonic() + KEPT
        return self._known
