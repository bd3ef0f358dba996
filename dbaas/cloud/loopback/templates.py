"""MariaDB's template data directory, made once from the host's own server and copied by guests."""

import re
import shutil
from pathlib import Path

from dbaas.contract import errors
from dbaas.host import commands, files

AT = "usr/share/dbaas/templates"
"""Where a guest finds them."""

INSTALL_TIMEOUT = 120.0

_REMOVED = ("ibtmp1", "auto.cnf", "multi-master.info", "ib_buffer_pool", "*.err", "*.pid")

STATEMENTS = """\
USE mysql;
DELETE FROM global_priv WHERE User = '' OR NOT (User = 'mariadb.sys' AND Host = 'localhost');
DELETE FROM db WHERE Db LIKE 'test%';
DELETE FROM proxies_priv WHERE Host <> 'localhost';
DROP DATABASE IF EXISTS test;
FLUSH PRIVILEGES;
"""
"""The service makes its own account when the server starts: nobody else has one."""


def series() -> str:
    """Return the release series of the host's MariaDB, `10.11` of 10.11.6; raise `NotFound`."""
    try:
        said = commands.run([_program("mariadbd"), "--version"], timeout=10.0)
    except errors.Failed as error:
        raise errors.NotFound("this host has no MariaDB server (mariadb-server-core)") from error
    found = re.search(r"Ver (\d+\.\d+)\.", said)
    if found is None:
        raise errors.NotFound(f"this host's MariaDB does not say its version: {said[:100]}")
    return found[1]


def ensure(state_dir: Path) -> Path:
    """Return the directory of templates, with that of the host's MariaDB, made now if need be."""
    directory = state_dir / "templates"
    directory.mkdir(exist_ok=True)
    with files.lock(directory / "lock"):
        template = directory / f"mariadb-{series()}"
        if not template.is_dir():
            _make(template)
    return directory


def _make(template: Path) -> None:
    fresh = template.with_name(template.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(mode=0o750)
    options = ["--no-defaults", f"--datadir={fresh}", "--innodb-log-file-size=8M"]
    install = ["--skip-log-bin", "--skip-test-db", "--skip-name-resolve", "--force"]
    commands.run(["mariadb-install-db", *options, *install], timeout=INSTALL_TIMEOUT)
    commands.run(
        [_program("mariadbd"), *options, "--skip-log-bin", "--bootstrap", "--skip-networking"],
        timeout=INSTALL_TIMEOUT,
        input=STATEMENTS.encode(),
    )
    for pattern in _REMOVED:
        for path in fresh.glob(pattern):
            path.unlink()
    fresh.rename(template)
    files.sync_directory(template.parent)


def _program(name: str) -> str:
    """Return where it is: ordinary users do not look where the system's programs are."""
    return shutil.which(name) or f"/usr/sbin/{name}"
