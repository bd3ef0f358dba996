"""What the resources work with, made once per process and passed to each."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from oslo_config import cfg

from dbaas.api.offers import Offers
from dbaas.api.policy import Policy
from dbaas.api.rates import Rates
from dbaas.catalog import quotas
from dbaas.catalog.backup_orders import Means
from dbaas.catalog.unit import Catalog
from dbaas.common import killpoints
from dbaas.common.sealing import Sealer
from dbaas.contract.interfaces import TaskManager
from dbaas.strategies.grants.base import Vault


@dataclass(frozen=True)
class Services:
    catalog: Catalog
    policy: Policy
    offers: Offers
    waker: TaskManager
    """Never blocks, and may lose a wake: the task managers look for themselves, too."""
    sealer: Sealer
    rates: Rates
    options: cfg.ConfigOpts.GroupAttr
    reached: killpoints.Reached = killpoints.nothing
    vaults: Mapping[str, Vault] = field(default_factory=dict)
    """The storages that are configured, by name; that for new backups is the first."""
    container: str = ""
    """Where backups go that name no container, and whose project has no backup strategy."""
    quotas: dict[str, int] = field(init=False)
    """The limits of projects that have none of their own."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "quotas", quotas.defaults(self.options))

    @property
    def backups(self) -> Means:
        """What the deployment has for backups."""
        return Means(self.sealer, self.quotas, tuple(self.vaults), self.container)

    @property
    def storage(self) -> str:
        """The storage to which backups go that name none; empty where none is configured."""
        return next(iter(self.vaults), "")
