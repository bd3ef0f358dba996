"""What every backup strategy promises: what was stored is what is restored, or it is refused."""

import hashlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from dbaas.common import certificates
from dbaas.contract import backups, errors, messages
from dbaas.contract.backups import Manifest
from dbaas.contract.messages import (
    BackupOrder,
    DatabaseSpec,
    Grant,
    GrantRenewal,
    Prepare,
    RestoreOrder,
    RestorePart,
    StoredBackup,
    UserSpec,
)
from dbaas.contract.secret import Secret
from dbaas.engines import manifests
from dbaas.engines.mariadb.names import identifier
from dbaas.strategies import registry
from tests.contract import engine_guest
from tests.contract.engine_guest import Guest, Refused

KEY = Secret("5e" * 32)
SEGMENT = 1 << 20
VOLUME = "/var/lib/dbaas/volume"
PASSWORD = "xyzzy'word\\ \u00fc"

CASES = [
    (name, series, strategy)
    for name, each in manifests.MANIFESTS.items()
    for series in each.series
    for strategy in each.backups
]


def test_every_registered_strategy_is_tested_here() -> None:
    assert {strategy for *_, strategy in CASES} == set(registry.names("backup"))


@pytest.fixture(scope="session")
def certificate() -> messages.ServerCertificate:
    authority = certificates.create_authority("tests")
    issued = certificates.issue(authority, "instance", ["127.0.0.1"], [], 1)
    return messages.ServerCertificate(issued.cert_pem, issued.key_pem, authority.cert_pem)


@dataclass
class Place:
    """A guest with an agent and a storage, and the control plane's part in both."""

    guest: Guest
    order: Prepare
    strategy: str
    at: str
    keys: dict[str, RestorePart] = field(default_factory=dict)

    def grant(self, method: str, backup: str, signature: str = "good") -> Grant:
        url = f"{self.at}/{backup}/{{name}}?method={method}&signature={signature}"
        return Grant("swift", method, Secret(url))

    def backup_order(self, backup: str, since: StoredBackup | None = None) -> BackupOrder:
        position = since.position if since else {}
        return BackupOrder(backup, self.strategy, KEY, self.grant("PUT", backup), SEGMENT, position)

    def back_up(
        self, backup: str, parent: str = "", since: StoredBackup | None = None
    ) -> StoredBackup:
        stored: StoredBackup = self.guest.order("take_backup", self.backup_order(backup, since))
        self.seal(backup, stored, parent)
        return stored

    def seal(self, backup: str, stored: StoredBackup, parent: str = "", **other: Any) -> None:
        """Store the manifest, as the control plane does."""
        manifest = Manifest(
            backup, parent, self.order.engine, stored.engine_version, self.strategy,
            stored.segments, stored.data_size, stored.restored_size, stored.taken_at, "sealed",
            stored.position,
        )  # fmt: skip
        content = backups.write_manifest(replace(manifest, **other), KEY)
        self.guest.call("keep", f"{backup}/manifest", content.hex())
        sha256 = hashlib.sha256(content).hexdigest()
        grant = self.grant("GET", backup)
        self.keys[backup] = RestorePart(backup, self.strategy, grant, KEY, sha256)

    def restore(self, *chain: str | RestorePart) -> messages.Restored:
        """Restore, on a volume where nothing is."""
        parts = tuple(self.keys[each] if isinstance(each, str) else each for each in chain)
        order = RestoreOrder(self.order.engine, self.order.version, 512, parts)
        restored: messages.Restored = self.guest.order("restore_backup", order)
        return restored

    def begin_anew(self) -> None:
        """Be another guest: nothing is left of the server."""
        self.guest.call("die")
        self.guest.call("stop")
        gone = f"rm -rf {VOLUME}/* /var/lib/dbaas/agent /etc/dbaas/engine /run/dbaas/*"
        self.guest.call("run", "sh", "-c", gone)
        self.guest.call("be_hosted_agent")

    def prepare(self) -> None:
        self.guest.order("prepare", replace(self.order, databases=(), users=()))

    def ask(self, *statements: str) -> Any:
        return self.guest.query("ann", PASSWORD, *statements, database="shop")

    def administer(self, *statements: str) -> Any:
        return self.guest.call("administer", *statements)

    def damage(self, name: str, at: int) -> None:
        content = bytearray.fromhex(self.guest.call("object", name))
        content[at] ^= 1
        self.guest.call("keep", name, content.hex())

    def on_the_volume(self) -> list[str]:
        return [path for path, *_ in self.guest.call("files", f"{VOLUME}/*")]

    def left_running(self) -> str:
        """Return the programs of a backup or a restore that run."""
        listing: str = self.guest.call("run", "sh", "-c", "cat /proc/[0-9]*/comm")
        names = ("mariadb-backup", "mariadb-dump", "zstd", "mbstream", "gzip")
        return " ".join(name for name in names if name in listing.split())


