"""The MariaDB of all services, and the databases in it."""

from pathlib import Path

import pymysql
import pymysql.cursors

from dbaas.host import commands
from tests.openstack.osbox import accounts, place, shared
from tests.openstack.osbox.service import EAGER, Service, service

PORT = 3306
DATABASES = (
    *("keystone", "glance", "placement", "nova_api", "nova", "nova_cell0", "neutron", "cinder"),
    "dbaas",
)
"""The last one is empty: it is for who needs a catalog."""

_SETTINGS = "mariadb.cnf"
_INSTALL_SECONDS = 120.0


def configure() -> None:
    shared.write(
        _SETTINGS,
        {
            "mariadbd": {
                "user": "root",
                "datadir": _data(),
                "socket": _socket(),
                "pid-file": place.HOME.run / "mysqld.pid",
                "bind-address": "0.0.0.0",
                "port": PORT,
                "skip-name-resolve": 1,
                "max_connections": 1500,
                "innodb_buffer_pool_size": "192M",
                "innodb_log_file_size": "128M",
                "innodb_flush_log_at_trx_commit": 0,
                "innodb_doublewrite": 0,
                "innodb_flush_method": "nosync",
                "innodb_file_per_table": 1,
                "innodb_stats_persistent": 0,
                "innodb_buffer_pool_dump_at_shutdown": 0,
                "innodb_buffer_pool_load_at_startup": 0,
                "innodb_fast_shutdown": 2,
                "skip-log-bin": 1,
                "performance_schema": 0,
                "character-set-server": "utf8mb3",
                "table_open_cache": 2000,
                "lc_messages_dir": "/usr/share/mysql",
            }
        },
    )


def services() -> list[Service]:
    settings = shared.settings(_SETTINGS)
    return [service("mariadb", *EAGER, "mariadbd", f"--defaults-file={settings}", serves=_serves)]


def is_installed() -> bool:
    return (_data() / "mysql").is_dir()


def install() -> None:
    """Make an empty data directory."""
    command = [
        "mariadb-install-db", "--no-defaults", f"--datadir={_data()}", "--user=root",
        "--skip-test-db", "--auth-root-authentication-method=normal", "--skip-name-resolve",
    ]  # fmt: skip
    commands.run(command, timeout=_INSTALL_SECONDS, env=place.environment())


def make_databases() -> None:
    for name in DATABASES:
        execute(f"CREATE DATABASE IF NOT EXISTS {name} CHARACTER SET utf8mb3")
    for user, password, rights in (
        ("osbox", accounts.PASSWORD, "*.*"),
        ("dbaas", accounts.DBAAS.password, "dbaas.*"),
    ):
        execute(f"CREATE USER IF NOT EXISTS {user}@'%' IDENTIFIED BY '{password}'")
        execute(f"GRANT ALL ON {rights} TO {user}@'%' WITH GRANT OPTION")


def execute(statement: str, *values: object) -> None:
    with _connection() as link, link.cursor() as cursor:
        cursor.execute(statement, values or None)


def _connection() -> "pymysql.Connection[pymysql.cursors.Cursor]":
    return pymysql.connect(unix_socket=str(_socket()), user="root", autocommit=True)


def _serves() -> bool:
    try:
        execute("SELECT 1")
    except pymysql.Error:
        return False
    return True


def _data() -> Path:
    return place.state("mysql")


def _socket() -> Path:
    return place.HOME.run / "mysqld.sock"
