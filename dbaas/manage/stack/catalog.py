"""The stack's own MariaDB for the catalog: the host's server, with a data directory of ours."""

import hashlib
import shutil
import socket
from ipaddress import IPv4Address
from pathlib import Path

from dbaas.contract.secret import Secret
from dbaas.host import commands, files
from dbaas.manage.stack import accounts
from dbaas.manage.stack.credentials import CATALOG_USER, PRIVATE, Credentials
from dbaas.manage.stack.plan import Plan
from dbaas.manage.stack.programs import Program

CATALOG = "catalog"
DATABASE = "dbaas"
LOOPBACK = IPv4Address("127.0.0.1")

_INSTALL_SECONDS = 120.0
_PROTOCOL = 10
"""The first byte that a server says (protocol version, MariaDB's "initial handshake packet")."""


def configure(plan: Plan, known: Credentials) -> None:
    """Write all that the server reads; the same again when it runs already."""
    account = accounts.for_catalog(plan.directory)
    account.make_directory(plan.catalog)
    account.make_directory(plan.catalog / "tmp")
    files.write(plan.catalog / "my.cnf", _settings(plan))
    files.write(plan.catalog / "init.sql", _accounts(known.catalog), mode=PRIVATE)
    account.own(plan.catalog / "init.sql")


def install(plan: Plan) -> None:
    """Make the data directory, once; what a crash left of an attempt is replaced."""
    data = plan.catalog / "data"
    if data.exists():
        return
    account = accounts.for_catalog(plan.directory)
    fresh = plan.catalog / "data.new"
    shutil.rmtree(fresh, ignore_errors=True)
    account.make_directory(fresh)
    command = [
        "mariadb-install-db", f"--defaults-file={plan.catalog / 'my.cnf'}", f"--datadir={fresh}",
        "--auth-root-authentication-method=socket", "--auth-root-socket-user=root",
        "--skip-test-db", "--skip-name-resolve", "--force",  # whatever the host is called
    ]  # fmt: skip
    commands.run(account.command(command), timeout=_INSTALL_SECONDS)
    fresh.rename(data)
    files.sync_directory(plan.catalog)


def program(plan: Plan) -> Program:
    server = ["/usr/sbin/mariadbd", f"--defaults-file={plan.catalog / 'my.cnf'}"]
    account = accounts.for_catalog(plan.directory)
    if account.uid == 0:
        server.append("--user=root")  # it refuses to run as root unless told to
    command = account.command(server)
    return Program(CATALOG, tuple(command), plan.catalog, {"HOME": str(plan.catalog)})


def is_ready(plan: Plan) -> bool:
    """Tell whether the server greets; it does so when the accounts are made."""
    try:
        with socket.create_connection((str(LOOPBACK), plan.ports.catalog), timeout=1) as link:
            greeting = link.recv(5)
    except OSError:
        return False
    return len(greeting) > 4 and greeting[4] == _PROTOCOL


def url(plan: Plan, known: Credentials) -> str:
    """Return the catalog's address in SQLAlchemy's form, with the password."""
    return (
        f"mysql+pymysql://{CATALOG_USER}:{known.catalog.reveal()}"
        f"@{LOOPBACK}:{plan.ports.catalog}/{DATABASE}?charset=utf8mb4"
    )


def _settings(plan: Plan) -> str:
    home: Path = plan.catalog
    return f"""\
[mariadbd]
datadir = {home / "data"}
tmpdir = {home / "tmp"}
socket = {home / "catalog.sock"}
pid_file = {home / "catalog.pid"}
init_file = {home / "init.sql"}
bind_address = {LOOPBACK}
port = {plan.ports.catalog}
skip_name_resolve
local_infile = OFF
max_connections = 500
character_set_server = utf8mb4
collation_server = utf8mb4_general_ci
default_time_zone = +00:00
transaction_isolation = READ-COMMITTED
innodb_buffer_pool_size = 128M
innodb_log_file_size = 64M
innodb_flush_log_at_trx_commit = 1
innodb_file_per_table = ON
performance_schema = OFF
"""


def _accounts(password: Secret) -> str:
    """Return what the server executes at every start, before it takes connections."""
    user = f"'{CATALOG_USER}'@'{LOOPBACK}'"
    return f"""\
CREATE DATABASE IF NOT EXISTS {DATABASE} CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
CREATE USER IF NOT EXISTS {user} IDENTIFIED BY PASSWORD '{_hash(password)}';
ALTER USER {user} IDENTIFIED BY PASSWORD '{_hash(password)}';
GRANT ALL PRIVILEGES ON {DATABASE}.* TO {user};
"""


def _hash(password: Secret) -> str:
    """Return what MariaDB keeps of a password (mysql_native_password: SHA-1, twice)."""
    once = hashlib.sha1(password.reveal().encode()).digest()  # noqa: S324  # given by the server
    return "*" + hashlib.sha1(once).hexdigest().upper()  # noqa: S324
