"""The archive of the real server: what is committed is stored soon, and played to a moment."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from dbaas.common import certificates
from dbaas.contract import codec, errors
from dbaas.contract.messages import (
    ArchiveOrder,
    ArchiveReplay,
    Grant,
    Prepare,
    ServerCertificate,
    UserSpec,
)
from dbaas.contract.secret import Secret
from tests.contract import engine_guest
from tests.contract.engine_guest import Guest

KEY = Secret("5a" * 32)
INSTANCE, STREAM = "11111111-2222-3333-4444-555555555555", "99999999-2222-3333-4444-555555555555"
NEXT = "99999999-3333-3333-4444-555555555555"
PREFIX = f"log-{INSTANCE}/{STREAM}/"


@pytest.fixture
def guest() -> Iterator[Guest]:
    with engine_guest.running("mariadb", "11.8") as guest:
        yield guest


@pytest.fixture
def order() -> Prepare:
    return preparation()


def preparation() -> Prepare:
    authority = certificates.create_authority("tests")
    issued = certificates.issue(authority, "instance", ["127.0.0.1"], [], 1)
    certificate = ServerCertificate(issued.cert_pem, issued.key_pem, authority.cert_pem)
    return Prepare("mariadb", "11.8", 512, 4711, certificate, (), (UserSpec("ann", Secret("x")),))


def grant(at: str, method: str, stream: str = STREAM) -> Grant:
    url = f"{at}/log-{INSTANCE}/{stream}/{{name}}?method={method}&signature=good"
    return Grant("local", method, Secret(url))


def begin(guest: Guest, order: Prepare, share: float = 0.25) -> str:
    at = str(guest.call("store"))
    guest.call("be_hosted_agent")
    guest.order("prepare", order)
    archive(guest, at, share=share)
    return at


def archive(
    guest: Guest, at: str, stream: str = STREAM, share: float = 0.25, reached: int = 0
) -> None:
    leave = grant(at, "PUT", stream)
    wanted = ArchiveOrder("binlog", INSTANCE, stream, KEY, leave, share=share, reached=reached)
    guest.order("archive", wanted)


def stored(guest: Guest, until: float, patience: float = 15.0) -> Any:
    """Wait until all that was committed until then is archived; return what the guest says.

    It is known of a commit that it was between two looks, and counted as of the later one.
    """
    until += 0.2
    expired = time.monotonic() + patience
    while (said := guest.call("archived"))["until"] < until:
        assert time.monotonic() < expired, said
        time.sleep(0.05)
    return said


def replay(
    guest: Guest,
    at: str,
    until: float,
    last: int,
    begin: str = "binlog.000001:0",
    stream: str = STREAM,
) -> float:
    runs, leave = (f"1-{last}",), grant(at, "GET", stream)
    order = ArchiveReplay("binlog", INSTANCE, stream, KEY, leave, runs, begin, until)
    return float(guest.call("play", codec.dump(order), "/var/lib/dbaas/volume/base"))


def base(guest: Guest) -> str:
    """Have a copy of the data, as of now; return where in the log that is."""
    ((file, offset, *_),) = guest.call("administer", "SHOW MASTER STATUS")
    guest.call("die")  # it would start the server again
    guest.call("stop")
    guest.call("copy_data", "/var/lib/dbaas/volume/base")
    guest.call("start")
    guest.call("be_hosted_agent")
    return f"{file}:{offset}"


def run_on_base(guest: Guest) -> None:
    """Have the server run on what was played."""
    guest.call("die")
    guest.call("stop")
    guest.call("run", "mv", "/var/lib/dbaas/volume/data", "/var/lib/dbaas/volume/old")
    guest.call("run", "mv", "/var/lib/dbaas/volume/base", "/var/lib/dbaas/volume/data")
    guest.call("start")


def test_a_dropped_table_is_back_as_it_was_a_second_before(guest: Guest, order: Prepare) -> None:
    at = begin(guest, order)
    place = base(guest)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (n INT, at DOUBLE)")
    for number in range(150):
        row = f"INSERT INTO shop.t VALUES ({number}, {time.time()!r})"
        guest.call("administer", "SET timestamp = 1", row)  # a tenant may say so
        time.sleep(0.01)
    target = time.time()
    for number in range(150, 250):
        guest.call("administer", f"INSERT INTO shop.t VALUES ({number}, {time.time()!r})")
        time.sleep(0.01)
    guest.call("administer", "DROP TABLE shop.t")
    said = stored(guest, time.time())
    assert said["fault"] == ""
    replay(guest, at, target, said["sequence"], place)
    run_on_base(guest)
    ((count, last),) = guest.call("administer", "SELECT COUNT(*), MAX(at) FROM shop.t")
    assert 140 <= int(count) <= 150
    assert target - 0.5 < float(last) <= target


def test_all_kinds_of_changes_are_played_over_files_deaths_and_restarts(
    guest: Guest, order: Prepare
) -> None:
    at = begin(guest, order)
    place = base(guest)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (n INT, x LONGTEXT)")
    guest.call("administer", "BEGIN", "INSERT INTO shop.t VALUES (1, 'one'), (2, 'two')", "COMMIT")
    guest.call("administer", "CREATE TABLE shop.copy SELECT n FROM shop.t")
    guest.call("administer", "FLUSH BINARY LOGS", "INSERT INTO shop.t VALUES (3, 'three')")
    guest.call(
        "administer", "CREATE TABLE shop.m (n INT) ENGINE=Aria", "INSERT INTO shop.m SET n=1"
    )
    guest.call("kill")
    guest.call("die")
    guest.call("start")
    guest.call("administer", "INSERT INTO shop.t VALUES (4, 'four')")
    guest.call("administer", "XA BEGIN 'a'", "INSERT INTO shop.t VALUES (5, 'five')", "XA END 'a'",
               "XA PREPARE 'a'", "XA COMMIT 'a'")  # fmt: skip
    guest.call("be_hosted_agent")
    row = "INSERT INTO shop.t SELECT 6, REPEAT(MD5(RAND()), 400000)"
    guest.call("administer", "BEGIN", row, row, "COMMIT")  # 25 MB: more than a piece
    guest.call("administer", "CREATE USER bob IDENTIFIED BY 'y'", "GRANT ALL ON shop.* TO bob")
    said = stored(guest, time.time())
    checks = "SELECT n, MD5(x) FROM shop.t ORDER BY n"
    before = guest.call("administer", checks)
    replay(guest, at, time.time(), said["sequence"], place)
    run_on_base(guest)
    assert guest.call("administer", checks) == before
    assert len(before) == 7
    assert guest.call("administer", "SELECT COUNT(*) FROM shop.copy") == [["2"]]
    assert guest.call("administer", "SELECT COUNT(*) FROM shop.m") == [["1"]]
    assert guest.query("bob", "y", "SELECT COUNT(*) FROM shop.t") == [["7"]]


def test_statements_that_change_much_are_played_in_little_memory(
    guest: Guest, order: Prepare
) -> None:
    at = begin(guest, order)
    place = base(guest)
    guest.call(
        "administer",
        "CREATE DATABASE shop",
        "USE shop",
        "CREATE TABLE t (n INT PRIMARY KEY, x VARBINARY(8000))",
        "CREATE TABLE child (n INT PRIMARY KEY REFERENCES t (n) ON DELETE CASCADE)",
        "CREATE TABLE log (n INT, x INT) ENGINE=Aria",
        "CREATE TRIGGER t_in AFTER INSERT ON t FOR EACH ROW INSERT INTO log VALUES (NEW.n, 1)",
        "INSERT INTO t SELECT seq, REPEAT(MD5(seq), 200) FROM seq_1_to_10000",  # 64 MB
        "INSERT INTO child SELECT n FROM t",
        "UPDATE t, child, log SET t.x = REVERSE(t.x), log.x = 2 WHERE t.n = child.n AND t.n = log.n"
        " AND t.n < 3000",
        "SET binlog_row_image = 'MINIMAL'",
        "DELETE FROM t WHERE n % 2",
        "SET GLOBAL log_bin_compress = 1",
        "INSERT INTO t SELECT seq, REPEAT('x', 6000) FROM seq_10001_to_10500",
        "BEGIN",
        "UPDATE t SET x = REPEAT('y', 6000) WHERE n > 10000",
        "UPDATE t SET x = REPEAT('z', 10) WHERE n > 10400",
        "COMMIT",
    )
    sums = "CHECKSUM TABLE shop.t, shop.child, shop.log"
    before = guest.call("administer", sums)
    said = stored(guest, time.time())
    replay(guest, at, time.time(), said["sequence"], place)
    assert guest.call("used")["largest_program_mib"] < 400
    run_on_base(guest)
    assert guest.call("administer", sums) == before


def test_a_tenant_that_shut_the_service_out_is_played(guest: Guest, order: Prepare) -> None:
    at = begin(guest, order)
    place = base(guest)
    guest.call("administer", "GRANT ALL ON *.* TO ann WITH GRANT OPTION", "CREATE DATABASE shop")
    guest.query("ann", "x", "DROP USER os_admin@localhost", "CREATE TABLE shop.t (n INT)")
    guest.query("ann", "x", "FLUSH BINARY LOGS", "INSERT INTO shop.t VALUES (1)")
    guest.query("ann", "x", "REVOKE ALL PRIVILEGES, GRANT OPTION FROM ann")
    said = stored(guest, time.time())
    replay(guest, at, time.time(), said["sequence"], place)
    run_on_base(guest)
    assert guest.call("administer", "SELECT COUNT(*) FROM shop.t") == [["1"]]


def test_what_is_played_is_what_was_run_to_the_letter(guest: Guest, order: Prepare) -> None:
    at = begin(guest, order)
    place = base(guest)
    routine = "BEGIN SELECT 'a\n/*!*/;'; END"
    odd = "`o'd \";/*!*/;\\`"
    guest.call(
        "administer",
        f"CREATE DATABASE {odd}",
        f"USE {odd}",
        f"CREATE PROCEDURE p() {routine}",
        f"CREATE TABLE {odd} (n INT COMMENT 'x\n/*!*/; DROP DATABASE shop; y')",
        f"INSERT INTO {odd} VALUES (1)",
    )
    said = stored(guest, time.time())
    replay(guest, at, time.time(), said["sequence"], place)
    run_on_base(guest)
    assert guest.call("administer", f"SHOW CREATE PROCEDURE {odd}.p")[0][2].endswith(routine)
    assert guest.call("administer", f"SELECT * FROM {odd}.{odd}") == [["1"]]


def test_a_name_that_would_be_run_is_refused(guest: Guest, order: Prepare) -> None:
    at = begin(guest, order)
    place = base(guest)
    bad = "shop.`x\nDROP DATABASE shop/*!*/;#`"
    create = f"CREATE TABLE {bad} (n INT)"
    guest.call("administer", "CREATE DATABASE shop", create, f"INSERT INTO {bad} VALUES (1)")
    said = stored(guest, time.time())
    with pytest.raises(errors.Failed, match=r"DROP DATABASE shop.* has a line break in its name"):
        replay(guest, at, time.time(), said["sequence"], place)


def test_an_open_transaction_is_not_played(guest: Guest, order: Prepare) -> None:
    at = begin(guest, order)
    place = base(guest)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (n INT)")
    guest.call("administer", "GRANT ALL ON *.* TO ann")
    visitor = guest.call("stay", "ann", "x")
    guest.call("speak", visitor, "BEGIN", "INSERT INTO shop.t VALUES (1)")
    target = stored(guest, time.time())["until"]
    guest.call("speak", visitor, "COMMIT")
    said = stored(guest, time.time())
    replay(guest, at, target, said["sequence"], place)
    run_on_base(guest)
    assert guest.call("administer", "SELECT COUNT(*) FROM shop.t") == [["0"]]


def test_a_storage_that_was_away_gets_all_of_it_later(guest: Guest, order: Prepare) -> None:
    at = begin(guest, order)
    place = base(guest)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (n INT)")
    said = stored(guest, time.time())
    guest.call("fail", "*", *["503"] * 1000)
    before = guest.call("times_asked")
    guest.call("administer", "INSERT INTO shop.t VALUES (1)")
    time.sleep(4.0)
    away = guest.call("archived")
    assert away["sequence"] == said["sequence"]
    assert 1 < guest.call("times_asked") - before < 10
    assert "503" in away["fault"]
    assert away["lag"] > 2.0
    guest.call("fail", "*")
    said = stored(guest, time.time())
    assert (said["fault"], said["lag"]) == ("", 0.0)
    replay(guest, at, time.time(), said["sequence"], place)
    run_on_base(guest)
    assert guest.call("administer", "SELECT COUNT(*) FROM shop.t") == [["1"]]


def test_an_agent_that_begins_anew_goes_on_within_a_transaction(
    guest: Guest, order: Prepare
) -> None:
    at = begin(guest, order)
    place = base(guest)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (n INT, x LONGTEXT)")
    said = stored(guest, time.time())
    second = f"{PREFIX}{said['sequence'] + 2:010d}"
    guest.call("fail", second, *["503"] * 1000)
    row = "INSERT INTO shop.t SELECT 1, REPEAT(MD5(RAND()), 400000)"  # 13 MB
    guest.call("administer", "BEGIN", row, row, row, "COMMIT")
    said = said_once(guest, "fault")
    guest.call("die")
    guest.call("be_hosted_agent")
    guest.call("fail", second)
    guest.call("administer", "INSERT INTO shop.t VALUES (2, '')")
    assert stored(guest, time.time())["sequence"] > said["sequence"] + 2
    replay(guest, at, time.time(), guest.call("archived")["sequence"], place)
    run_on_base(guest)
    counted = guest.call("administer", "SELECT n, COUNT(*) FROM shop.t GROUP BY n")
    assert counted == [["1", "3"], ["2", "1"]]


@pytest.mark.parametrize("harm", ["flipped", "missing", "exchanged"])
def test_a_harmed_object_is_named(guest: Guest, order: Prepare, harm: str) -> None:
    at = begin(guest, order)
    place = base(guest)
    guest.call("administer", "CREATE DATABASE shop")
    stored(guest, time.time())
    guest.call("administer", "CREATE TABLE shop.t (n INT)")
    said = stored(guest, time.time())
    last = f"{said['sequence']:010d}"
    content = guest.call("object", PREFIX + last)
    first = guest.call("object", PREFIX + "0000000001")
    middle = len(content) // 4 * 2
    flipped = content[:middle] + f"{int(content[middle : middle + 2], 16) ^ 1:02x}"
    harmed = {"flipped": flipped + content[middle + 2 :], "missing": None, "exchanged": first}
    guest.call("keep", PREFIX + last, harmed[harm])
    with pytest.raises(errors.Failed, match="(?i)" + str(said["sequence"])):
        replay(guest, at, time.time(), said["sequence"], place)


def test_what_the_tenant_throws_away_of_the_log_ends_the_stream(
    guest: Guest, order: Prepare
) -> None:
    begin(guest, order)
    guest.call("administer", "CREATE DATABASE shop")
    stored(guest, time.time())
    guest.call("administer", "RESET MASTER")
    assert "binlog.000001" in said_once(guest, "ended")["fault"]


def said_once(guest: Guest, what: str) -> Any:
    """Wait until the guest says that it is so; return all that it says then."""
    expired = time.monotonic() + 15
    while not (said := guest.call("archived"))[what]:
        assert time.monotonic() < expired, said
        time.sleep(0.05)
    return said


def test_a_log_that_was_begun_anew_while_no_agent_ran_ends_the_stream(
    guest: Guest, order: Prepare
) -> None:
    begin(guest, order)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (x TEXT)")
    stored(guest, time.time())
    guest.call("die")
    guest.call("administer", "RESET MASTER")
    guest.call("administer", *["INSERT INTO shop.t VALUES (REPEAT(MD5(RAND()), 500))"] * 10)
    ((file, offset, *_),) = guest.call("administer", "SHOW MASTER STATUS")
    assert (file, int(offset) > 16000) == ("binlog.000001", True)
    guest.call("be_hosted_agent")
    assert "binlog.000001 is not the one that was archived" in said_once(guest, "ended")["fault"]


def test_a_change_that_the_server_could_not_log_ends_the_stream_and_the_next_begins_after_it(
    guest: Guest, order: Prepare
) -> None:
    at = begin(guest, order)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (x LONGTEXT) ENGINE=Aria")
    guest.call("administer", "SET GLOBAL max_binlog_stmt_cache_size = 4096")
    with pytest.raises(engine_guest.Refused, match="max_binlog_stmt_cache_size"):
        guest.call(
            "administer",
            "INSERT INTO shop.t VALUES ('before')",
            "INSERT INTO shop.t SELECT REPEAT(MD5(seq), 1000) FROM shop.seq_1_to_9",
        )
    ended = said_once(guest, "ended")
    assert "could not log all changes: some are missing in binlog.000001" in ended["fault"]
    assert ended["sequence"] > 0
    archive(guest, at, NEXT)
    place = base(guest)
    guest.call("administer", "INSERT INTO shop.t VALUES ('after')")
    said = stored(guest, time.time())
    replay(guest, at, said["until"], said["sequence"], place, NEXT)
    run_on_base(guest)
    rows = guest.call("administer", "SELECT x FROM shop.t WHERE LENGTH(x) < 10 ORDER BY x")
    assert (said["stream"], rows) == (NEXT, [["after"], ["before"]])


def test_the_log_may_lose_what_was_archived_and_agent_and_server_may_begin_anew(
    guest: Guest, order: Prepare
) -> None:
    begin(guest, order)
    guest.call("administer", "CREATE DATABASE shop")
    stored(guest, time.time())
    guest.call("administer", "FLUSH BINARY LOGS")
    stored(guest, time.time())
    guest.call("administer", "PURGE BINARY LOGS TO 'binlog.000002'")
    for stopping in ("stop", "kill"):
        guest.call("die")
        guest.call(stopping)
        guest.call("start")
        guest.call("be_hosted_agent")
        guest.call("administer", f"CREATE TABLE shop.{stopping} (n INT)")
        assert stored(guest, time.time())["fault"] == ""
    ((newest, *_),) = guest.call("administer", "SHOW MASTER STATUS")
    assert newest == "binlog.000004"


@pytest.mark.parametrize("agents_disk", ["kept", "lost"])
def test_a_stream_whose_record_is_lost_ends_and_nothing_of_it_is_overwritten(
    guest: Guest, order: Prepare, agents_disk: str
) -> None:
    at = begin(guest, order)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (n INT)")
    said = stored(guest, time.time())
    first = guest.call("object", f"{PREFIX}0000000001")
    guest.call("die")
    guest.call("run", "rm", "/var/lib/dbaas/volume/archive.json")
    if agents_disk == "lost":
        guest.call("run", "rm", "/var/lib/dbaas/agent/archive.json")
    guest.call("be_hosted_agent")
    if agents_disk == "lost":
        archive(guest, at, reached=said["sequence"])
    guest.call("administer", "INSERT INTO shop.t VALUES (1)")
    assert "is not known any more" in said_once(guest, "ended")["fault"]
    assert guest.call("object", f"{PREFIX}0000000001") == first
    archive(guest, at, NEXT)
    assert stored(guest, time.time())["stream"] == NEXT


def test_a_log_that_outgrows_what_may_wait_is_given_up_and_the_next_stream_is_whole(
    guest: Guest, order: Prepare
) -> None:
    at = begin(guest, order, share=0.06)  # of a GiB, in which a file of the log has 16 MiB
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (n INT, x LONGTEXT)")
    stored(guest, time.time())
    guest.call("fail", "*", *["503"] * 10000)
    row = "INSERT INTO shop.t SELECT 1, REPEAT(MD5(RAND()), 64000)"  # 2 MB
    guest.call("administer", *[row] * 17)
    behind = said_once(guest, "behind")
    assert not behind["ended"]
    assert 0.03 * 2**30 < behind["pending"] < 0.06 * 2**30
    assert "503" in behind["fault"]
    guest.call("administer", *[row] * 20)
    assert "were not stored: more than may wait" in said_once(guest, "ended")["fault"]
    for _ in range(10):  # of what comes now, nothing is stored, and no more waits than may
        guest.call("administer", *[row] * 4)
        time.sleep(0.1)
    expired = time.monotonic() + 15
    while logged(guest) > 0.06 * 2**30:
        assert time.monotonic() < expired
        time.sleep(0.1)
    archive(guest, at, NEXT)
    place = base(guest)
    guest.call("administer", "INSERT INTO shop.t VALUES (2, '')")
    guest.call("fail", "*")
    said = stored(guest, time.time())
    assert (said["stream"], said["fault"], said["behind"]) == (NEXT, "", False)
    replay(guest, at, time.time(), said["sequence"], place, NEXT)
    run_on_base(guest)
    counted = guest.call("administer", "SELECT COUNT(*), MAX(n) FROM shop.t")
    assert counted == [["78", "2"]]


def logged(guest: Guest) -> int:
    """Return how many bytes the server's log has."""
    return sum(int(size) for _, size in guest.call("administer", "SHOW BINARY LOGS"))


