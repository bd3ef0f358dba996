"""MariaDB as the agent drives it: its data directory, its files, its process."""

import json
import os
import secrets
import shutil
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from dbaas.contract import codec, errors
from dbaas.contract.messages import DataCheck, Prepare, ServerCertificate
from dbaas.engines.base import Places, Signs, Tenancy
from dbaas.engines.mariadb import config, takeover, tools
from dbaas.engines.mariadb.takeover import Entrance
from dbaas.host import commands, files, services, volumes
from dbaas.host.services import Process, Service

USER = "mysql"
STOP_GRACE = 90.0
"""Seconds to write changed pages and end, before it is killed; what was committed is safe then."""
FIRST_PAUSE, LONGEST_PAUSE = 0.002, 0.1
"""Seconds between two looks at whether a server that starts answers already."""
STARTS = 3
"""One that is killed while it starts, by a host without memory or by somebody, is started again."""
SIGN_TIMEOUT = 3.0
OVERCOMMIT = Path("/proc/sys/vm/overcommit_memory")
COMPLAINT = 500
"""Characters of the server's last error that go into an error's text."""


class MariaDB:
    """One MariaDB server. Implements `Engine`."""

    def __init__(self, series: str, places: Places, user: str = USER) -> None:
        self._series = series
        self._template = places.templates / f"mariadb-{series}"
        self._volume = places.volume
        self._configuration = places.configuration / "mariadb"
        self._options = self._configuration / "my.cnf"
        self._sheet = self._configuration / "sheet.json"
        runtime = places.runtime / "mariadb"
        self._user = user if places.alone else ""
        self._layout = config.Layout(
            data=places.volume / "data",
            temporary=places.volume / "tmp",
            socket=runtime / "mariadbd.sock",
            pid_file=runtime / "mariadbd.pid",
            certificate=self._configuration / "server.crt",
            key=self._configuration / "server.key",
            authority=self._configuration / "ca.crt",
            take_over=self._configuration / "take-over.sql",
            address=places.address,
        )
        password = None if places.alone else self._configuration / "administrator"
        self._entrance = Entrance(self._layout.socket, password)
        self._logs = places.logs
        self._service = Service(
            program=("mariadbd", f"--defaults-file={self._options}"),
            record=places.runtime / "mariadb.process",
            output=places.logs / "mariadb.log",
            user=self._user,
        )

    def install(self, order: Prepare) -> None:
        machine = self._machine(order.memory_mib, order.server_id)
        keeps_log = self._sheet.exists() and self._read_sheet().keeps_log
        sheet = config.Sheet(machine, config.checked(order.settings), keeps_log)
        self._make_directories()
        self._write_certificate(order.certificate)
        self._configure(sheet)
        if not self._layout.data.exists():
            self._copy_template()

    def start(self, timeout: float) -> None:
        self._make_directories()
        deadline = time.monotonic() + timeout
        for _ in range(STARTS):
            if self._answers_once_started(deadline):
                return
            if time.monotonic() > deadline:
                raise errors.Unavailable(
                    f"the database server does not answer {timeout:.0f} s after its start"
                )
        raise errors.Failed("the database server ended at once, each time, and gave no reason")

    def _answers_once_started(self, deadline: float) -> bool:
        """Return whether it does, by `deadline` (monotonic), or was killed before that.

        Raise `Failed` when it ended by itself, and said why.
        """
        said = self.output.stat().st_size if self.output.exists() else 0
        process = services.start(self._service)
        pause = FIRST_PAUSE
        while not self.signs().answers:
            if services.wait(process, pause):
                if complaint := last_error(self.output, said):
                    raise errors.Failed(f"the database server ended at once: {complaint}")
                return False
            if time.monotonic() > deadline:
                return False
            pause = min(pause * 1.2, LONGEST_PAUSE)
        return True

    def stop(self) -> None:
        services.stop(self._service, grace=STOP_GRACE)

    def admit(self, order: Prepare) -> None:
        from dbaas.engines.mariadb import admin, databases, users

        with admin.session(self._entrance, timeout=60.0) as session:
            for database in order.databases:
                databases.ensure(session, database)
            for user in order.users:
                users.ensure(session, user)

    def tenancy(self) -> AbstractContextManager[Tenancy]:
        from dbaas.engines.mariadb import tenancy

        return tenancy.connected(self._entrance)

    def use_memory(self, memory_mib: int) -> bool:
        from dbaas.engines.mariadb import admin, memory

        sheet = self._read_sheet()
        machine = self._machine(memory_mib, sheet.machine.server_id)
        self._configure(replace(sheet, machine=machine))
        own = {k: v for k, v in config.sizes(machine).items() if k not in sheet.settings}
        try:
            with admin.session(self._entrance, timeout=60.0) as session:
                return memory.fit(session, own)
        except errors.Forbidden:
            return True  # its tenant, as root, shut us out: a start lets us in again

    def keep_log(self, keep: bool) -> None:
        """Have the server remove nothing of what it logs, or again what is old or much.

        It holds from its next start on if it does not run now.
        """
        sheet = replace(self._read_sheet(), keeps_log=keep)
        self._configure(sheet)
        if self.process() is None:
            return
        from dbaas.engines.mariadb import admin

        with admin.session(self._entrance) as session:
            for name, value in config.log_limits(sheet).items():
                if name not in config.LATER or self._series != "10.11":
                    session.rows(f"SET GLOBAL {name} = {value}")

    def forget_log(self, file: str) -> None:
        """Have the server remove what it logged before this file of its log."""
        from dbaas.engines.mariadb import admin

        with admin.session(self._entrance) as session:
            session.rows("PURGE BINARY LOGS TO %s", file)

    def process(self) -> Process | None:
        return services.find(self._service)

    def signs(self) -> Signs:
        if not self._layout.socket.exists():
            return Signs(answers=False)
        from dbaas.engines.mariadb import admin

        return Signs(*admin.sign_of_life(self._entrance, SIGN_TIMEOUT))

    @property
    def output(self) -> Path:
        return self._service.output

    def check_data(self, check: Callable[[], None]) -> DataCheck:
        from dbaas.engines.mariadb import checks

        return checks.read_all(self._entrance, check)

    @property
    def entrance(self) -> Entrance:
        return self._entrance

    @property
    def data(self) -> Path:
        return self._layout.data

    @property
    def volume(self) -> Path:
        return self._volume

    @property
    def runtime(self) -> Path:
        """A directory of the server's, in memory where there is one in memory."""
        return self._service.record.parent

    @property
    def series(self) -> str:
        return self._series

    @property
    def user(self) -> str:
        """The account that the data belongs to; empty: our own."""
        return self._user

    def _make_directories(self) -> None:
        for directory in (self._configuration, self._service.record.parent, self._logs):
            directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        for directory in (self._layout.socket.parent, self._layout.temporary):
            directory.mkdir(mode=0o755, exist_ok=True)
            self._give(directory)
        self._layout.temporary.chmod(0o700)

    def _machine(self, memory_mib: int, server_id: int) -> config.Machine:
        volume = volumes.usage(self._volume).total
        return config.Machine(memory_mib, volume, server_id, _reservable_mib())

    def _configure(self, sheet: config.Sheet) -> None:
        """Write the option file, and what it is made from."""
        self._place(self._sheet, json.dumps(codec.dump(sheet)), 0o600)
        self._place(self._layout.take_over, takeover.script(self._password()), 0o640)
        self._place(self._options, config.render(sheet, self._layout), 0o640)

    def _read_sheet(self) -> config.Sheet:
        return codec.load(config.Sheet, json.loads(self._sheet.read_bytes()))

    def _password(self) -> str:
        """Return the service's password, made once; empty where it needs none."""
        file = self._entrance.password
        if file is None:
            return ""
        if not file.exists():
            self._place(file, secrets.token_hex(32), 0o600)
        return file.read_text()

    def _write_certificate(self, certificate: ServerCertificate) -> None:
        self._place(self._layout.authority, certificate.authority, 0o644)
        self._place(self._layout.certificate, certificate.certificate, 0o644)
        self._place(self._layout.key, certificate.key.reveal(), 0o400)

    def _place(self, path: Path, content: str, mode: int) -> None:
        """Write a file that only root changes and that the server reads."""
        files.write(path, content, mode=mode)
        if self._user:
            shutil.chown(path, self._user if mode == 0o400 else "root", self._user)

    def _copy_template(self) -> None:
        """Copy the data directory; it gets its name when it is whole and on the disk."""
        with tools.fresh_directory(self._volume, self._user) as fresh:
            self.copy_template(fresh / "copied")
            tools.adopt(fresh / "copied", self._layout.data, self._user)

    def copy_template(self, to: Path) -> None:
        """Make a data directory there that nobody has anything in yet."""
        if not self._template.is_dir():
            raise errors.Failed(f"this image has no {self._template.name} data directory to copy")
        commands.run(["cp", "-a", "--reflink=auto", str(self._template), str(to)], timeout=120.0)
        tools.give(to, self._user)

    def _give(self, path: Path) -> None:
        """Make it the server's own; the image may have been made with another id for it."""
        if self._user:
            shutil.chown(path, self._user, self._user)


def last_error(output: Path, since: int) -> str:
    """Return the last error in the server's output, without its time stamp; empty if none.

    `since`: bytes of it that are old; fewer are there when it was cut meanwhile.
    """
    try:
        said = output.read_bytes()
    except FileNotFoundError:
        return ""
    lines = said[since if since <= len(said) else 0 :].decode(errors="replace").splitlines()[-200:]
    found = [line.partition("[ERROR]")[2].strip() for line in lines if "[ERROR]" in line]
    named = [line for line in found if line != "Aborting"]
    return named[-1][:COMPLAINT] if named else ""


def _reservable_mib() -> int:
    """Return the kernel's memory; 0 where it counts what is reserved as used.

    Linux documentation, "Overcommit Accounting": that is mode 2.
    """
    if OVERCOMMIT.read_text().strip() == "2":
        return 0
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // config.MIB
