"""MariaDB's configuration: a pure function of the machine, and of what its owner wants otherwise.

Facts about variables are from the MariaDB Server documentation, "Server System Variables" and
"InnoDB System Variables", 11.8.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dbaas.contract import errors

MIB = 1 << 20

POOL_SHARES = ((512, 1 / 8), (1024, 1 / 4), (4096, 2 / 5), (16384, 3 / 5), (1 << 60, 7 / 10))
"""Below so many MiB of memory, this share of it is InnoDB's buffer pool: the smaller the machine,
the more of it goes to threads, the agent and the kernel."""

POOL_LIMIT = 3 / 4
"""Share of the kernel's memory up to which the buffer pool can grow while the server runs: it is
address space only until then, of which the kernel gives no more than it has memory."""

_NAMES = """
autocommit auto_increment_increment auto_increment_offset bulk_insert_buffer_size
character_set_client character_set_collations character_set_connection character_set_database
character_set_filesystem character_set_results character_set_server collation_connection
collation_database collation_server concurrent_insert connect_timeout default_week_format
div_precision_increment event_scheduler explicit_defaults_for_timestamp group_concat_max_len
idle_readonly_transaction_timeout idle_transaction_timeout idle_write_transaction_timeout
innodb_adaptive_hash_index innodb_autoinc_lock_mode innodb_buffer_pool_size
innodb_compression_level innodb_deadlock_detect innodb_fill_factor innodb_file_per_table
innodb_flush_log_at_trx_commit innodb_flush_neighbors innodb_ft_max_token_size
innodb_ft_min_token_size innodb_io_capacity innodb_io_capacity_max innodb_lock_wait_timeout
innodb_log_buffer_size innodb_log_file_size innodb_lru_scan_depth innodb_max_dirty_pages_pct
innodb_old_blocks_time innodb_online_alter_log_max_size innodb_open_files
innodb_print_all_deadlocks innodb_purge_threads innodb_read_io_threads
innodb_rollback_on_timeout innodb_sort_buffer_size innodb_stats_on_metadata
innodb_stats_persistent innodb_stats_persistent_sample_pages innodb_strict_mode
innodb_thread_concurrency innodb_write_io_threads interactive_timeout join_buffer_size
join_cache_level key_buffer_size log_warnings long_query_time lower_case_table_names
max_allowed_packet max_connect_errors max_connections max_heap_table_size
max_prepared_stmt_count max_sort_length max_statement_time max_user_connections
myisam_sort_buffer_size net_read_timeout net_write_timeout optimizer_search_depth
optimizer_switch performance_schema query_cache_limit query_cache_size query_cache_type
read_buffer_size read_rnd_buffer_size sort_buffer_size sql_mode sync_binlog
table_definition_cache table_open_cache thread_cache_size time_zone tmp_memory_table_size
tmp_table_size transaction_isolation userstat wait_timeout
"""
TENANT_SETTINGS = frozenset(_NAMES.split())
"""What the instance's owner may set. Not among them: paths, addresses, plugins, TLS, logs, the
binary log's names and the server's identity, on which the service relies."""

LOG_SECONDS = "86400"

LATER = frozenset(("max_binlog_total_size", "slave_connections_needed_for_purge"))
"""Variables that 10.11 does not have."""

KEEPS_ALL = {"binlog_expire_logs_seconds": "0", "max_binlog_total_size": "0"}
"""MariaDB documentation, "Using and Maintaining the Binary Log": 0 is never, and any size."""

VALUE = re.compile(r"[\w.,:+/=-][\w.,:+/= -]{0,499}|", re.ASCII)


@dataclass(frozen=True)
class Machine:
    """What the server is made to fit: memory, and the volume's bytes."""

    memory_mib: int
    volume: int
    server_id: int
    kernel_mib: int = 0
    """Memory that the kernel has, perhaps for several guests; 0: it gives no address space but for
    memory that it has left."""


@dataclass(frozen=True)
class Sheet:
    """What an option file is made from, kept beside it: so that it can be made again, for another
    machine."""

    machine: Machine
    settings: Mapping[str, str]
    """The owner's, checked."""
    keeps_log: bool = False
    """Whether the server leaves it to the agent to remove what it logged."""


@dataclass(frozen=True)
class Layout:
    """The files that the configuration names."""

    data: Path
    temporary: Path
    socket: Path
    pid_file: Path
    certificate: Path
    key: Path
    authority: Path
    take_over: Path
    """What the server runs at each start, before it lets anybody in."""
    address: str = "*"
    """Where it listens; who reaches it is decided by the network."""