@pytest.fixture(params=CASES, ids="-".join)
def place(
    request: pytest.FixtureRequest, certificate: messages.ServerCertificate
) -> Iterator[Place]:
    yield from _places(request.param, certificate)


@pytest.fixture(params=[case for case in CASES if case[2] == "mariabackup"], ids="-".join)
def files(
    request: pytest.FixtureRequest, certificate: messages.ServerCertificate
) -> Iterator[Place]:
    """Where it is the engine's files that are backed up."""
    yield from _places(request.param, certificate)


def _places(case: tuple[str, str, str], certificate: messages.ServerCertificate) -> Iterator[Place]:
    name, series, strategy = case
    user = UserSpec("ann", Secret(PASSWORD), "%", ("shop",))
    order = Prepare(name, series, 512, 4711, certificate, (DatabaseSpec("shop"),), (user,))
    with engine_guest.running(name, series) as guest:
        guest.call("be_hosted_agent")
        guest.order("prepare", order)
        made = Place(guest, order, strategy, guest.call("store"))
        made.administer(*CONTENT)
        yield made
        guest.call("die")


CONTENT = (
    "USE shop",
    "CREATE TABLE t (id INT PRIMARY KEY, x VARCHAR(200))",
    "INSERT INTO t SELECT seq, CONCAT(MD5(seq), MD5(RAND())) FROM seq_1_to_50000",
    "CREATE TABLE a (id INT PRIMARY KEY, x BLOB) ENGINE=Aria",
    "INSERT INTO a VALUES (1, X'00ff27'), (2, 'it''s \\\\ \u00fc\U0001f418')",
    "CREATE DEFINER=ann@`%` VIEW v AS SELECT id FROM t WHERE id < 4",
    "CREATE FUNCTION twice(x INT) RETURNS INT DETERMINISTIC RETURN 2 * x",
    "CREATE TRIGGER t_in BEFORE INSERT ON t FOR EACH ROW SET NEW.x = UPPER(NEW.x)",
    "CREATE ROLE reader",
    "GRANT SELECT ON shop.* TO reader",
    "CREATE USER bob@`10.%` IDENTIFIED BY 'b' ACCOUNT LOCK",
    "GRANT reader TO bob@`10.%`",
    "CREATE USER root@`%` IDENTIFIED BY 'tenant''s'",
    "GRANT ALL PRIVILEGES ON *.* TO root@`%` WITH GRANT OPTION",
)
SUMS = "CHECKSUM TABLE shop.t, shop.a"


