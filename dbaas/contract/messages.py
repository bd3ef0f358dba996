"""The values that travel between the control plane and a guest agent."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from dbaas.contract.secret import Secret


class ServiceStatus(StrEnum):
    """How the database server in a guest is; the words are those of the wire."""

    NEW = "new"
    BUILDING = "building"
    HEALTHY = "healthy"
    RUNNING = "running"
    RESTARTING = "restarting"
    SHUTDOWN = "shutdown"
    CRASHED = "crashed"
    FAILED = "failed to spawn"
    UNKNOWN = "unknown"
    GUEST_ERROR = "guestagent error"


@dataclass(frozen=True)
class DatabaseSpec:
    """A database to be made; empty texts mean the server's own default."""

    name: str
    character_set: str = ""
    collate: str = ""


@dataclass(frozen=True)
class UserSpec:
    """An account to be made, with every right on `databases`."""

    name: str
    password: Secret
    host: str = "%"
    databases: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServerCertificate:
    """What an engine needs to speak TLS; PEM texts, the key is that of an EC P-256 pair."""

    certificate: str
    key: Secret
    authority: str


@dataclass(frozen=True)
class Prepare:
    """Everything that turns an empty guest into a database server."""

    engine: str
    version: str
    memory_mib: int
    server_id: int
    certificate: ServerCertificate
    databases: tuple[DatabaseSpec, ...] = ()
    users: tuple[UserSpec, ...] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Introduction:
    """First contact: who the guest is from now on. Sent under the contact key, repeatable."""

    user: str
    password: Secret
    key_id: str
    command_key: Secret
    """Hex of the 256-bit key under which commands come."""
    event_key: Secret
    """Hex of the 256-bit key under which the guest's events go."""


@dataclass(frozen=True)
class Progress:
    """How far a long command has come, in bytes of the data that it is about.

    `total` is an estimate, 0 where there is none; `stored`: what went into storage, or came from
    it; `rate`: bytes a second, of late.
    """

    done: int = 0
    total: int = 0
    stored: int = 0
    rate: float = 0.0
    wants: int = 0
    """The first segment that it has no grant for, of those that it needs soon; 0: none."""
    backup: str = ""
    """The backup that `wants` is about."""


@dataclass(frozen=True)
class ArchiveReport:
    """How far a guest has archived what its engine logs; seconds since 1970, bytes.

    All that was committed from `since` until `until` is stored, in objects numbered up to
    `sequence`.
    """

    stream: str
    sequence: int = 0
    since: float = 0.0
    until: float = 0.0
    lag: float = 0.0
    """Seconds since the oldest commit that is not stored; 0 where all are."""
    pending: int = 0
    """Bytes that are not stored yet."""
    wants: int = 0
    """The first object that it has no grant for, of those that it needs soon; 0: none."""
    fault: str = ""
    """Why it does not go on now; empty: it does."""
    ended: bool = False
    """Nothing more comes into this stream: something was lost before it was stored."""
    behind: bool = False
    """More than half of what may wait is waiting."""


@dataclass(frozen=True)
class Health:
    """What a heartbeat says; sizes in bytes, `uptime` in seconds."""

    service: ServiceStatus
    volume_total: int = 0
    volume_used: int = 0
    engine_version: str = ""
    uptime: float = 0.0
    progress: Mapping[str, Progress] = field(default_factory=dict)
    """Of long commands, by command id."""
    archive: ArchiveReport | None = None
    """None where nothing is to be archived."""


@dataclass(frozen=True)
class Prepared:
    """The answer to `Prepare`: the first health, so that nobody waits for a heartbeat."""

    health: Health


@dataclass(frozen=True)
class VolumeGrowth:
    """Make the file system at least `size` bytes (less what it needs for itself)."""

    size: int


@dataclass(frozen=True)
class VolumeSize:
    total: int
    used: int


@dataclass(frozen=True)
class Page:
    """Which part of a list: at most `limit` items whose names follow `marker`."""

    limit: int
    marker: str = ""


@dataclass(frozen=True)
class DatabasePage:
    """Names of databases in ascending order; `more`: whether others follow."""

    names: tuple[str, ...]
    more: bool


@dataclass(frozen=True)
class Databases:
    databases: tuple[DatabaseSpec, ...]


@dataclass(frozen=True)
class DatabaseName:
    name: str


@dataclass(frozen=True)
class UserKey:
    """What tells accounts apart: the same name may exist at several hosts."""

    name: str
    host: str = "%"


@dataclass(frozen=True)
class UserView:
    """An account with the databases on which it has rights, in ascending order."""

    name: str
    host: str
    databases: tuple[str, ...]


@dataclass(frozen=True)
class UserPage:
    """Accounts in ascending order of name and host; `more`: whether others follow.

    The marker of a page of users is `name@host`.
    """

    users: tuple[UserView, ...]
    more: bool


@dataclass(frozen=True)
class Users:
    users: tuple[UserSpec, ...]


@dataclass(frozen=True)
class UserChange:
    """What of an account is to change; None: it stays."""

    user: UserKey
    name: str | None = None
    host: str | None = None
    password: Secret | None = None


@dataclass(frozen=True)
class UserChanges:
    """All of them, or none."""

    changes: tuple[UserChange, ...]


@dataclass(frozen=True)
class Access:
    """Rights on databases: every right on each, to be given or taken."""

    user: UserKey
    databases: tuple[str, ...]


@dataclass(frozen=True)
class RootPassword:
    password: Secret