def checked(settings: Mapping[str, str]) -> dict[str, str]:
    """Return the owner's settings by the server's names; raise `Invalid` for a refused one."""
    accepted = {}
    for name, value in settings.items():
        plain = name.lower().replace("-", "_")
        if plain not in TENANT_SETTINGS:
            raise errors.Invalid(f"{name[:64]!r} is no setting that may be changed")
        if not VALUE.fullmatch(value):
            raise errors.Invalid(f"{name} cannot be {value[:64]!r}")
        accepted[plain] = value
    return accepted


def render(sheet: Sheet, layout: Layout) -> str:
    """Return the option file."""
    values = {**_fixed(sheet.machine, layout), **sizes(sheet.machine), **sheet.settings}
    if sheet.keeps_log:
        values |= KEEPS_ALL
    lines = "".join(f"{_spelled(name)} = {value}\n" for name, value in values.items())
    return f"# Written by the guest agent; changes made here are lost.\n[mariadbd]\n{lines}"


def _spelled(name: str) -> str:
    """Return the name as an option file has it: 10.11 passes over a `loose_` one it has not."""
    return f"loose_{name}" if name in LATER else name


def log_limits(sheet: Sheet) -> dict[str, str]:
    """Return what of its log the server removes by itself, by its variables."""
    if sheet.keeps_log:
        return KEEPS_ALL
    total = f"{_log_total(sheet.machine) * MIB}"
    return {"binlog_expire_logs_seconds": LOG_SECONDS, "max_binlog_total_size": total}


def sizes(machine: Machine) -> dict[str, str]:
    """Return what depends on the size of memory and volume."""
    memory, volume = machine.memory_mib, machine.volume // MIB
    share = next(share for limit, share in POOL_SHARES if memory < limit)
    pool = max(16, int(memory * share))
    temporary = _between(4, memory // 64, 256)
    return {
        "innodb_buffer_pool_size": f"{pool}M",
        "innodb_buffer_pool_size_max": f"{max(pool, int(machine.kernel_mib * POOL_LIMIT))}M",
        "innodb_log_file_size": f"{_between(16, min(pool, volume // 20), 2048)}M",
        "innodb_log_buffer_size": f"{_between(2, memory // 256, 64)}M",
        "innodb_read_io_threads": str(_between(1, memory // 1024, 8)),
        "innodb_write_io_threads": str(_between(2, memory // 1024, 8)),
        "innodb_purge_threads": str(_between(1, memory // 1024, 4)),
        "aria_pagecache_buffer_size": f"{_between(8, memory // 128, 256)}M",
        "max_connections": str(_between(50, memory * 100 // 512, 5000)),
        "table_open_cache": str(_between(200, memory // 2, 8000)),
        "table_definition_cache": str(_between(400, memory // 2, 8000)),
        "thread_cache_size": str(_between(4, memory // 64, 256)),
        "tmp_table_size": f"{temporary}M",
        "max_heap_table_size": f"{temporary}M",
        "max_binlog_size": f"{_between(16, volume // 64, 1024)}M",
        "max_binlog_total_size": f"{_log_total(machine)}M",
    }


def _log_total(machine: Machine) -> int:
    return _between(64, machine.volume // MIB // 10, 1 << 16)


def _fixed(machine: Machine, layout: Layout) -> dict[str, str]:
    return {
        "datadir": str(layout.data),
        "tmpdir": str(layout.temporary),
        "secure_file_priv": str(layout.temporary),
        "socket": str(layout.socket),
        "init_file": str(layout.take_over),
        "pid_file": str(layout.pid_file),
        "bind_address": layout.address,
        "port": "3306",
        "skip_name_resolve": "ON",
        "host_cache_size": "0",
        "local_infile": "OFF",
        "symbolic_links": "OFF",
        # TLS is there for all, and not required: that is the account's owner to decide.
        "ssl_cert": str(layout.certificate),
        "ssl_key": str(layout.key),
        "ssl_ca": str(layout.authority),
        "tls_version": "TLSv1.2,TLSv1.3",
        # Ready to be replicated and to be rolled forward from a backup.
        "server_id": str(machine.server_id),
        "log_bin": "binlog",
        "relay_log": "relay",
        "binlog_format": "ROW",
        "log_slave_updates": "ON",
        "gtid_strict_mode": "ON",
        "sync_binlog": "1",
        "binlog_expire_logs_seconds": LOG_SECONDS,
        "slave_connections_needed_for_purge": "0",
        # What an idle server would hold without using it.
        "performance_schema": "OFF",
        "key_buffer_size": "1M",
        "query_cache_type": "OFF",
        "query_cache_size": "0",
        "innodb_temp_data_file_path": "ibtmp1:1M:autoextend",
        "innodb_autoextend_increment": "8",
        "innodb_flush_log_at_trx_commit": "1",
    }


def _between(least: int, wanted: int, most: int) -> int:
    return max(least, min(wanted, most))