def test_all_that_a_tenant_has_is_restored(place: Place) -> None:
    place.back_up("b1")
    sums = place.administer(SUMS)
    place.begin_anew()
    restored = place.restore("b1")
    assert restored.data_size > 1 << 20
    place.prepare()
    assert place.administer(SUMS) == sums
    assert place.ask("SELECT COUNT(*), twice(4) FROM v") == [["3", "8"]]
    assert place.ask("INSERT INTO t VALUES (0, 'x')", "SELECT x FROM t WHERE id = 0") == [["X"]]
    assert place.guest.query("root", "tenant's", "SELECT 1") == [["1"]]
    assert place.administer("SHOW GRANTS FOR bob@`10.%`")[0][0].startswith("GRANT `reader`")
    assert "ACCOUNT LOCK" in place.administer("SHOW CREATE USER bob@`10.%`")[0][0]
    with pytest.raises(Refused):
        place.guest.query("os_admin", "", "SELECT 1")


def test_a_database_may_have_any_name(place: Place) -> None:
    odd = (
        "Sys",
        "--no-data",
        "--result-file=x",
        "--ignore-database=shop",
        "-?",
        "a b`c'd\n;",
    )
    for name in odd:
        place.administer(f"CREATE DATABASE {identifier(name)}")
    place.back_up("b1")
    sums = place.administer(SUMS)
    place.begin_anew()
    place.restore("b1")
    place.prepare()
    assert place.administer(SUMS) == sums
    assert {name for (name,) in place.administer("SHOW DATABASES")} > {"shop", *odd}


def test_a_limit_of_rows_that_a_tenant_has_set_is_told(place: Place) -> None:
    place.administer("SET GLOBAL sql_select_limit = 5")
    with pytest.raises(errors.Conflict, match=r"no more than 5 rows: .* sql_select_limit"):
        place.back_up("b1")


def test_rights_on_what_is_gone_and_of_everybody_are_in_nobody_s_way(place: Place) -> None:
    place.administer(
        "USE shop",
        "CREATE TABLE gone (n INT)",
        "GRANT SELECT ON gone TO bob@`10.%`",
        "DROP TABLE gone",
        "CREATE TABLE less (n INT, m INT)",
        "GRANT INSERT (n), SELECT (m) ON less TO bob@`10.%`",
        "ALTER TABLE less DROP m",
        "GRANT EXECUTE ON FUNCTION twice TO bob@`10.%`",
        "GRANT SELECT ON shop.* TO PUBLIC",
    )
    place.back_up("b1")
    place.begin_anew()
    place.restore("b1")
    place.prepare()
    assert "GRANT SELECT ON `shop`.* TO PUBLIC" in str(place.administer("SHOW GRANTS FOR PUBLIC"))
    assert "FUNCTION `shop`.`twice`" in str(place.administer("SHOW GRANTS FOR bob@`10.%`"))


def test_what_rows_were_before_is_restored(place: Place) -> None:
    place.administer(
        "CREATE TABLE shop.h (n INT) WITH SYSTEM VERSIONING",
        "INSERT INTO shop.h VALUES (1)",
        "UPDATE shop.h SET n = 2",
        "DELETE FROM shop.h",
    )
    rows = "SELECT n, row_start, row_end FROM shop.h FOR SYSTEM_TIME ALL ORDER BY n"
    before = place.administer(rows)
    assert len(before) == 2
    place.back_up("b1")
    place.begin_anew()
    place.restore("b1")
    place.prepare()
    assert place.administer(rows) == before


def test_what_was_stored_is_said_as_it_is(place: Place) -> None:
    before = time.time()
    stored = place.back_up("b1")
    listed = dict(place.guest.call("stored"))
    assert {f"b1/{each.name}": each.size for each in stored.segments}.items() <= listed.items()
    assert len(listed) == len(stored.segments) + 1
    assert sum(each.size for each in stored.segments) < stored.data_size
    assert stored.restored_size > stored.data_size / 2
    assert before - 1 < stored.taken_at < time.time() + 1
    assert stored.engine_version.startswith(place.order.version)


def test_nothing_is_left_of_a_backup_but_what_was_stored(place: Place) -> None:
    before = place.guest.call("files", "/run/dbaas/*", f"{VOLUME}/*", "/tmp/*")
    place.back_up("b1")
    assert place.guest.call("files", "/run/dbaas/*", f"{VOLUME}/*", "/tmp/*") == before
    assert place.left_running() == ""


