"""What every engine promises, on the real server of the guests' image."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from dbaas.common import certificates
from dbaas.contract import codec, errors, messages
from dbaas.contract.messages import DatabaseSpec, Prepare, UserSpec
from dbaas.contract.secret import Secret
from dbaas.engines import manifests
from tests.contract import engine_guest
from tests.contract.engine_guest import Guest, Refused

DATA = "/var/lib/dbaas/volume/data"


@pytest.fixture(
    params=[(name, series) for name, each in manifests.MANIFESTS.items() for series in each.series],
    ids=lambda param: "-".join(param),
)
def kind(request: pytest.FixtureRequest) -> tuple[str, str]:
    name, series = request.param
    return name, series


@pytest.fixture
def guest(kind: tuple[str, str]) -> Iterator[Guest]:
    with engine_guest.running(*kind) as guest:
        yield guest


@pytest.fixture(scope="session")
def certificate() -> messages.ServerCertificate:
    authority = certificates.create_authority("tests")
    issued = certificates.issue(authority, "instance", ["127.0.0.1"], [], 1)
    return messages.ServerCertificate(issued.cert_pem, issued.key_pem, authority.cert_pem)


@pytest.fixture
def order(kind: tuple[str, str], certificate: messages.ServerCertificate) -> Prepare:
    return Prepare(
        kind[0],
        kind[1],
        512,
        4711,
        certificate,
        (DatabaseSpec("shop"), DatabaseSpec("books", "utf8", "utf8_general_ci")),
        (UserSpec("ann", Secret("xyzzy'word\\ \u00fc\U0001f418"), "%", ("shop",)),),
    )


def prepare(guest: Guest, order: Prepare) -> None:
    guest.call("install", codec.dump(order))
    guest.call("start")
    guest.call("admit", codec.dump(order))


def query(
    guest: Guest, order: Prepare, *statements: str, database: str | None = None, tls: bool = True
) -> Any:
    user = order.users[0]
    return guest.call("query", user.name, user.password.reveal(), statements, tls, database)


def test_a_tenant_reads_and_writes_in_what_was_ordered(guest: Guest, order: Prepare) -> None:
    prepare(guest, order)
    create = "CREATE TABLE t (id INT PRIMARY KEY, x VARCHAR(20)) DEFAULT CHARSET utf8mb4"
    write = "INSERT INTO t VALUES (1, '\U0001f418')"
    rows = query(guest, order, create, write, "SELECT * FROM t", database="shop")
    assert rows == [["1", "\U0001f418"]]
    assert guest.call("signs")[0] is True
    assert guest.call("signs")[1].startswith(order.version)


FORBIDDEN = (
    "USE books",
    "SELECT * FROM mysql.user",
    "CREATE DATABASE mine",
    "CREATE USER eve",
    "SELECT 1 INTO OUTFILE '/tmp/x'",
    "SET GLOBAL max_connections = 1",
)


def test_a_user_s_rights_end_at_its_databases(guest: Guest, order: Prepare) -> None:
    prepare(guest, order)
    assert query(guest, order, "SHOW DATABASES") == [["information_schema"], ["shop"]]
    for statement in FORBIDDEN:
        with pytest.raises(Refused):
            query(guest, order, statement)


def test_the_connection_is_encrypted_and_the_server_s_name_is_certified(
    guest: Guest, order: Prepare
) -> None:
    prepare(guest, order)
    ((_, version),) = query(guest, order, "SHOW STATUS LIKE 'Ssl_version'")
    assert version == "TLSv1.3"
    ((_, version),) = query(guest, order, "SHOW STATUS LIKE 'Ssl_version'", tls=False)
    assert version == ""


CLIENTS = {"mariadb": ("mariadb", "-h", "127.0.0.1", "-u", "ann", "-pxyzzy", "-N", "-e")}
"""The engine's own client as a tenant calls it, with nothing said about TLS or authorities."""


