"""What steps share beyond the toolbox's own tools."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dbaas.catalog.unit import Catalog
from dbaas.common.certificates import Authority
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.rpc.broker import Broker
from dbaas.strategies.grants.base import Vault


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
    vaults: Mapping[str, Vault] = field(default_factory=dict)
    """The control half of each storage that is configured, by its name."""

    def vault(self, storage: str) -> Vault:
        """Return that of a storage; raise `NeedsOperator` where it is not configured any more."""
        if storage not in self.vaults:
            raise errors.NeedsOperator(f"The storage {storage!r} is not configured any more.")
        return self.vaults[storage]
