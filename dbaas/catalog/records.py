"""What the repositories take and give: frozen values, no rows and no sessions.

Times are `datetime`, UTC, without zone, as the catalog keeps them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dbaas.contract.backups import BackupStatus, Position
from dbaas.contract.messages import Health, Progress, ServiceStatus
from dbaas.contract.secret import Secret
from dbaas.contract.states import Status


@dataclass(frozen=True)
class DatastoreVersion:
    """One version of a datastore; `manager` is the name of the engine that drives it."""

    id: str
    datastore_id: str
    name: str
    version: str
    manager: str
    image_id: str
    image_tags: tuple[str, ...]
    packages: tuple[str, ...]
    active: bool


@dataclass(frozen=True)
class Datastore:
    id: str
    name: str
    default_version_id: str | None
    versions: tuple[DatastoreVersion, ...] = ()


@dataclass(frozen=True)
class QuotaRecord:
    """What a project has of a resource, and may have; a limit of -1 is none."""

    resource: str
    in_use: int
    limit: int


@dataclass(frozen=True)
class NewInstance:
    """A row to be: what a tenant asked for, with everything that follows from it."""

    id: str
    project_id: str
    user_id: str
    name: str
    datastore_version_id: str
    flavor_id: str
    flavor_ram_mib: int
    volume_gib: int
    volume_type: str
    availability_zone: str
    region: str
    access: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class InstanceFault:
    message: str
    details: str | None
    created: datetime


@dataclass(frozen=True, slots=True)
class InstanceLine:
    """An instance as a line of a list; `silence` is the age of its guest's last heartbeat.

    That is in seconds, by the database's clock.
    """

    id: str
    project_id: str
    name: str
    status: Status
    datastore: str
    version_name: str
    flavor_id: str
    volume_gib: int
    region: str
    access: Mapping[str, Any]
    addresses: tuple[Mapping[str, str], ...]
    replica_of: str | None
    replicas: tuple[str, ...]
    created_at: datetime
    health: ServiceStatus
    silence: float


@dataclass(frozen=True, slots=True)
class InstanceRecord(InstanceLine):
    """An instance as it is shown: its row, its datastore and what its guest said last.

    `volume_total` and `volume_used` are bytes, zero before the guest reported.
    """

    version: str
    flavor_ram_mib: int
    server_id: str
    volume_id: str
    fault: InstanceFault | None
    updated_at: datetime
    ready: bool
    volume_total: int
    volume_used: int
    heard_at: datetime | None
    root_enabled_at: datetime | None
    root_enabled_by: str | None
    root_disabled_at: datetime | None
    deleted_at: datetime | None

    @property
    def root_enabled(self) -> bool:
        """Whether the tenant may come in as the engine's administrator now."""
        return self.root_enabled_at is not None and self.root_disabled_at is None


@dataclass(frozen=True)
class LockedInstance:
    """What decides about a change, read under the row's lock."""

    id: str
    project_id: str
    name: str
    status: Status
    flavor_id: str
    flavor_ram_mib: int
    ram_charged_mib: int
    """What the quota was charged for: not what it has while its flavor is changing."""
    access: Mapping[str, Any]
    volume_gib: int
    volume_charged_gib: int
    """What the quota was charged for: more than it has while it is growing."""
    ready: bool


@dataclass(frozen=True)
class GuestIdentity:
    """Who a guest is on the bus; what begins with `contact` is there until it was introduced.

    That is as whom it is told who it is from now on: at first it is nobody, later who it was.
    """

    instance_id: str
    state: str
    user: str
    password: Secret
    key_id: str
    command_key: Secret
    event_key: Secret
    contact_user: str | None = None
    contact_password: Secret | None = None
    contact_key: Secret | None = None
    contact_key_id: str | None = None

    @property
    def users(self) -> tuple[str, ...]:
        """The broker users that it has."""
        return users_of(self.user, self.contact_user)


def users_of(user: str, contact_user: str | None) -> tuple[str, ...]:
    return (user,) if contact_user is None else (user, contact_user)


@dataclass(frozen=True, slots=True)
class GuestUsers:
    """A guest's broker users, without their secrets."""

    instance_id: str
    state: str
    users: tuple[str, ...]


@dataclass(frozen=True)
class GuestView:
    """A guest as operators see it."""

    instance_id: str
    state: str
    quarantined_at: datetime | None
    heard_at: datetime | None


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a guest said of its health, and when in its life: boots first, then events of a boot."""

    boot: int
    seq: int
    health: Health

    @property
    def moment(self) -> tuple[int, int]:
        return self.boot, self.seq


@dataclass(frozen=True)
class Outstanding:
    """A command that waits for its answer."""

    id: str
    operation_id: str
    instance_id: str
    method: str


@dataclass(frozen=True)
class NewBackup:
    """A backup to be, or one that was made elsewhere and is registered; sizes in bytes.

    `operation_id`: what makes it. One that is registered is usable at once.
    """

    id: str
    project_id: str
    user_id: str
    name: str
    description: str | None
    instance_id: str | None
    datastore_version_id: str
    strategy: str
    storage: str
    container: str
    parent_id: str | None = None
    schedule_id: str | None = None
    operation_id: str | None = None


@dataclass(frozen=True)
class Registration:
    """What is known of a backup that was made elsewhere, from its manifest or from its object."""

    account: str
    object_name: str
    location: str
    stored_size: int
    restored_size: int
    data_size: int | None = None
    data_key: Any = None
    manifest_sha256: str | None = None
    position: Position | None = None
    engine_version: str = ""
    taken_at: float | None = None
    """In seconds since 1970."""


@dataclass(frozen=True)
class LockedBackup:
    """What decides about a change, read under the row's lock."""

    id: str
    project_id: str
    name: str
    status: BackupStatus
    deleting: bool
    instance_id: str | None
    parent_id: str | None
    operation_id: str | None


@dataclass(frozen=True)
class Reached:
    """How far an archive was known to be: up to that object of that stream it was stored."""

    stream: str
    sequence: int


@dataclass(frozen=True, slots=True)
class BackupRecord:
    """A backup with the datastore of which it is; sizes in bytes, None while they are unknown.

    `engine` is the name of what drives the datastore, `data_key` sealed JSON, and `progress` what
    the guest said last of its making: both None where there is none.
    """

    id: str
    project_id: str
    user_id: str
    name: str
    description: str | None
    instance_id: str | None
    parent_id: str | None
    status: BackupStatus
    datastore_id: str
    datastore: str
    version_id: str
    version_name: str
    version: str
    engine: str
    strategy: str
    storage: str
    account: str
    container: str
    object_name: str
    location: str | None
    data_key: Any
    manifest_sha256: str | None
    stored_size: int | None
    data_size: int | None
    restored_size: int | None
    position: Position | None
    engine_version: str
    taken_at: datetime | None
    reached: Reached | None
    seconds: float | None
    schedule_id: str | None
    operation_id: str | None
    deleting: bool
    fault: str | None
    verified_at: datetime | None
    verification: Mapping[str, Any] | None
    created_at: datetime
    updated_at: datetime
    deleted_at: datetime | None
    progress: Progress | None