def test_a_chain_is_restored_up_to_each_of_its_backups(files: Place) -> None:
    stored, sums = files.back_up("b0"), [files.administer(SUMS)]
    for number in (1, 2):
        changes = (
            f"UPDATE t SET x = {number} WHERE id % 7 = {number}",
            f"INSERT INTO a VALUES ({number + 10}, 'more')",
            f"CREATE TABLE n{number} AS SELECT * FROM t",
        )
        files.administer("USE shop", *changes)
        stored = files.back_up(f"b{number}", f"b{number - 1}", stored)
        sums.append(files.administer(SUMS))
    for number in (2, 1, 0):
        files.begin_anew()
        files.restore(*(f"b{each}" for each in range(number + 1)))
        files.prepare()
        assert files.administer(SUMS) == sums[number]
        assert len(files.administer("SHOW TABLES FROM shop LIKE 'n%'")) == number


def test_an_increment_builds_on_any_backup_before_it(files: Place) -> None:
    full = files.back_up("b0")
    for number in (1, 2):
        files.administer(f"UPDATE shop.t SET x = {number} WHERE id % 7 = {number}")
        files.back_up(f"b{number}", "b0", full)
    sums = files.administer(SUMS)
    files.begin_anew()
    files.restore("b0", "b2")
    files.prepare()
    assert files.administer(SUMS) == sums


def test_what_a_backup_cannot_build_on_is_refused(place: Place) -> None:
    for since in ({"lsn": "999999999999999"}, {"lsn": "x"}, {"other": "1"}):
        order = replace(place.backup_order("b1"), since=since)
        with pytest.raises((errors.Conflict, errors.Unsupported)):
            place.guest.order("take_backup", order)
    assert place.guest.call("stored") == []


def test_a_chain_with_a_link_missing_is_refused(files: Place) -> None:
    full = files.back_up("b0")
    first = files.back_up("b1", "b0", full)
    files.back_up("b2", "b1", first)
    files.begin_anew()
    for chain in (("b0", "b2"), ("b1",), ("b2", "b1"), ("b0", "b0")):
        with pytest.raises(errors.Failed, match="builds on"):
            files.restore(*chain)
        assert files.on_the_volume() == []


def test_a_flipped_byte_is_named_and_nothing_is_left(place: Place) -> None:
    stored = place.back_up("b1")
    place.begin_anew()
    last = stored.segments[-1].name
    for name, at in ((stored.segments[0].name, 3), (last, -5), (stored.segments[0].name, 70_000)):
        place.damage(f"b1/{name}", at)
        with pytest.raises(errors.Failed, match=f"segment {name} of backup b1 is damaged"):
            place.restore("b1")
        assert place.on_the_volume() == []
        place.damage(f"b1/{name}", at)
    for at in (5, -3):
        place.damage("b1/manifest", at)
        with pytest.raises(errors.Failed, match="manifest of backup b1 is damaged"):
            place.restore("b1")
        place.damage("b1/manifest", at)
    assert place.left_running() == ""
    place.restore("b1")


def test_what_is_missing_or_another_backup_s_is_named(place: Place) -> None:
    stored = place.back_up("b1")
    place.back_up("b2")
    place.begin_anew()
    name = stored.segments[0].name
    mine, others = (place.guest.call("object", f"{each}/{name}") for each in ("b1", "b2"))
    for content, said in ((None, "missing"), (others, "damaged")):
        place.guest.call("keep", f"b1/{name}", content)
        with pytest.raises(errors.Failed, match=f"segment {name} of backup b1 is {said}"):
            place.restore("b1")
        place.guest.call("keep", f"b1/{name}", mine)
    content = place.guest.call("object", "b2/manifest")
    place.guest.call("keep", "b1/manifest", content)
    known = replace(place.keys["b1"], manifest_sha256=place.keys["b2"].manifest_sha256)
    for part in (place.keys["b1"], known):
        with pytest.raises(errors.Failed, match="manifest of backup b1 is damaged, or another's"):
            place.restore(part)
    place.guest.call("keep", "b1/manifest", None)
    with pytest.raises(errors.Failed, match="manifest of backup b1 is missing"):
        place.restore("b1")
    assert place.on_the_volume() == []


