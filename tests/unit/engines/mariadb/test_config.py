import itertools
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.engines.mariadb import config
from dbaas.engines.mariadb.config import Layout, Machine, Sheet

X = Path("/x")
LAYOUT = Layout(
    X / "data", X / "tmp", X / "sock", X / "pid", X / "crt", X / "key", X / "ca", X / "sql"
)
GIB = 1 << 30
MEMORIES = (256, 384, 512, 1023, 1024, 2048, 4095, 4096, 8192, 16384, 32768, 65536)


def options(text: str) -> dict[str, str]:
    pairs = [line.split(" = ", 1) for line in text.splitlines() if " = " in line]
    return dict(pairs)


def mebibytes(value: str) -> int:
    return int(value.removesuffix("M"))


@pytest.mark.parametrize("memory", MEMORIES)
def test_what_is_reserved_fits_the_memory(memory: int) -> None:
    sizes = config.sizes(Machine(memory, 20 * GIB, 1))
    reserved = sum(
        mebibytes(sizes[name])
        for name in (
            "innodb_buffer_pool_size", "innodb_log_buffer_size", "aria_pagecache_buffer_size"
        )
    )  # fmt: skip
    assert reserved <= memory * 3 // 4
    assert reserved + 80 <= memory


def test_more_memory_never_means_less_of_anything() -> None:
    machines = [config.sizes(Machine(memory, 1 << 50, 1)) for memory in MEMORIES]
    for smaller, larger in itertools.pairwise(machines):
        for name in smaller:
            assert mebibytes(smaller[name]) <= mebibytes(larger[name]), name


@pytest.mark.parametrize("volume", [GIB, 2 * GIB, 10 * GIB, 1 << 40])
@pytest.mark.parametrize("memory", MEMORIES)
def test_the_logs_leave_most_of_the_volume_to_data(memory: int, volume: int) -> None:
    sizes = config.sizes(Machine(memory, volume, 1))
    logs = mebibytes(sizes["innodb_log_file_size"]) + mebibytes(sizes["max_binlog_total_size"])
    assert logs << 20 <= volume * 0.16


def test_a_small_guest_holds_no_memory_that_it_does_not_use() -> None:
    small = options(config.render(Sheet(Machine(256, GIB, 1), {}), LAYOUT))
    assert small["innodb_buffer_pool_size"] == "32M"
    assert small["aria_pagecache_buffer_size"] == "8M"
    assert small["key_buffer_size"] == "1M"
    assert small["performance_schema"] == "OFF"


def test_the_server_speaks_tls_and_logs_for_replication() -> None:
    rendered = options(config.render(Sheet(Machine(512, GIB, 4711), {}), LAYOUT))
    assert rendered["server_id"] == "4711"
    assert rendered["log_bin"]
    assert rendered["gtid_strict_mode"] == "ON"
    assert rendered["tls_version"] == "TLSv1.2,TLSv1.3"
    assert (rendered["ssl_cert"], rendered["ssl_key"], rendered["ssl_ca"]) == (
        "/x/crt", "/x/key", "/x/ca"
    )  # fmt: skip
    assert rendered["local_infile"] == "OFF"


def test_the_owner_s_settings_come_last_whatever_their_spelling() -> None:
    wanted = {"Max-Connections": "7", "sql_mode": "ANSI,TRADITIONAL"}
    rendered = options(config.render(Sheet(Machine(512, GIB, 1), config.checked(wanted)), LAYOUT))
    assert rendered["max_connections"] == "7"
    assert rendered["sql_mode"] == "ANSI,TRADITIONAL"


@pytest.mark.parametrize(
    "name",
    ["datadir", "plugin_load_add", "init_file", "skip_grant_tables", "ssl_key", "server_id",
     "secure_file_priv", "bind_address", "log_bin", "general_log_file", "local_infile",
     "loose_plugin_load", "", "max_connections\nuser", "[mariadbd]"],
)  # fmt: skip
def test_a_setting_that_is_not_the_owner_s_is_refused(name: str) -> None:
    with pytest.raises(errors.Invalid, match="no setting that may be changed"):
        config.checked({name: "1"})


@pytest.mark.parametrize("value", ["1\nuser=root", "1\n", "#", "'", "a;b", "x" * 501, "\\n", " 1"])
def test_a_value_cannot_begin_another_line(value: str) -> None:
    with pytest.raises(errors.Invalid, match="cannot be"):
        config.checked({"sql_mode": value})
