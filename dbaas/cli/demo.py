"""Shows the main job on a running stack: `python -m dbaas.cli.demo DIRECTORY`, run by `make demo`.

Everything is what a tenant could do: REST, and the engine's own client over the network. Only the
last part is the operator's: the audit that nothing is left.
"""

import os
import shlex
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from dbaas.cli import show
from dbaas.cli.client import Client, Json
from dbaas.contract import errors
from dbaas.host import commands

DATABASE = "shop"
USER = "demo"
PASSWORD = 'it\'s 100% `quoted` \\ "here"'  # noqa: S105 # of a server that lives for seconds
OLD_GIB, NEW_GIB = 1, 2

_PATIENCE = 120.0


@dataclass
class Demo:
    client: Client
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def part(self, title: str) -> Iterator[None]:
        """Run and time one part; each is a line of the summary."""
        show.OUT.print(f"\n[bold]{title}[/bold]")
        began = time.monotonic()
        yield
        self.seconds[title] = time.monotonic() - began

    def follow(self) -> None:
        ended = self.client.follow(self.client.begun, show.live(), _PATIENCE)
        if ended["state"] != "succeeded":
            raise errors.Failed(f"{ended['kind']} {ended['state']}: {ended['fault']['message']}")


def run(directory: Path) -> dict[str, float]:
    """Do the main job on the stack in `directory`; return the seconds that each part took."""
    demo = Demo(Client(_openrc(directory / "openrc")))
    with demo.part("create an instance with a database and a user"):
        instance = _create(demo)
    sql = _Sql(instance["ip"][0])
    with demo.part("connect as that user, write and read rows"):
        _write_and_read(sql)
    with demo.part("restart it"):
        demo.client.post(f"/instances/{instance['id']}/action", {"restart": {}})
        demo.follow()
        _expect("rows after the restart", sql("SELECT COUNT(*) FROM orders"), "3")
    if os.geteuid() == 0:
        with demo.part(f"grow its volume to {NEW_GIB} GiB while a client writes"):
            _grow(demo, instance["id"], sql)
    else:
        show.OUT.print("\nIts volume is not grown: without root it is a directory.")
    with demo.part("delete it"):
        demo.client.delete(f"/instances/{instance['id']}")
        demo.follow()
    with demo.part("prove that nothing is left"):
        _nothing_left(demo, directory, instance["id"])
    return demo.seconds


def _create(demo: Demo) -> Json:
    body = {
        "name": "demo",
        "flavorRef": "1",
        "volume": {"size": OLD_GIB},
        "databases": [{"name": DATABASE}],
        "users": [{"name": USER, "password": PASSWORD, "databases": [{"name": DATABASE}]}],
    }
    made: Json = demo.client.post("/instances", {"instance": body})["instance"]
    demo.follow()
    instance = demo.client.instance(made["id"])
    show.OUT.print(f"  {instance['status']} {instance['operating_status']} at {instance['ip'][0]}")
    return instance


class _Sql:
    """The engine's own client, as a tenant has it."""

    def __init__(self, address: str) -> None:
        self._command = [
            "mariadb",
            "--ssl",
            "--batch",
            "--skip-column-names",
            "-h",
            address,
            "-u",
            USER,
        ]

    def __call__(self, statement: str, timeout: float = 30.0) -> str:
        return commands.run(
            [*self._command, DATABASE],
            timeout=timeout,
            input=statement.encode(),
            env={"MYSQL_PWD": PASSWORD, "PATH": os.environ.get("PATH", "/usr/bin:/bin")},
        )