def test_another_key_opens_nothing(place: Place) -> None:
    place.back_up("b1")
    place.begin_anew()
    with pytest.raises(errors.Failed, match="manifest of backup b1 is damaged, or another's"):
        place.restore(replace(place.keys["b1"], key=Secret("00" * 32)))


def test_a_version_that_does_not_fit_and_a_full_volume_are_told_before(place: Place) -> None:
    stored = place.back_up("b1")
    place.seal("b1", replace(stored, engine_version="99.9.9"))
    place.begin_anew()
    with pytest.raises(errors.Unsupported, match="version 99"):
        place.restore("b1")
    place.seal("b1", replace(stored, restored_size=1 << 40))
    with pytest.raises(errors.Failed, match="volume has room for"):
        place.restore("b1")
    assert place.on_the_volume() == []


def test_a_server_that_runs_is_not_replaced(place: Place) -> None:
    place.back_up("b1")
    with pytest.raises(errors.Conflict, match="a database server runs here"):
        place.restore("b1")
    assert place.ask("SELECT COUNT(*) FROM t") == [["50000"]]


def until(condition: Callable[[], Any], seconds: float = 20.0) -> Any:
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.02)
    return found


def test_a_backup_that_is_cancelled_ends_soon_and_holds_nothing(place: Place) -> None:
    place.guest.call("slow_down", 200_000)
    place.guest.begin("op.2", "take_backup", place.backup_order("b1"))
    until(lambda: place.guest.call("progress", "op.2"))
    began = time.monotonic()
    with pytest.raises(Refused, match="Stopped"):
        place.guest.end("op.2", "take_backup", cancelled=True)
    assert time.monotonic() < began + 5
    assert place.left_running() == ""
    place.administer("SET lock_wait_timeout = 2", "ALTER TABLE shop.t ADD y INT", "COMMIT")


def test_a_server_that_is_killed_ends_its_backup(files: Place) -> None:
    files.guest.call("slow_down", 200_000)
    files.guest.begin("op.2", "take_backup", files.backup_order("b1"))
    until(lambda: (files.guest.call("progress", "op.2") or {}).get("done"))
    files.guest.call("kill")
    with pytest.raises((errors.Unavailable, errors.Failed)):
        files.guest.end("op.2", "take_backup")
    until(lambda: files.guest.call("signs")[0])
    assert files.left_running() == ""
    files.guest.call("slow_down", 0)
    files.back_up("b2")


def test_others_run_and_write_while_a_backup_is_taken(place: Place) -> None:
    place.guest.call("slow_down", 1_000_000)
    place.guest.begin("op.2", "take_backup", place.backup_order("b1"))
    until(lambda: place.guest.call("progress", "op.2"))
    took = []
    for number in range(100_001, 100_040):
        began = time.monotonic()
        place.ask(f"INSERT INTO t VALUES ({number}, '')")
        took.append(time.monotonic() - began)
    assert max(took) < 3
    stored = place.guest.end("op.2", "take_backup")
    place.seal("b1", stored)
    place.begin_anew()
    place.restore("b1")
    place.prepare()
    rows = place.ask("SELECT COUNT(*), MAX(id) - 100000 FROM t WHERE id > 100000")
    assert rows[0][0] == rows[0][1] or rows[0][0] == "0"  # as many as came first, none between


