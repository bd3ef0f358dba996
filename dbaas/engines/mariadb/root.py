"""The tenant as MariaDB's administrator: let in, and out again.

Such a tenant has every right, and so can break its own server, even shut the service out. What
keeps it inside: files are read and written in one directory only (`secure_file_priv`); code is
loaded from a directory that only the machine's root writes (`plugin_dir`); both stand in the option
file, and cannot be set; and the server runs under an account of its own that owns nothing else.
What brings the service back: see `takeover.py`.
"""

import secrets

from dbaas.contract.secret import Secret
from dbaas.engines.mariadb import accounts, users
from dbaas.engines.mariadb.admin import Session
from dbaas.engines.mariadb.names import ROOT


def enable(session: Session, password: Secret) -> None:
    """Let the tenant in as `root` from everywhere, with this password and no trace of before."""
    identified = accounts.identified(session, password)
    session.rows(f"CREATE OR REPLACE USER {ROOT}@'%' {identified}")
    session.rows(f"GRANT ALL PRIVILEGES ON *.* TO {ROOT}@'%' WITH GRANT OPTION")


def disable(session: Session) -> None:
    """Close every `root`, with a password that nobody knows, and cut its connections.

    The account stays: views and routines that it has defined go on working by its rights.
    """
    for (host,) in session.rows("SELECT host FROM mysql.global_priv WHERE user = %s", ROOT):
        identified = accounts.identified(session, Secret(secrets.token_urlsafe(32)))
        session.rows(f"ALTER USER {ROOT}@{session.quoted(str(host))} {identified} ACCOUNT LOCK")
    users.cut_connections(session, ROOT)
