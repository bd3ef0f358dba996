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
    """The control half of each storage that is configured, by its name; first that for new ones."""
    archives: str = "archives"
    """Container of archives that begin now."""

    @property
    def storage(self) -> str:
        """That in which archives begin; raise `NeedsOperator` where none is configured."""
        if not self.vaults:
            raise errors.NeedsOperator("No storage is configured.")
        return next(iter(self.vaults))

    def vault(self, storage: str) -> Vault:
        """Return that of a storage; raise `NeedsOperator` where it is not configured any more."""
        if storage not in self.vaults:
            raise errors.NeedsOperator(f"The storage {storage!r} is not configured any more.")
        return self.vaults[storage]
