"""How the service gets, and gets back, its own account in a MariaDB server.

The server runs this at each start before it lets anybody in, and with every right: a data directory
that was just copied is taken over so, and one whose tenant, as `root`, has removed or changed the
service's account is taken back by a restart. Each server has its own account: it is not replicated.
"""

from dataclasses import dataclass
from pathlib import Path

from dbaas.engines.mariadb.names import ADMIN, ROOT


@dataclass(frozen=True)
class Entrance:
    """The way by which the service comes in."""

    socket: Path
    password: Path | None = None
    """File with the service's password; None: it comes as the machine's root, and needs none."""


def script(password: str) -> str:
    """Return what the server runs; `password`, of harmless characters, is empty for root's way.

    MariaDB documentation: "Server System Variables", `init_file`. Only the machine's root can be
    `os_admin` ("Authentication Plugin - Unix Socket": `AS` names the machine's account, since
    11.7), so there is no password to keep where there is such. The account that the template came
    with is closed.
    """
    identified = f"BY '{password}'" if password else "VIA unix_socket AS 'root'"
    return f"""\
SET SESSION sql_log_bin = 0, sql_mode = '', tx_read_only = 0;
CREATE OR REPLACE USER {ADMIN}@localhost IDENTIFIED {identified} PASSWORD EXPIRE NEVER;
GRANT ALL PRIVILEGES ON *.* TO {ADMIN}@localhost WITH GRANT OPTION;
ALTER USER IF EXISTS {ROOT}@localhost IDENTIFIED VIA unix_socket ACCOUNT LOCK;
"""