def _write_and_read(sql: _Sql) -> None:
    sql("CREATE TABLE orders (id INT PRIMARY KEY, item VARCHAR(50))")
    sql("INSERT INTO orders VALUES (1, 'tea'), (2, 'coffee'), (3, 'cocoa')")
    _expect("rows", sql("SELECT COUNT(*) FROM orders"), "3")
    show.OUT.print(f"  server   {sql('SELECT VERSION()')}")
    cipher = sql("SHOW STATUS LIKE 'Ssl_cipher'").split()[1:]
    show.OUT.print(f"  cipher   {' '.join(cipher) or 'none: this client did not ask for TLS'}")
    show.OUT.print(f"  account  {sql('SELECT CURRENT_USER()')}")


def _grow(demo: Demo, instance_id: str, sql: _Sql) -> None:
    sql("CREATE TABLE ticks (id INT AUTO_INCREMENT PRIMARY KEY, at TIMESTAMP(6) DEFAULT NOW(6))")
    statement = "INSERT INTO ticks () VALUES (); DO SLEEP(0.002);\n"
    writer = _Background(lambda: sql(statement * 1000, timeout=_PATIENCE))
    _until("the writer writes", lambda: sql("SELECT COUNT(*) FROM ticks") != "0")
    demo.client.post(f"/instances/{instance_id}/action", {"resize": {"volume": {"size": NEW_GIB}}})
    demo.follow()
    writer.finish()
    longest = sql(
        "SELECT ROUND(MAX(gap)/1000, 1) FROM (SELECT TIMESTAMPDIFF(MICROSECOND, "
        "LAG(at) OVER (ORDER BY id), at) AS gap FROM ticks) AS gaps"
    )
    _expect("rows that the writer wrote", sql("SELECT COUNT(*) FROM ticks"), "1000")
    show.OUT.print(f"  the writer never waited longer than {longest} ms")
    size = demo.client.instance(instance_id)["volume"]["size"]
    _expect("GiB", str(size), str(NEW_GIB))


def _nothing_left(demo: Demo, directory: Path, instance_id: str) -> None:
    try:
        demo.client.get(f"/instances/{instance_id}")
    except errors.NotFound:
        show.OUT.print("  the API     404")
    else:
        raise errors.Failed("the deleted instance is still there")
    audit = [str(Path(sys.executable).with_name("dbaas-manage"))]
    audit += ["--config-file", str(directory / "dbaas.conf"), "audit"]
    show.OUT.print(f"  the audit   {commands.run(audit, timeout=60)}")


class _Background:
    """Something that goes on meanwhile."""

    def __init__(self, work: Callable[[], object]) -> None:
        self._error: errors.Error | None = None
        self._work = work
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._work()
        except errors.Error as error:
            self._error = error

    def finish(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


def _until(what: str, true: Callable[[], bool]) -> None:
    until = time.monotonic() + _PATIENCE
    while not true():
        if time.monotonic() > until:
            raise errors.Unavailable(f"waited in vain: {what}")
        time.sleep(0.05)


def _expect(what: str, found: str, wanted: str) -> None:
    if found != wanted:
        raise errors.Failed(f"{what}: found {found}, not {wanted}")
    show.OUT.print(f"  {what}: {found}")


def _openrc(path: Path) -> dict[str, str]:
    words = shlex.split(path.read_text(), comments=True)
    return dict(word.split("=", 1) for word in words if "=" in word)


def main() -> None:
    directory = Path(sys.argv[1] if len(sys.argv) > 1 else ".run")
    try:
        seconds = run(directory)
    except errors.Error as error:
        show.ERR.print(f"demo: {error.text}", soft_wrap=True, markup=False)
        sys.exit(1)
    show.OUT.print("\n[bold]Summary[/bold]")
    for title, taken in seconds.items():
        show.OUT.print(f"  {title:50} {taken:6.2f} s", markup=False)
    show.OUT.print(
        f"\nThe stack stays up. Go on with:\n"
        f"  . {directory}/openrc\n"
        f"  .venv/bin/dbaas instance list\n"
        f"  openstack database instance list   # pip install python-openstackclient "
        f"python-troveclient\n"
        f"and stop it with:\n  make down"
    )


if __name__ == "__main__":
    main()
