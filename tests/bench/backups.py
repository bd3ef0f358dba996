"""Backup and restore of some 2 GiB against the floor of the bare programs, in the same run.

The engine, the agent's code and a storage that costs nothing share this host's cores; the volume is
in memory. python -m tests.bench.backups [--gib 2] [--rounds 3]
"""

import argparse
import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from dbaas.common import certificates
from dbaas.contract import backups, messages
from dbaas.contract.messages import BackupOrder, Grant, Prepare, RestoreOrder, RestorePart
from dbaas.contract.secret import Secret
from tests.bench import report
from tests.contract import engine_guest
from tests.contract.engine_guest import Guest

KEY = Secret("5e" * 32)
SEGMENT = 32 << 20
MEMORY_MIB = 4096
ROW = 250
"""Bytes that a row takes in its table, about."""
TABLES = 4
STORAGES = ("local", "swift")
QUERY = "SELECT COUNT(*) FROM shop.t0 WHERE id < 100"
DATA = "/var/lib/dbaas/volume/data"
SCRATCH = "/mnt/scratch"
TAKE = (
    "mariadb-backup --backup --stream=mbstream --user=os_admin --log-copy-interval=50"
    f" --socket=/run/dbaas/mariadb/mariadbd.sock --datadir={DATA} --target-dir=/tmp/floor"
    " 2>/dev/null"
)
LAY_OUT = (
    f"mkdir {SCRATCH}/x && zstd -dc {SCRATCH}/floor.zst | mbstream -x -C {SCRATCH}/x &&"
    f" mariadb-backup --no-defaults --prepare --use-memory=2G --target-dir={SCRATCH}/x"
    f" 2>/dev/null; rm -rf {DATA}; mv {SCRATCH}/x {DATA}; chown -R mysql: {DATA}"
)


def fill(guest: Guest, gib: float) -> None:
    """Have random digits in it, as sysbench does: they pack to less than half."""
    rows = int(gib * (1 << 30) / ROW / TABLES)
    digits = ", '-', ".join("LPAD(FLOOR(RAND() * 1e11), 11, 0)" for _ in range(10))
    for number in range(TABLES):
        table = f"shop.t{number}"
        guest.call(
            "administer",
            "SET sql_log_bin = 0",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
            f"CREATE TABLE {table} (id INT PRIMARY KEY, k INT, c CHAR(120), pad CHAR(60))",
            f"INSERT INTO {table} SELECT seq, RAND() * 1e6, LEFT(CONCAT({digits}), 120),"
            f" LEFT(CONCAT({digits}), 59) FROM shop.seq_1_to_{rows}",
        )
    guest.call("administer", "SET GLOBAL innodb_max_dirty_pages_pct = 0")
    time.sleep(5)


@dataclass(frozen=True)
class Cost:
    """Seconds, and seconds of CPU in the guest: those do not depend on who else uses the host."""

    wall: float
    cpu: float


def cost(guest: Guest, action: Callable[[], object]) -> Cost:
    before = guest.call("used")
    began = time.monotonic()
    action()
    wall = time.monotonic() - began
    after = guest.call("used")
    return Cost(wall, sum(after[key] - before[key] for key in ("agent_cpu", "programs_cpu")))


def run(guest: Guest, command: str) -> None:
    guest.call("run", "sh", "-c", f"mkdir -p /tmp/floor {SCRATCH}; {command}")


