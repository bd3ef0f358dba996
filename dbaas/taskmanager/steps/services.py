"""What steps share beyond the toolbox's own tools."""

from dataclasses import dataclass

from dbaas.catalog.unit import Catalog
from dbaas.common.certificates import Authority
from dbaas.common.sealing import Sealer
from dbaas.rpc.broker import Broker


@dataclass(frozen=True)
class Entrance:
    """Where guests reach the broker: its TLS listener, as a guest sees it."""

    host: str
    port: int
    vhost: str


@dataclass(frozen=True)
class Services:
    catalog: Catalog
    sealer: Sealer
    broker: Broker
    authority: Authority
    entrance: Entrance
