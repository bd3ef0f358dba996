"""The catalog's tables, as SQLAlchemy Core knows them; `migrations/` makes them.

Times are UTC with microseconds and are set by the database (`NOW(6)`): no process's clock
is trusted. Identifiers are ASCII, so that an index entry is small and comparisons are by byte.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Computed,
    Float,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects import mysql

metadata = MetaData()

NOW = text("CURRENT_TIMESTAMP(6)")


def ascii_key(length: int) -> String:
    return mysql.VARCHAR(length, charset="ascii", collation="ascii_bin")


ID = ascii_key(36)
TIME = mysql.DATETIME(fsp=6)
JSON = mysql.LONGTEXT(charset="utf8mb4", collation="utf8mb4_bin")

_OPTIONS: dict[str, Any] = {
    "mysql_engine": "InnoDB",
    "mysql_charset": "utf8mb4",
    "mysql_collate": "utf8mb4_unicode_ci",
}

datastores = Table(
    "datastores",
    metadata,
    Column("id", ID, primary_key=True),
    Column("name", String(255), nullable=False, unique=True),
    Column("default_version_id", ID),
    **_OPTIONS,
)

datastore_versions = Table(
    "datastore_versions",
    metadata,
    Column("id", ID, primary_key=True),
    Column("datastore_id", ID, ForeignKey("datastores.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("manager", String(255), nullable=False),
    Column("image_id", String(255), nullable=False, server_default=""),
    Column("image_tags", JSON, nullable=False),
    Column("packages", JSON, nullable=False),
    Column("active", Boolean, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    Index("datastore_versions_name", "datastore_id", "name", "version", unique=True),
    **_OPTIONS,
)

instances = Table(
    "instances",
    metadata,
    Column("id", ID, primary_key=True),
    Column("project_id", ascii_key(64), nullable=False),
    Column("user_id", ascii_key(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("status", ascii_key(32), nullable=False),
    Column("datastore_version_id", ID, ForeignKey("datastore_versions.id"), nullable=False),
    Column("flavor_id", String(255), nullable=False),
    Column("flavor_ram_mib", Integer, nullable=False),
    # What the quota was charged for: ahead of `flavor_ram_mib` while the flavor is changing.
    Column("ram_charged_mib", Integer, nullable=False),
    Column("volume_gib", Integer, nullable=False),
    # What the quota was charged for: ahead of `volume_gib` while the volume is growing.
    Column("volume_charged_gib", Integer, nullable=False),
    Column("volume_type", String(255), nullable=False, server_default=""),
    Column("availability_zone", String(255), nullable=False, server_default=""),
    Column("region", String(255), nullable=False, server_default=""),
    Column("access", JSON, nullable=False),
    Column("addresses", JSON, nullable=False),
    Column("replica_of", ID, ForeignKey("instances.id")),
    Column("server_id", ascii_key(64), nullable=False, server_default=""),
    Column("volume_id", ascii_key(64), nullable=False, server_default=""),
    Column("fault_message", Text),
    Column("fault_details", Text),
    Column("fault_at", TIME),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    Column("ready_at", TIME),
    Column("root_enabled_at", TIME),
    Column("root_enabled_by", ascii_key(64)),
    Column("root_disabled_at", TIME),
    # PEM: what its engine shows to clients, then the authority that signed it.
    Column("certificate", Text),
    Column("deleted_at", TIME),
    # Every list asks for one project's living instances in the order of their ids.
    Column("alive", Boolean, Computed("deleted_at IS NULL", persisted=True)),
    Index("instances_project", "project_id", "alive", "id"),
    Index("instances_replica_of", "replica_of"),
    # Administrators see every project's, the changed ones first.
    Index("instances_updated", "updated_at", "id"),
    **_OPTIONS,
)

guests = Table(
    "guests",
    metadata,
    Column("instance_id", ID, ForeignKey("instances.id"), primary_key=True),
    Column("state", ascii_key(16), nullable=False),
    Column("bus_user", ascii_key(64), nullable=False),
    Column("bus_password", JSON, nullable=False),
    Column("key_id", ascii_key(16), nullable=False),
    Column("command_key", JSON, nullable=False),
    Column("event_key", JSON, nullable=False),
    Column("contact_user", ascii_key(64)),
    Column("contact_password", JSON),
    Column("contact_key", JSON),
    Column("contact_key_id", ascii_key(16)),
    Column("quarantined_at", TIME),
    **_OPTIONS,
)

# Written by every heartbeat: on its own, so that heartbeats never wait for an operation's row lock.
guest_health = Table(
    "guest_health",
    metadata,
    Column("instance_id", ID, primary_key=True),
    Column("boot", BigInteger, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("service", ascii_key(32), nullable=False),
    Column("volume_total", BigInteger, nullable=False, server_default="0"),
    Column("volume_used", BigInteger, nullable=False, server_default="0"),
    Column("engine_version", String(64), nullable=False, server_default=""),
    Column("uptime", Float, nullable=False, server_default="0"),
    Column("progress", JSON, nullable=False),
    Column("archive", JSON),
    # Whether it wants something for its archive: leave to go on, or another stream.
    Column("archive_calls", Boolean, nullable=False, server_default="0"),
    Column("heard_at", TIME, nullable=False, server_default=NOW),
    **_OPTIONS,
)

operations = Table(
    "operations",
    metadata,
    Column("id", ID, primary_key=True),
    Column("kind", ascii_key(64), nullable=False),
    Column("project_id", ascii_key(64), nullable=False),
    Column("user_id", ascii_key(64), nullable=False),
    Column("request_id", ascii_key(64), nullable=False),
    Column("client_ip", ascii_key(64), nullable=False, server_default=""),
    Column("instance_id", ID, nullable=False),
    Column("state", ascii_key(16), nullable=False),
    Column("phase", ascii_key(8), nullable=False, server_default="do"),
    Column("step", Integer, nullable=False, server_default="0"),
    Column("attempt", Integer, nullable=False, server_default="1"),
    Column("pivoted", Boolean, nullable=False, server_default="0"),
    Column("request", JSON, nullable=False),
    Column("data", JSON),
    # What a guest was asked for, until whoever waits for it has it, or a minute is over.
    Column("answer", JSON),
    Column("run_at", TIME),
    Column("step_deadline", TIME),
    Column("deadline", TIME),
    Column("owner", String(255)),
    Column("epoch", Integer, nullable=False, server_default="0"),
    Column("lease_until", TIME),
    Column("wakes", Integer, nullable=False, server_default="0"),
    Column("after_id", ID),
    Column("superseded_by", ID),
    Column("fault_kind", ascii_key(32)),
    Column("fault_message", Text),
    Column("fault_details", Text),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    Column("finished_at", TIME),
    Index("operations_pick", "state", "run_at"),
    Index("operations_project", "project_id", "created_at"),
    Index("operations_instance", "instance_id", "created_at"),
    Index("operations_after", "after_id"),
    Index("operations_finished", "finished_at"),
    **_OPTIONS,
)

operation_steps = Table(
    "operation_steps",
    metadata,
    Column("operation_id", ID, ForeignKey("operations.id"), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("name", ascii_key(128), nullable=False),
    Column("state", ascii_key(16), nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("started_at", TIME),
    Column("finished_at", TIME),
    Column("message", Text),
    **_OPTIONS,
)

instance_locks = Table(
    "instance_locks",
    metadata,
    Column("instance_id", ID, primary_key=True),
    Column("operation_id", ID, nullable=False),
    Index("instance_locks_operation", "operation_id"),
    **_OPTIONS,
)

commands = Table(
    "commands",
    metadata,
    Column("id", ascii_key(128), primary_key=True),
    Column("operation_id", ID, nullable=False),
    Column("instance_id", ID, nullable=False),
    Column("method", ascii_key(64), nullable=False),
    Column("digest", ascii_key(64), nullable=False),
    Column("state", ascii_key(16), nullable=False),
    Column("result", JSON),
    Column("sent_at", TIME, nullable=False, server_default=NOW),
    Column("deadline", TIME, nullable=False),
    Column("answered_at", TIME),
    Index("commands_operation", "operation_id"),
    **_OPTIONS,
)

ledger = Table(
    "ledger",
    metadata,
    Column("name", ascii_key(128), primary_key=True),
    Column("instance_id", ID, nullable=False),
    Column("operation_id", ID, nullable=False),
    Column("kind", ascii_key(16), nullable=False),
    Column("generation", Integer, nullable=False),
    Column("state", ascii_key(16), nullable=False),
    Column("external_id", ascii_key(64), nullable=False, server_default=""),
    Column("intended_at", TIME, nullable=False, server_default=NOW),
    Column("tried_at", TIME),
    Column("gone_at", TIME),
    Index("ledger_instance", "instance_id", "kind"),
    Index("ledger_state", "state"),
    **_OPTIONS,
)

idempotency_keys = Table(
    "idempotency_keys",
    metadata,
    Column("project_id", ascii_key(64), primary_key=True),
    Column("key", mysql.VARBINARY(255), primary_key=True),
    Column("digest", ascii_key(64), nullable=False),
    Column("answer", JSON, nullable=False),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Index("idempotency_keys_created", "created_at"),
    **_OPTIONS,
)

quotas = Table(
    "quotas",
    metadata,
    Column("project_id", ascii_key(64), primary_key=True),
    Column("resource", ascii_key(32), primary_key=True),
    Column("hard_limit", Integer, nullable=False),
    **_OPTIONS,
)

quota_usages = Table(
    "quota_usages",
    metadata,
    Column("project_id", ascii_key(64), primary_key=True),
    Column("resource", ascii_key(32), primary_key=True),
    Column("in_use", BigInteger, nullable=False, server_default="0"),
    **_OPTIONS,
)

leases = Table(
    "leases",
    metadata,
    Column("name", ascii_key(64), primary_key=True),
    Column("owner", String(255), nullable=False),
    Column("until", TIME, nullable=False),
    **_OPTIONS,
)

backups = Table(
    "backups",
    metadata,
    Column("id", ID, primary_key=True),
    Column("project_id", ascii_key(64), nullable=False),
    Column("user_id", ascii_key(64), nullable=False),
    Column("name", String(255), nullable=False),
    Column("description", Text),
    # Of one that was registered: none. The instance may be deleted by now.
    Column("instance_id", ID),
    Column("parent_id", ID, ForeignKey("backups.id")),
    Column("datastore_version_id", ID, ForeignKey("datastore_versions.id"), nullable=False),
    Column("status", ascii_key(16), nullable=False),
    Column("strategy", ascii_key(32), nullable=False),
    # Where its objects are: below a prefix which is its id. Of one that was registered, the name of
    # the object that was named then: a manifest of ours, or a plain stream.
    Column("storage", ascii_key(32), nullable=False),
    Column("account", String(255), nullable=False),
    Column("container", String(255), nullable=False),
    Column("object_name", String(1024), nullable=False, server_default=""),
    Column("location", String(2048)),
    Column("data_key", JSON),
    Column("manifest_sha256", ascii_key(64)),
    Column("stored_size", BigInteger),
    Column("data_size", BigInteger),
    Column("restored_size", BigInteger),
    Column("position", JSON),
    Column("engine_version", String(64), nullable=False, server_default=""),
    # The moment whose data it has, by the guest's clock.
    Column("taken_at", TIME),
    # How far its instance's archive was known to be before the engine was read.
    Column("archive_stream", ID),
    Column("archive_sequence", BigInteger),
    Column("seconds", Float),
    Column("schedule_id", ID),
    # What is at it: its making, or its deletion.
    Column("operation_id", ID),
    Column("deleting", Boolean, nullable=False, server_default="0"),
    # No grant for its objects is good after this.
    Column("granted_until", TIME),
    Column("swept_at", TIME),
    Column("fault_message", Text),
    Column("verified_at", TIME),
    Column("verification", JSON),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    Column("deleted_at", TIME),
    Column("alive", Boolean, Computed("deleted_at IS NULL", persisted=True)),
    Index("backups_project", "project_id", "alive", "updated_at", "id"),
    Index("backups_instance", "instance_id", "alive", "updated_at", "id"),
    Index("backups_updated", "alive", "updated_at", "id"),
    Index("backups_parent", "parent_id"),
    Index("backups_operation", "operation_id"),
    Index("backups_schedule", "schedule_id", "alive"),
    Index("backups_swept", "swept_at", "status"),
    **_OPTIONS,
)

# What operations read of backups, which are not deleted meanwhile.
backup_readers = Table(
    "backup_readers",
    metadata,
    Column("backup_id", ID, primary_key=True),
    Column("operation_id", ID, primary_key=True),
    Index("backup_readers_operation", "operation_id"),
    **_OPTIONS,
)

# What an instance's engine logs, in a row of streams without gaps. One that has not ended is what
# the instance is to do.
archives = Table(
    "archives",
    metadata,
    Column("id", ID, primary_key=True),
    Column("instance_id", ID, nullable=False),
    Column("project_id", ascii_key(64), nullable=False),
    Column("user_id", ascii_key(64), nullable=False),
    Column("strategy", ascii_key(32), nullable=False),
    Column("storage", ascii_key(32), nullable=False),
    Column("account", String(255), nullable=False),
    Column("container", String(255), nullable=False),
    Column("data_key", JSON, nullable=False),
    # No grant for its objects is good after this.
    Column("granted_until", TIME),
    # What the guest said of it last, once it has ended.
    Column("report", JSON),
    # What was at it last.
    Column("operation_id", ID),
    # Up to which object it was compacted, and when.
    Column("compacted_to", BigInteger, nullable=False, server_default="0"),
    Column("compacted_at", TIME),
    # What is before the first object may be gone, what is up to the other one is; and when it was
    # looked at whether more can go.
    Column("needed_from", BigInteger, nullable=False, server_default="1"),
    Column("pruned_to", BigInteger, nullable=False, server_default="0"),
    Column("pruned_at", TIME),
    # When it is to be seen to that it has a backup to go on from, and why there was none last time.
    Column("base_due_at", TIME),
    Column("base_fault", Text),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("ended_at", TIME),
    Index("archives_instance", "instance_id", "created_at"),
    Index("archives_ended", "ended_at"),
    Index("archives_base_due", "base_due_at"),
    **_OPTIONS,
)

# Where a project's backups go, of one instance or (with an empty id) of all.
backup_strategies = Table(
    "backup_strategies",
    metadata,
    Column("project_id", ascii_key(64), primary_key=True),
    Column("instance_id", ID, primary_key=True),
    Column("backend", ascii_key(32), nullable=False),
    Column("container", String(255), nullable=False),
    **_OPTIONS,
)

backup_schedules = Table(
    "backup_schedules",
    metadata,
    Column("id", ID, primary_key=True),
    Column("project_id", ascii_key(64), nullable=False),
    Column("user_id", ascii_key(64), nullable=False),
    Column("instance_id", ID, ForeignKey("instances.id"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("cron", String(255), nullable=False),
    Column("full_cron", String(255), nullable=False, server_default=""),
    Column("timezone", ascii_key(64), nullable=False),
    Column("keep_count", Integer),
    Column("keep_days", Integer),
    Column("verify", Boolean, nullable=False, server_default="0"),
    Column("storage", ascii_key(32), nullable=False, server_default=""),
    Column("container", String(255), nullable=False, server_default=""),
    Column("enabled", Boolean, nullable=False),
    # When it is due, and when that is looked at again where the instance was busy then.
    Column("next_run_at", TIME),
    Column("try_at", TIME),
    Column("last_run_at", TIME),
    Column("last_backup_id", ID),
    Column("last_fault", Text),
    # When it was looked at which of its backups may go.
    Column("kept_at", TIME),
    Column("created_at", TIME, nullable=False, server_default=NOW),
    Column("updated_at", TIME, nullable=False, server_default=NOW),
    Index("backup_schedules_kept", "kept_at"),
    Index("backup_schedules_due", "enabled", "try_at"),
    Index("backup_schedules_project", "project_id", "id"),
    Index("backup_schedules_instance", "instance_id"),
    **_OPTIONS,
)
