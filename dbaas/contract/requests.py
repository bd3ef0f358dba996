"""What a tenant asked for, as it stands in an operation: typed, complete, checked before."""

from dataclasses import dataclass, field
from typing import Any

from dbaas.contract.messages import DatabaseSpec, UserSpec
from dbaas.contract.secret import Secret


@dataclass(frozen=True)
class Reach:
    """From where an instance can be reached: IPv4 and IPv6 networks; without any, from all."""

    is_public: bool = False
    allowed_cidrs: tuple[str, ...] = ()


@dataclass(frozen=True)
class RestoreFrom:
    """What a new instance begins with: backups, the full one first, each on the one before."""

    backup_ids: tuple[str, ...]
    until: float | None = None
    """What was committed after the backup is played on it, up to this moment (seconds since 1970);
    None: nothing is."""
    stream: str = ""
    """The stream of the archive that has it."""


@dataclass(frozen=True)
class CreateInstance:
    """A new database server. Everything that the flow needs is here or in the instance's row."""

    name: str
    flavor: str
    flavor_ram_mib: int
    volume_gib: int
    volume_type: str
    engine: str
    engine_version: str
    image: str
    """Its id; empty: the newest that has all of `image_tags`, or the provider's own."""
    databases: tuple[DatabaseSpec, ...] = ()
    users: tuple[UserSpec, ...] = ()
    availability_zone: str = ""
    image_tags: tuple[str, ...] = ()
    network: str = ""
    subnet: str = ""
    address: str = ""
    """The fixed address that it is to have; empty: any."""
    reach: Reach = field(default_factory=Reach)
    restore: RestoreFrom | None = None


@dataclass(frozen=True)
class CreateBackup:
    """A backup of the instance, whose row is there already."""

    backup_id: str
    strategy: str
    storage: str
    container: str
    segment_size: int
    """Bytes of an object; the guest has a few of them in memory."""
    parent_id: str = ""
    """The backup on which it builds; empty: it is a full one."""


@dataclass(frozen=True)
class DeleteBackups:
    """A backup with all that build on it, those first; each gives its quota back."""

    backup_ids: tuple[str, ...]


@dataclass(frozen=True)
class SetArchiving:
    """What the engine logs is archived, or not any more; what is going on is carried on."""

    enabled: bool


@dataclass(frozen=True)
class CompactArchive:
    """Small objects of an archive's stream are merged, so that there are not too many."""

    stream: str


@dataclass(frozen=True)
class PruneArchive:
    """Objects of an archive's stream that hold only numbers before `first` go."""

    stream: str
    first: int


@dataclass(frozen=True)
class SweepArchive:
    """What there is of an archive's stream goes, and its row."""

    stream: str


@dataclass(frozen=True)
class SweepBackup:
    """What a failed backup left in the storage goes; its row stays until it is deleted."""

    backup_id: str


@dataclass(frozen=True)
class VerifyBackup:
    """A backup is restored into an instance made for that, read, and the instance deleted."""

    backup_id: str
    scratch: CreateInstance
    scratch_id: str


@dataclass(frozen=True)
class DeleteInstance:
    """Everything that the instance has goes, and what it took of the quota is given back."""

    final_backup: CreateBackup | None = None
    """Taken first; without it, nothing is deleted."""


@dataclass(frozen=True)
class RestartInstance:
    """The database server is stopped and started; its guest stays up."""


@dataclass(frozen=True)
class ResizeVolume:
    """The data volume grows from `old_gib` to `new_gib`; the difference was charged already."""

    old_gib: int
    new_gib: int


@dataclass(frozen=True)
class AskGuest:
    """What the API asks of an instance's engine: a verb of the agent's, and its order as JSON."""

    verb: str
    order: Any


@dataclass(frozen=True)
class EnableRoot:
    """The engine's administrator for the tenant, with this password from now on."""

    password: Secret


@dataclass(frozen=True)
class DisableRoot:
    """Nobody knows the administrator's password any more."""


@dataclass(frozen=True)
class ResizeFlavor:
    """The server gets another flavor; a difference in memory was charged already."""

    old_flavor: str
    old_ram_mib: int
    new_flavor: str
    new_ram_mib: int


@dataclass(frozen=True)
class UpdateAccess:
    """It can be reached from elsewhere now; connections that are open stay."""

    old: Reach
    new: Reach


@dataclass(frozen=True)
class RotateKeys:
    """The guest gets other keys; one that was shut out is let in again."""


@dataclass(frozen=True)
class ResetStatus:
    """Whatever was going on is stopped; the status was set when this was accepted."""