@pytest.mark.thorough
def test_a_server_that_waits_for_room_in_a_full_volume_gets_it_of_the_log(
    guest: Guest, order: Prepare
) -> None:
    begin(guest, order)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (x LONGTEXT)")
    guest.call("administer", "INSERT INTO shop.t VALUES ('')")
    stored(guest, time.time())
    guest.call("die")
    row = "UPDATE shop.t SET x = REPEAT(MD5(RAND()), 64000)"
    guest.call("administer", *[row] * 25)
    guest.call("run", "sh", "-c", "cat /dev/zero >/var/lib/dbaas/volume/full 2>/dev/null || :")
    client = "mariadb -u os_admin -S /run/dbaas/mariadb/mariadbd.sock -e"
    guest.call("run", "sh", "-c", f"{client} '{row}' >/dev/null 2>&1 </dev/null &")
    time.sleep(3.0)
    guest.call("be_hosted_agent")
    guest.call("fail", "*", *["503"] * 10000)
    assert "MiB of the log were not stored" in said_once(guest, "ended")["fault"]
    guest.call("administer", row)


def test_a_log_that_waits_leaves_room_for_the_data(guest: Guest, order: Prepare) -> None:
    begin(guest, order)
    guest.call("administer", "CREATE DATABASE shop", "CREATE TABLE shop.t (x LONGTEXT)")
    guest.call("administer", "INSERT INTO shop.t VALUES ('')")
    stored(guest, time.time())
    guest.call("fail", "*", *["503"] * 10000)
    volume = "/var/lib/dbaas/volume"
    free = int(guest.call("run", "stat", "-f", "-c", "%f", volume)) * 4096
    guest.call("run", "fallocate", "-l", str(free - (200 << 20)), f"{volume}/full")
    for _ in range(120):  # 4 MB of the log each, and hardly any data
        guest.call("administer", "UPDATE shop.t SET x = REPEAT(MD5(RAND()), 64000)")
        time.sleep(0.03)
    said = said_once(guest, "ended")
    assert "MiB of the log were not stored" in said["fault"]
    assert said["pending"] < 150 << 20