@dataclass(frozen=True)
class Memory:
    """What the guest has of memory from now on."""

    memory_mib: int


@dataclass(frozen=True)
class Grant:
    """Leave to PUT, or to GET, objects whose names begin alike, for a time, and nothing else.

    Made by the control half of the storage strategy of this name (`strategies/grants/`), read by
    the guest's half (`strategies/storage/`). Whoever has it can use it.
    """

    storage: str
    method: str
    url: Secret | None = None
    """Of every object: `{name}` stands for its name below the prefix."""
    urls: Mapping[str, Secret] = field(default_factory=dict)
    """Or of each, by that name."""
    authority: str = ""
    """PEM of who signed the storage's certificate; empty: somebody whom everybody knows."""


@dataclass(frozen=True)
class GrantRenewal:
    """Another grant for the command of this id, which goes on."""

    command: str
    backup: str
    grant: Grant


@dataclass(frozen=True)
class Segment:
    """One object of a backup, as it is stored: after packing and encryption."""

    name: str
    size: int
    sha256: str
    md5: str = ""
    """What a storage with an interface of HTTP has as its ETag; empty where that is no use."""


@dataclass(frozen=True)
class ArchiveOrder:
    """Store what the engine logs, from now on and after any restart; without a stream: do not.

    The same stream with another grant: go on with that.
    """

    strategy: str
    instance: str
    stream: str = ""
    key: Secret | None = None
    """Hex of the 256-bit key under which its objects are encrypted: of this stream alone."""
    grant: Grant | None = None
    piece_size: int = 16 << 20
    """Bytes of the log that an object has at most; the guest has a few times that in memory."""
    share: float = 0.25
    """Of the volume, that what is not stored yet may take."""
    reached: int = 0
    """The last object of the stream that is known to be stored; 0: none, as far as is known."""


@dataclass(frozen=True)
class MergeOrder:
    """Make one object of an archive's stream of these, which follow each other."""

    instance: str
    stream: str
    key: Secret
    first: int
    last: int
    read: Grant
    write: Grant


@dataclass(frozen=True)
class ArchiveReplay:
    """Play what was logged from a place on, of what was committed until a moment, and no more."""

    strategy: str
    instance: str
    """Whose log it is."""
    stream: str
    key: Secret
    grant: Grant
    runs: tuple[str, ...]
    """The objects that hold it, in order: numbers `first-last`, `=` before them if in one."""
    begin: str
    """The place, as `file:offset`."""
    until: float
    """Seconds since 1970, by the clock of the instance that logged."""


@dataclass(frozen=True)
class BackupOrder:
    """Store a backup of what the engine has now."""

    backup: str
    strategy: str
    key: Secret
    """Hex of the 256-bit key under which its stream is encrypted: of this backup alone."""
    grant: Grant
    segment_size: int
    since: Mapping[str, str] = field(default_factory=dict)
    """The position of the backup on which this one builds; empty: a full one."""


@dataclass(frozen=True)
class StoredBackup:
    """What was stored; sizes in bytes, `taken_at` in seconds since 1970 by the guest's clock."""

    segments: tuple[Segment, ...]
    data_size: int
    restored_size: int
    """What a volume needs for what is restored from it."""
    taken_at: float
    """The moment whose data it has."""
    engine_version: str
    seconds: float
    position: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RestorePart:
    """One backup of a chain, or the only one."""

    backup: str
    strategy: str
    grant: Grant
    key: Secret | None = None
    """None where it is not encrypted."""
    manifest_sha256: str = ""
    """Of the manifest's object; empty where there is none: a plain stream of another system."""
    plain: str = ""
    """The end of that stream's one name, after the prefix: it says what it was packed with, as
    `.xbstream.gz`."""


@dataclass(frozen=True)
class RestoreOrder:
    """Lay out, where there is no database server yet, what these backups hold.

    The full one first, then those which build on it, each on the one before.
    """

    engine: str
    version: str
    memory_mib: int
    parts: tuple[RestorePart, ...]
    replay: ArchiveReplay | None = None
    """What is played on it then."""


@dataclass(frozen=True)
class Restored:
    """What was laid out; bytes and seconds."""

    data_size: int
    seconds: float
    replayed_until: float = 0.0
    """When the last transaction that was played on it was committed; 0: none was."""


@dataclass(frozen=True)
class DataCheck:
    """What was read to see that data is whole: every table from its begin to its end."""

    tables: int
    rows: int
    seconds: float


class Fate(StrEnum):
    """What became of a command that its sender wants no more."""

    NEVER_RAN = "never ran"
    FINISHED = "finished"
    STOPPED = "stopped"


@dataclass(frozen=True)
class Cancel:
    """Do not begin the command of this id, or stop it."""

    command: str


@dataclass(frozen=True)
class Cancelled:
    fate: Fate


@dataclass(frozen=True)
class Failure:
    """An error as it travels: its class by name, and text that a tenant may read."""

    kind: str
    text: str


@dataclass(frozen=True)
class Contact:
    """The file that a new server finds: how to reach the broker for first contact, no more.

    Worth nothing once the guest was introduced: the user and the key are deleted then.
    """

    instance: str
    host: str
    port: int
    vhost: str
    authority: str
    """PEM of the authority that signed the broker's certificate."""
    user: str
    password: Secret
    key_id: str
    key: Secret
    """Hex of the 256-bit contact key; commands and the answers of first contact use it."""


CONTACT_FILE = "/etc/dbaas/contact.json"
"""Where a guest finds its `Contact`."""