def test_a_grant_that_has_run_out_is_asked_for_and_renewed(place: Place) -> None:
    order = replace(place.backup_order("b1"), grant=place.grant("PUT", "b1", "stale"))
    place.guest.begin("op.2", "take_backup", order)
    until(lambda: (place.guest.call("progress", "op.2") or {}).get("wants") == 1)
    assert place.guest.call("progress", "op.2")["backup"] == "b1"
    place.guest.order("renew_grant", GrantRenewal("op.2", "b1", place.grant("PUT", "b1")))
    stored = place.guest.end("op.2", "take_backup")
    place.seal("b1", stored)
    place.begin_anew()
    stale = replace(place.keys["b1"], grant=place.grant("GET", "b1", "stale"))
    restore = RestoreOrder(place.order.engine, place.order.version, 512, (stale,))
    place.guest.begin("op.3", "restore_backup", restore)
    until(lambda: (place.guest.call("progress", "op.3") or {}).get("wants") == 1)
    place.guest.order("renew_grant", GrantRenewal("op.3", "b1", place.grant("GET", "b1")))
    assert place.guest.end("op.3", "restore_backup").data_size


def test_storage_that_fails_for_a_while_is_gone_through(place: Place) -> None:
    place.guest.call("fail", "*", "503", "drop", "503", "lie")
    place.back_up("b1")
    place.begin_anew()
    place.guest.call("fail", "*", "503", "cut", "drop", "503")
    place.restore("b1")


@pytest.mark.parametrize("end", [".xbstream.gz", ".xbstream.zst"])
def test_a_plain_stream_of_another_system_is_restored(files: Place, end: str) -> None:
    packer = {".xbstream.gz": "gzip -1", ".xbstream.zst": "zstd -1"}[end]
    made = (
        "mariadb-backup --backup --stream=mbstream --user=os_admin --target-dir=/tmp/x"
        " --socket=/run/dbaas/mariadb/mariadbd.sock"
        f" --datadir={VOLUME}/data | {packer} | od -An -v -tx1 | tr -d ' \\n'"
    )
    files.guest.call("keep", f"old/o{end}", files.guest.call("run", "sh", "-c", made))
    sums = files.administer(SUMS)
    files.begin_anew()
    url = Secret(f"{files.at}/old/o{{name}}?method=GET&signature=good")
    part = RestorePart("b9", "mariabackup", Grant("swift", "GET", url), plain=end)
    files.restore(part)
    files.prepare()
    assert files.administer(SUMS) == sums


def test_what_is_no_stream_of_files_is_refused(files: Place) -> None:
    files.begin_anew()
    url = Secret(f"{files.at}/old/o{{name}}?method=GET&signature=good")
    part = RestorePart("b9", "mariabackup", Grant("swift", "GET", url), plain=".xbstream.gz")
    for content, said in ((b"no gzip", "b9 cannot be restored"), (b"", "b9")):
        files.guest.call("keep", "old/o.xbstream.gz", content.hex())
        with pytest.raises(errors.Failed, match=said):
            files.restore(part)
    files.guest.call("keep", "old/o.xbstream.gz", None)
    with pytest.raises(errors.Failed, match="object of backup b9 is missing"):
        files.restore(part)
    with pytest.raises(errors.Unsupported, match=r"ends in '\.tar'"):
        files.restore(replace(part, plain=".tar"))
    assert files.on_the_volume() == []


def test_all_data_is_read_and_what_cannot_be_is_named(files: Place) -> None:
    check = files.guest.order("check_data")
    assert (check.tables, check.rows) == (2, 50_002)
    files.guest.call("die")
    files.guest.call("stop")
    hurt = f"dd if=/dev/urandom of={VOLUME}/data/shop/t.ibd bs=16384 seek=70 count=90 conv=notrunc"
    files.guest.call("run", "sh", "-c", f"{hurt} 2>&1")
    files.guest.call("be_hosted_agent")
    until(lambda: files.guest.call("signs")[0])
    with pytest.raises((errors.Failed, errors.Unavailable), match=r"`shop`\.`t`"):
        files.guest.order("check_data")