def test_the_engine_s_own_client_needs_no_option_for_tls(guest: Guest, order: Prepare) -> None:
    prepare(guest, replace(order, users=(UserSpec("ann", Secret("xyzzy"), "%", ("shop",)),)))
    said = guest.call("run", *CLIENTS[order.engine], "SHOW STATUS LIKE 'Ssl_version'")
    assert said.split() == ["Ssl_version", "TLSv1.3"]


def test_nobody_but_the_machine_s_root_is_the_administrator(guest: Guest, order: Prepare) -> None:
    prepare(guest, order)
    for user in ("root", "os_admin", "", "mariadb.sys", "mysql"):
        for password in ("", "invalid", user):
            with pytest.raises(Refused):
                guest.call("query", user, password, ["SELECT 1"], True, None)


def test_preparing_again_changes_nothing(guest: Guest, order: Prepare) -> None:
    prepare(guest, order)
    query(guest, order, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)", database="shop")
    pid = guest.call("pid")
    prepare(guest, order)
    assert guest.call("pid") == pid
    assert query(guest, order, "SELECT * FROM t", database="shop") == [["7"]]


def test_a_stopped_server_starts_with_its_data(guest: Guest, order: Prepare) -> None:
    prepare(guest, order)
    query(guest, order, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)", database="shop")
    guest.call("stop")
    assert guest.call("pid") is None
    assert guest.call("signs") == [False, ""]
    guest.call("stop")
    guest.call("start")
    assert query(guest, order, "SELECT * FROM t", database="shop") == [["7"]]


def test_what_was_committed_outlives_a_crash(guest: Guest, order: Prepare) -> None:
    prepare(guest, order)
    query(guest, order, "CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)", database="shop")
    guest.call("kill")
    assert guest.call("signs") == [False, ""]
    guest.call("start")
    assert query(guest, order, "SELECT * FROM t", database="shop") == [["7"]]


def test_a_copy_that_a_crash_cut_short_is_made_again(guest: Guest, order: Prepare) -> None:
    guest.call("leave_behind", f"{DATA}.0000.unfinished/ibdata1", "half")
    prepare(guest, order)
    assert query(guest, order, "SELECT 1") == [["1"]]
    assert guest.call("files", f"{DATA}.*") == []


@pytest.mark.parametrize("verbs", [(), ("start",), ("start", "kill"), ("start", "stop")])
def test_preparing_goes_on_where_a_crash_cut_it_short(
    guest: Guest, order: Prepare, verbs: Sequence[str]
) -> None:
    guest.call("install", codec.dump(order))
    for verb in verbs:
        guest.call(verb)
    prepare(guest, order)
    assert query(guest, order, "SELECT 1", database="shop") == [["1"]]


HOSTILE = (
    *("a'b", 'a"b', "a`b", "a``b", "a\\b", "a\\'b", "a%b", "a_b", "a%%s", "a%sb", "a;b", "a b"),
    *("-- a", "/*a", "a.b", "\u00e4\u4e2d", "\u0001a", "SELECT", "a\nb", "x" * 64, "`", "'", "\\"),
    *("%", "A-B@c", "#a", "a/b", "..", "NUL"),
)


def test_any_name_that_the_server_can_store_is_just_a_name(guest: Guest, order: Prepare) -> None:
    plain = Secret("secret")
    hostile = replace(
        order,
        databases=tuple(DatabaseSpec(name) for name in HOSTILE),
        users=tuple(UserSpec(f"u{name}", plain, "%", (name,)) for name in HOSTILE),
    )
    prepare(guest, hostile)
    for name in HOSTILE:
        rows = guest.call("query", f"u{name}", "secret", ["SHOW DATABASES"], True, name)
        assert {row[0] for row in rows} == {"information_schema", name}


def test_a_wildcard_in_a_database_s_name_grants_nothing_else(guest: Guest, order: Prepare) -> None:
    databases = tuple(DatabaseSpec(name) for name in ("a_b", "axb", "c%", "cxx", "shop"))
    users = (replace(order.users[0], databases=("a_b", "c%")),)
    wild = replace(order, databases=databases, users=users)
    prepare(guest, wild)
    assert query(guest, wild, "SHOW DATABASES") == [["a_b"], ["c%"], ["information_schema"]]