class Bench:
    """One guest and a storage."""

    def __init__(self, guest: Guest, order: Prepare) -> None:
        self.guest = guest
        self.order = order
        self.at = guest.call("store_apart", f"{SCRATCH}/objects")
        self.part: RestorePart | None = None
        self.size = 0

    def back_up(self, storage: str) -> None:
        grant = Grant(storage, "PUT", Secret(f"{self.at}/b/{{name}}"))
        stored: messages.StoredBackup = self.guest.order(
            "take_backup", BackupOrder("b", "mariabackup", KEY, grant, SEGMENT)
        )
        self.size = stored.data_size
        manifest = backups.Manifest(
            "b", "", "mariadb", stored.engine_version, "mariabackup", stored.segments,
            stored.data_size, stored.restored_size, stored.taken_at, "", stored.position,
        )  # fmt: skip
        content = backups.write_manifest(manifest, KEY)
        self.guest.call("leave_bytes", f"{SCRATCH}/objects/b_manifest", content.hex())
        get = Grant(storage, "GET", Secret(f"{self.at}/b/{{name}}"))
        sha256 = hashlib.sha256(content).hexdigest()
        self.part = RestorePart("b", "mariabackup", get, KEY, sha256)

    def restore(self) -> None:
        """From the order to the first query's answer."""
        assert self.part
        order = RestoreOrder("mariadb", self.order.version, MEMORY_MIB, (self.part,))
        self.guest.order("restore_backup", order)
        self.guest.order("prepare", self.order)
        self.guest.call("administer", QUERY)

    def restore_by_hand(self) -> None:
        run(self.guest, LAY_OUT)
        self.guest.call("start")
        self.guest.call("administer", QUERY)

    def forget(self) -> None:
        self.guest.call("die")
        self.guest.call("stop")
        self.guest.call("run", "sh", "-c", f"rm -rf {DATA} /var/lib/dbaas/agent")
        self.guest.call("be_hosted_agent")


def rows(bench: Bench, taken: dict[str, list[Cost]]) -> list[report.Row]:
    mb = bench.size / 1e6
    least = {
        what: Cost(min(each.wall for each in costs), min(each.cpu for each in costs))
        for what, costs in taken.items()
    }
    return [
        {
            "what": what,
            "least s": found.wall,
            "MB/s of data": mb / found.wall,
            "of the floor": least[what.split(":")[0] + ": floor"].wall / found.wall,
            "least CPU s": found.cpu,
            "of the floor by CPU": least[what.split(":")[0] + ": floor"].cpu / found.cpu,
        }
        for what, found in least.items()
    ]


def measured(
    guest: Guest, order: Prepare, gib: float, rounds: int
) -> tuple[list[report.Row], dict[str, Any]]:
    guest.call("be_hosted_agent")
    guest.order("prepare", order)
    fill(guest, gib)
    bench = Bench(guest, order)
    taken: dict[str, list[Cost]] = {}

    def measure(what: str, action: Callable[[], object]) -> None:
        taken.setdefault(what, []).append(cost(guest, action))

    for _ in range(rounds):
        for storage in STORAGES:
            measure(f"backup: to {storage}", partial(bench.back_up, storage))
        for name, packer in (("floor", "zstd -1"), ("with -T2", "zstd -1 -T2")):
            command = f"{TAKE} | {packer} >/dev/null"
            measure(f"backup: {name}", partial(run, guest, command))
    for _ in range(rounds):
        run(guest, f"{TAKE} | zstd -1 -T2 >{SCRATCH}/floor.zst")
        guest.call("die")
        guest.call("stop")
        measure("restore: floor", bench.restore_by_hand)
        guest.call("be_hosted_agent")
        bench.forget()
        measure("restore: ours", bench.restore)
    return rows(bench, taken), guest.call("used")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gib", type=float, default=2.0)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    authority = certificates.create_authority("bench")
    issued = certificates.issue(authority, "instance", ["127.0.0.1"], [], 1)
    order = Prepare(
        "mariadb",
        "11.8",
        MEMORY_MIB,
        4711,
        messages.ServerCertificate(issued.cert_pem, issued.key_pem, authority.cert_pem),
        (messages.DatabaseSpec("shop"),),
    )
    with engine_guest.running("mariadb", "11.8", size="8g") as guest:
        table, used = measured(guest, order, given.gib, given.rounds)
    report.show(f"backup and restore of {given.gib} GiB", table)
    report.show("what the agent and its programs used", [used])


if __name__ == "__main__":
    main()