@pytest.mark.parametrize(
    "spec",
    [
        {"databases": (DatabaseSpec("x" * 65),)},
        {"databases": (DatabaseSpec("\U0001f418"),)},
        {"databases": (DatabaseSpec("mysql"),)},
        {"databases": (DatabaseSpec("d", "klingon"),)},
        {"databases": (DatabaseSpec("d", "latin1", "utf8mb4_bin"),)},
        {"users": (UserSpec("os_admin", Secret("x")),)},
        {"users": (UserSpec("bob", Secret("x"), "no host; at all"),)},
        {"settings": {"datadir": "/"}},
        {"settings": {"plugin_load": "x"}},
    ],
)
def test_what_cannot_be_is_refused_in_words(
    guest: Guest, order: Prepare, spec: dict[str, Any]
) -> None:
    with pytest.raises(errors.Invalid, match=r"name|character set|collation|host|setting"):
        prepare(guest, replace(order, **spec))


def test_the_longest_names_fit(guest: Guest, order: Prepare) -> None:
    long = UserSpec("u" * 128, Secret("p" * 200), "%", ("d" * 64,))
    longest = replace(order, databases=(DatabaseSpec("d" * 64),), users=(long,))
    prepare(guest, longest)
    assert query(guest, longest, "SELECT CURRENT_USER()") == [[f"{'u' * 128}@%"]]


def test_no_password_is_left_anywhere(guest: Guest, order: Prepare) -> None:
    prepare(guest, order)
    guest.call("stop")
    kept = guest.call(
        "text", f"{DATA}/*log*", f"{DATA}/mysql/*", "/etc/dbaas/**/*", "/run/dbaas/**/*",
        "/var/log/dbaas/*", "/var/lib/dbaas/volume/tmp/*",
    )  # fmt: skip
    assert "CREATE USER" in kept
    assert "xyzzy" not in kept


def test_the_server_has_its_own_account_and_its_secrets_are_its_own(
    guest: Guest, order: Prepare
) -> None:
    prepare(guest, order)
    owner = guest.call("owner")
    assert owner != "root"
    for path, whose, mode in guest.call("files", "/etc/dbaas/engine/**/*.key", DATA):
        assert whose == owner, path
        assert mode & 0o007 == 0, path
    for path, whose, mode in guest.call("files", "/etc/dbaas/engine/**/*.cnf"):
        assert (whose, mode & 0o022) == ("root", 0), path


def test_the_owner_s_settings_are_in_force(guest: Guest, order: Prepare) -> None:
    tuned = replace(order, settings={"max-connections": "77", "sql_mode": "ANSI_QUOTES"})
    prepare(guest, tuned)
    assert query(guest, tuned, "SELECT @@max_connections, @@GLOBAL.sql_mode") == [
        ["77", "ANSI_QUOTES"]
    ]


def test_a_server_that_cannot_start_says_why(guest: Guest, order: Prepare) -> None:
    bad = replace(order, settings={"sql_mode": "NONSENSE"})
    with pytest.raises(errors.Failed, match=r"ended at once: .*NONSENSE"):
        prepare(guest, bad)
    prepare(guest, order)
    assert query(guest, order, "SELECT 1") == [["1"]]


def test_a_server_that_is_killed_while_it_starts_is_started_again(
    guest: Guest, order: Prepare
) -> None:
    guest.call("install", codec.dump(order))
    guest.call("start_killed", 1)
    guest.call("admit", codec.dump(order))
    assert query(guest, order, "SELECT 1") == [["1"]]
    guest.call("stop")
    with pytest.raises(errors.Failed, match="ended at once, each time"):
        guest.call("start_killed", 3)


def test_an_image_without_the_template_is_told_so(guest: Guest, order: Prepare) -> None:
    guest.call("remove", "/usr/share/dbaas/templates")
    with pytest.raises(errors.Failed, match=r"this image has no .* data directory"):
        prepare(guest, order)
