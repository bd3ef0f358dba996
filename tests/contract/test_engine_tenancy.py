"""What a tenant has inside an engine: databases, accounts, rights; on the real server."""

from collections.abc import Iterator
from typing import Any

import pytest

from dbaas.common import certificates
from dbaas.contract import codec, errors, messages
from dbaas.contract.messages import (
    Access,
    DatabaseName,
    Databases,
    DatabaseSpec,
    Page,
    RootPassword,
    UserChange,
    UserChanges,
    UserKey,
    Users,
    UserSpec,
    UserView,
)
from dbaas.contract.secret import Secret
from dbaas.engines import manifests
from tests.contract import engine_guest, hostile
from tests.contract.engine_guest import Guest, Refused

ALL = Page(10_000)
ANN = UserKey("ann")
PASSWORD = Secret("xyzzy")


@pytest.fixture(
    scope="module",
    params=[(name, series) for name, each in manifests.MANIFESTS.items() for series in each.series],
    ids=lambda param: "-".join(param),
)
def server(request: pytest.FixtureRequest) -> Iterator[Guest]:
    """A server for all tests here."""
    authority = certificates.create_authority("tests")
    issued = certificates.issue(authority, "instance", ["127.0.0.1"], [], 1)
    certificate = messages.ServerCertificate(issued.cert_pem, issued.key_pem, authority.cert_pem)
    engine, series = request.param
    order = codec.dump(messages.Prepare(engine, series, 512, 4711, certificate))
    with engine_guest.running(engine, series) as guest:
        guest.call("install", order)
        guest.call("start")
        guest.call("admit", order)
        yield guest


@pytest.fixture
def guest(server: Guest) -> Iterator[Guest]:
    """The server, with nothing in it."""
    yield server
    for user in server.tenant("list_users", ALL).users:
        server.tenant("delete_user", UserKey(user.name, user.host))
    for name in server.tenant("list_databases", ALL).names:
        server.tenant("delete_database", DatabaseName(name))
    server.call("administer", "DROP USER IF EXISTS root@'%'")


def user(name: str, *databases: str, host: str = "%") -> UserSpec:
    return UserSpec(name, PASSWORD, host, databases)


def make(guest: Guest, *users: UserSpec) -> None:
    guest.tenant("create_users", Users(users))


def make_databases(guest: Guest, *names: str) -> None:
    guest.tenant("create_databases", Databases(tuple(DatabaseSpec(name) for name in names)))


def names(guest: Guest) -> list[str]:
    return list(guest.tenant("list_databases", ALL).names)


def accounts(guest: Guest) -> list[tuple[str, str]]:
    return [(each.name, each.host) for each in guest.tenant("list_users", ALL).users]


def sees(guest: Guest, name: str, password: str = "xyzzy", **more: Any) -> set[str]:
    """Return the databases that a user sees."""
    rows = guest.query(name, password, "SHOW DATABASES", **more)
    return {row[0] for row in rows} - {"information_schema"}


def decoys(name: str) -> set[str]:
    """Return names that `name` covers if its wildcards count."""
    bare = name.replace("\\", "")
    found = {
        each.replace("_", under).replace("%", percent)
        for each in (name, bare)
        for under in "_x"
        for percent in ("%", "", "xyz")
    } | {bare}
    return {each for each in found if 0 < len(each) <= 64 and each.strip(" ")}


def test_a_hostile_name_is_a_name_and_gives_exactly_its_rights(guest: Guest) -> None:
    databases = set(hostile.HOSTILE).union(*(decoys(name) for name in hostile.HOSTILE))
    assert len(set(hostile.HOSTILE)) > 90
    make_databases(guest, *databases)
    make(guest, *(UserSpec(each, Secret(each), "%", (each,)) for each in hostile.HOSTILE))
    assert names(guest) == sorted(databases)
    views = guest.tenant("list_users", ALL).users
    assert views == tuple(UserView(each, "%", (each,)) for each in sorted(hostile.HOSTILE))
    for each in hostile.HOSTILE:
        assert sees(guest, each, each, database=each) == {each}
        guest.query(each, each, "CREATE TABLE t (id INT)", "DROP TABLE t", database=each)
        for decoy in decoys(each) - {each}:
            with pytest.raises(Refused, match=r"\(1044"):
                guest.query(each, each, "SELECT 1", database=decoy)


def test_hostile_names_are_found_changed_and_deleted(guest: Guest) -> None:
    for each in hostile.HOSTILE:
        make_databases(guest, each)
        make(guest, user(each))
        guest.tenant("grant_access", Access(UserKey(each), (each,)))
        assert guest.tenant("show_user", UserKey(each)) == UserView(each, "%", (each,))
        change = UserChange(UserKey(each), name="new", password=Secret(f"new{each}"))
        guest.tenant("change_users", UserChanges((change,)))
        assert sees(guest, "new", f"new{each}") == {each}
        change = UserChange(UserKey("new"), name=each)
        guest.tenant("change_users", UserChanges((change,)))
        assert sees(guest, each, f"new{each}") == {each}
        guest.tenant("revoke_access", Access(UserKey(each), (each,)))
        assert sees(guest, each, f"new{each}") == set()
        guest.tenant("delete_user", UserKey(each))
        guest.tenant("delete_database", DatabaseName(each))
    assert names(guest) == []
    assert accounts(guest) == []


def test_any_password_lets_in_and_no_other(guest: Guest) -> None:
    for each in (*hostile.HOSTILE, *hostile.PASSWORDS):
        make(guest, UserSpec("ann", Secret(each)))
        assert sees(guest, "ann", each) == set()
        for other in (f"{each}x", each[:-1], each.swapcase() + "'", ""):
            with pytest.raises(Refused, match=r"\((1045|1698)"):
                guest.query("ann", other, "SELECT 1")
        guest.tenant("delete_user", ANN)


def seen(guest: Guest) -> Any:
    """Return what the server counts of statements that make or change something."""
    kinds = ("create_db", "create_user", "grant", "rename_user", "alter_user")
    return guest.call(
        "administer",
        "SHOW GLOBAL STATUS WHERE variable_name IN"
        f" ({', '.join(repr(f'Com_{kind}') for kind in kinds)})",
    )


@pytest.mark.parametrize("name", [*hostile.NO_NAME, *hostile.NO_DATABASE])
def test_what_no_database_can_be_called_is_refused_before_the_server_sees_it(
    guest: Guest, name: str
) -> None:
    before = seen(guest)
    with pytest.raises(errors.Invalid, match="database name"):
        make_databases(guest, "fine", name)
    with pytest.raises(errors.Invalid, match="database name"):
        make(guest, user("ann", "fine", name))
    assert seen(guest) == before


@pytest.mark.parametrize("name", hostile.NO_DIRECTORY)
def test_what_no_directory_can_be_called_is_no_database(guest: Guest, name: str) -> None:
    before = seen(guest)
    with pytest.raises(errors.Invalid, match="too long for the file system"):
        make_databases(guest, "fine", name)
    assert seen(guest) == before


@pytest.mark.parametrize("name", [*hostile.NO_NAME, *hostile.NO_USER])
def test_what_no_user_can_be_called_is_refused_before_the_server_sees_it(
    guest: Guest, name: str
) -> None:
    make(guest, user("ann"))
    before = seen(guest)
    with pytest.raises(errors.Invalid, match="user name"):
        make(guest, user("fine"), user(name))
    with pytest.raises(errors.Invalid, match="user name"):
        guest.tenant("change_users", UserChanges((UserChange(ANN, name=name),)))
    assert seen(guest) == before


@pytest.mark.parametrize("password", hostile.NO_PASSWORD)
def test_what_no_client_can_send_is_refused_as_a_password(guest: Guest, password: str) -> None:
    make(guest, user("ann"))
    before = seen(guest)
    with pytest.raises(errors.Invalid, match="a password must"):
        make(guest, UserSpec("bob", Secret(password)))
    with pytest.raises(errors.Invalid, match="a password must"):
        guest.tenant("change_users", UserChanges((UserChange(ANN, password=Secret(password)),)))
    with pytest.raises(errors.Invalid, match="a password must"):
        guest.tenant("enable_root", RootPassword(Secret(password)))
    assert seen(guest) == before


@pytest.mark.parametrize("host", hostile.NO_HOST)
def test_where_no_client_comes_from_is_refused_as_a_host(guest: Guest, host: str) -> None:
    make(guest, user("ann"))
    before = seen(guest)
    with pytest.raises(errors.Invalid, match="host"):
        make(guest, user("bob", host=host))
    with pytest.raises(errors.Invalid, match="host"):
        guest.tenant("change_users", UserChanges((UserChange(ANN, host=host),)))
    assert seen(guest) == before


NETWORKS = {
    "127.9.0.0/16": ("127.9.0.5", "127.8.0.5"),
    "127.0.0.5/32": ("127.0.0.5", "127.0.0.6"),
    "127.0.0.4/30": ("127.0.0.7", "127.0.0.8"),
    "127.0.3.%": ("127.0.3.250", "127.0.4.1"),
    "127.0.0.9": ("127.0.0.9", "127.0.0.90"),
    "::1": ("::1", "127.0.0.1"),
    "::%": ("::1", "127.0.0.1"),
}


@pytest.mark.parametrize("host", NETWORKS)
def test_a_user_comes_from_its_network_and_from_nowhere_else(guest: Guest, host: str) -> None:
    inside, outside = NETWORKS[host]
    make(guest, user("ann", "shop", host=host))
    assert guest.tenant("show_user", UserKey("ann", host)) == UserView("ann", host, ("shop",))
    guest.query("ann", "xyzzy", "SELECT 1", source=inside)
    with pytest.raises(Refused, match=r"\((1045|1130|1698)"):
        guest.query("ann", "xyzzy", "SELECT 1", source=outside)
    guest.tenant("delete_user", UserKey("ann", host))


def test_what_was_made_in_sql_shows(guest: Guest) -> None:
    guest.call(
        "administer",
        "CREATE DATABASE made_here",
        "CREATE USER eve@'10.0.0.0/255.255.255.0' IDENTIFIED BY 'x'",
        "CREATE USER ' blank'@'DB.example' IDENTIFIED BY 'x'",
        "CREATE USER Root@'%' IDENTIFIED BY 'x'",
        "CREATE ROLE IF NOT EXISTS team",
        "GRANT SELECT ON made_here.* TO eve@'10.0.0.0/255.255.255.0'",
        "GRANT SELECT ON `m%`.* TO ' blank'@'db.example'",
        "GRANT SELECT ON mysql.* TO Root@'%'",
    )
    assert names(guest) == ["made_here"]
    assert guest.tenant("list_users", ALL).users == (
        UserView(" blank", "db.example", ("made_here",)),
        UserView("Root", "%", ()),
        UserView("eve", "10.0.0.0/24", ("made_here",)),
    )
    guest.call("administer", "DROP ROLE team")


def test_the_service_s_own_never_shows_and_cannot_be_touched(guest: Guest) -> None:
    guest.tenant("enable_root", RootPassword(PASSWORD))
    assert names(guest) == []
    assert accounts(guest) == []
    make(guest, user("ann"))
    for name in ("root", "os_admin", "mariadb.sys"):
        for host in ("%", "localhost"):
            key = UserKey(name, host)
            for verb, order in (
                ("show_user", key),
                ("delete_user", key),
                ("change_users", UserChanges((UserChange(key, name="eve"),))),
                ("change_users", UserChanges((UserChange(ANN, name=name),))),
                ("grant_access", Access(key, ("shop",))),
                ("revoke_access", Access(key, ("shop",))),
            ):
                with pytest.raises(errors.Invalid, match="the service's own"):
                    guest.tenant(verb, order)
    for name in ("mysql", "sys", "information_schema", "performance_schema"):
        for verb, named in (
            ("delete_database", DatabaseName(name)),
            ("grant_access", Access(ANN, (name,))),
            ("revoke_access", Access(ANN, (name,))),
        ):
            with pytest.raises(errors.Invalid, match="the server's own"):
                guest.tenant(verb, named)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_pages_show_everything_once_and_in_order(guest: Guest, limit: int) -> None:
    databases = ["a", "A", "a_b", "ab", "B", "\u00e4", "\uffff", "a\x01", "a'"]
    hosts = ["%", "10.0.0.0/24", "10.0.0.0/8", "localhost"]
    users = [(name, host) for name in ("a", "a@%", "A", "\u00e4", "a\x01") for host in hosts]
    make_databases(guest, *databases)
    make(guest, *(user(name, host=host) for name, host in users))
    shown: list[str] = []
    more = True
    while more:
        page = guest.tenant("list_databases", Page(limit, shown[-1] if shown else ""))
        assert 0 < len(page.names) <= limit
        shown += page.names
        more = page.more
    assert shown == sorted(databases)
    listed: list[UserView] = []
    more = True
    while more:
        marker = f"{listed[-1].name}@{listed[-1].host}" if listed else ""
        part = guest.tenant("list_users", Page(limit, marker))
        assert 0 < len(part.users) <= limit
        listed += part.users
        more = part.more
    assert [(each.name, each.host) for each in listed] == sorted(users)


def test_a_page_goes_on_after_what_was_deleted(guest: Guest) -> None:
    make_databases(guest, "a", "c")
    make(guest, user("a"), user("c"))
    assert guest.tenant("list_databases", Page(10, "b")).names == ("c",)
    (left,) = guest.tenant("list_users", Page(10, "b@%")).users
    assert left.name == "c"
    assert not guest.tenant("list_users", Page(10, "c@%")).users


def test_databases_are_made_all_or_none(guest: Guest) -> None:
    make_databases(guest, "shop")
    with pytest.raises(errors.Conflict, match="'shop'"):
        make_databases(guest, "books", "shop")
    with pytest.raises(errors.Invalid, match="twice"):
        make_databases(guest, "books", "books")
    assert names(guest) == ["shop"]
    make_databases(guest)


def test_users_are_made_all_or_none(guest: Guest) -> None:
    make(guest, user("ann", "shop"))
    with pytest.raises(errors.Conflict, match="'ann'"):
        make(guest, user("bob"), UserSpec("ann", Secret("other")))
    with pytest.raises(errors.Invalid, match="twice"):
        make(guest, user("bob"), user("bob"))
    assert accounts(guest) == [("ann", "%")]
    assert sees(guest, "ann") == set()  # with the password of before
    make(guest, user("ann", host="10.0.0.1"))
    assert accounts(guest) == [("ann", "%"), ("ann", "10.0.0.1")]


def test_a_change_keeps_what_it_does_not_name(guest: Guest) -> None:
    make_databases(guest, "shop", "a_b")
    make(guest, user("ann", "shop", "a_b"))
    for change, name, password in (
        (UserChange(ANN, name="eve"), "eve", "xyzzy"),
        (UserChange(UserKey("eve"), password=Secret("two")), "eve", "two"),
        (UserChange(UserKey("eve"), host="127.0.0.0/8"), "eve", "two"),
        (UserChange(UserKey("eve", "127.0.0.0/8"), "ann", "%", Secret("three")), "ann", "three"),
        (UserChange(ANN), "ann", "three"),
    ):
        guest.tenant("change_users", UserChanges((change,)))
        assert sees(guest, name, password) == {"shop", "a_b"}
    assert accounts(guest) == [("ann", "%")]


def test_users_are_changed_all_or_none(guest: Guest) -> None:
    make(guest, user("ann", "shop"), user("bob"))
    new = UserChange(ANN, name="eve", password=Secret("changed"))
    for second, kind in (
        (UserChange(UserKey("bob"), name="ann"), errors.Conflict),
        (UserChange(UserKey("bob"), name="eve"), errors.Invalid),
        (UserChange(UserKey("bob"), host="no host"), errors.Invalid),
        (UserChange(UserKey("nobody"), name="x"), errors.NotFound),
        (UserChange(UserKey("bob", "10.0.0.1"), password=PASSWORD), errors.NotFound),
        (UserChange(ANN, password=PASSWORD), errors.Invalid),
    ):
        with pytest.raises(kind):
            guest.tenant("change_users", UserChanges((new, second)))
    assert accounts(guest) == [("ann", "%"), ("bob", "%")]
    guest.query("ann", "xyzzy", "SELECT 1")


def test_a_deleted_user_is_out_at_once(guest: Guest) -> None:
    make(guest, user("ann"), user("bob"))
    ann = guest.call("stay", "ann", "xyzzy")
    bob = guest.call("stay", "bob", "xyzzy")
    guest.tenant("delete_user", ANN)
    with pytest.raises(Refused):
        guest.call("speak", ann)
    assert guest.call("speak", bob) == "bob@%"
    with pytest.raises(Refused, match=r"\((1045|1698)"):
        guest.query("ann", "xyzzy", "SELECT 1")


def test_what_is_not_there_is_not_found(guest: Guest) -> None:
    make(guest, user("ann"))
    for verb, order in (
        ("show_user", UserKey("nobody")),
        ("show_user", UserKey("ann", "10.0.0.1")),
        ("show_user", UserKey("ANN")),
        ("show_user", UserKey("ann ")),
        ("show_user", UserKey("a\0'\ud800" + "x" * 1000, "\0'\ud800")),
        ("delete_user", UserKey("nobody")),
        ("delete_database", DatabaseName("nothing")),
        ("delete_database", DatabaseName("a\0'\ud800" + "x" * 1000)),
        ("grant_access", Access(UserKey("nobody"), ("shop",))),
        ("revoke_access", Access(UserKey("nobody"), ("shop",))),
        ("revoke_access", Access(ANN, ("shop",))),
        ("revoke_access", Access(ANN, ("a\0'\ud800" + "x" * 1000,))),
    ):
        with pytest.raises(errors.NotFound):
            guest.tenant(verb, order)


def test_granting_adds_and_revoking_takes(guest: Guest) -> None:
    make_databases(guest, "a", "b", "c")
    make(guest, user("ann", "a"))
    guest.tenant("grant_access", Access(ANN, ("b", "a")))
    guest.tenant("grant_access", Access(ANN, ("c",)))
    assert sees(guest, "ann") == {"a", "b", "c"}
    guest.tenant("revoke_access", Access(ANN, ("a",)))
    assert sees(guest, "ann") == {"b", "c"}
    with pytest.raises(errors.NotFound, match="no right on 'a'"):
        guest.tenant("revoke_access", Access(ANN, ("b", "a")))
    assert guest.tenant("show_user", ANN).databases == ("b", "c")
    with pytest.raises(errors.Invalid):
        guest.tenant("grant_access", Access(ANN, ("a", "mysql")))
    assert guest.tenant("show_user", ANN).databases == ("b", "c")


def test_a_right_granted_in_sql_is_taken_with_the_right_to_pass_it_on(guest: Guest) -> None:
    make_databases(guest, "a_b", "axb", "shop")
    make(guest, user("ann"))
    guest.call("administer", "GRANT SELECT ON a_b.* TO ann@'%' WITH GRANT OPTION")
    assert guest.tenant("show_user", ANN).databases == ("a_b", "axb")
    with pytest.raises(errors.Conflict, match="only be revoked in SQL"):
        guest.tenant("revoke_access", Access(ANN, ("axb",)))
    guest.tenant("revoke_access", Access(ANN, ("a_b",)))
    assert guest.tenant("show_user", ANN).databases == ()
    assert sees(guest, "ann") == set()


def test_root_is_let_in_and_out_again(guest: Guest) -> None:
    for password in ("first", "sec'ond\\"):
        guest.tenant("enable_root", RootPassword(Secret(password)))
        grants = guest.query("root", password, "SHOW GRANTS")[0][0]
        assert grants.startswith("GRANT ALL PRIVILEGES ON *.* TO ")
        assert grants.endswith("WITH GRANT OPTION")
    with pytest.raises(Refused, match=r"\((1045|1698)"):
        guest.query("root", "first", "SELECT 1")
    guest.query("root", "sec'ond\\", "CREATE USER root@'127.%' IDENTIFIED BY 'back door'")
    inside = guest.call("stay", "root", "back door")
    guest.tenant("disable_root")
    for password in ("sec'ond\\", "back door", ""):
        with pytest.raises(Refused, match=r"\((1045|1698|4151)"):
            guest.query("root", password, "SELECT 1")
    with pytest.raises(Refused):
        guest.call("speak", inside)
    guest.tenant("disable_root")
    guest.call("administer", "DROP USER root@'127.%'")
    guest.tenant("enable_root", RootPassword(Secret("again")))
    assert guest.query("root", "again", "SELECT CURRENT_USER()") == [["root@%"]]


ESCAPES = (
    "SELECT LENGTH(LOAD_FILE('/etc/passwd'))",
    "SELECT LENGTH(LOAD_FILE('/etc/dbaas/engine/mariadb/server.key'))",
    "LOAD DATA INFILE '/etc/passwd' INTO TABLE t",
    "LOAD DATA LOCAL INFILE '/etc/passwd' INTO TABLE t",
    "SELECT 1 INTO OUTFILE '/usr/lib/mysql/plugin/x.so'",
    "SELECT 1 INTO DUMPFILE '/etc/dbaas/engine/mariadb/my.cnf'",
    "SELECT 1 INTO OUTFILE '/run/dbaas/x'",
    "SET GLOBAL secure_file_priv = ''",
    "SET GLOBAL plugin_dir = '/tmp'",
    "SET GLOBAL init_file = '/tmp/x'",
    "SET GLOBAL general_log_file = '/etc/dbaas/engine/mariadb/my.cnf'",
    "SET GLOBAL wsrep_provider = '/tmp/x.so'",
    "SET GLOBAL wsrep_notify_cmd = '/bin/sh'",
    "CREATE FUNCTION system RETURNS INTEGER SONAME '../../../../tmp/x.so'",
    "INSTALL SONAME '/tmp/x.so'",
    "CREATE TABLE u (id INT) ENGINE=MyISAM DATA DIRECTORY='/etc/dbaas'",
)


@pytest.mark.parametrize("statement", ESCAPES)
def test_root_cannot_get_out_of_the_server(guest: Guest, statement: str) -> None:
    make_databases(guest, "shop")
    guest.tenant("enable_root", RootPassword(PASSWORD))
    guest.query("root", "xyzzy", "CREATE TABLE t (x TEXT)", database="shop")
    if "LOAD_FILE" in statement:
        assert guest.query("root", "xyzzy", statement) == [["None"]]
    elif "DIRECTORY" in statement:  # taken, but not followed
        guest.query("root", "xyzzy", statement, database="shop")
        assert guest.call("files", "/etc/dbaas/u*") == []
    else:
        with pytest.raises(Refused):
            guest.query("root", "xyzzy", statement, database="shop")


WAYS = (
    "SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES,PIPES_AS_CONCAT'",
    "SET GLOBAL sql_select_limit = 1",
    "SET GLOBAL max_statement_time = 0.000001",
    "SET GLOBAL autocommit = 0",
    "SET GLOBAL tx_read_only = 1",
    "SET GLOBAL read_only = 1",
    "SET GLOBAL init_connect = 'nonsense'",
    "SET GLOBAL sql_quote_show_create = 0",
    "SET GLOBAL max_join_size = 1",
    "SET GLOBAL character_set_server = 'utf16', collation_connection = 'utf16_bin'",
    "SET GLOBAL default_password_lifetime = 1",
    "SET GLOBAL require_secure_transport = 1",
)


def test_the_agent_works_whatever_ways_a_tenant_s_root_sets(guest: Guest) -> None:
    guest.tenant("enable_root", RootPassword(PASSWORD))
    for way in WAYS:
        guest.query("root", "xyzzy", way)
    strange = "a\\'b`c\"%_"
    try:
        make_databases(guest, strange, "b")
        make(guest, user(strange, strange), user("b"))
        change = UserChange(UserKey(strange), name="\\'\"", password=Secret("\\'"))
        guest.tenant("change_users", UserChanges((change,)))
        view = UserView("\\'\"", "%", (strange,))
        assert guest.tenant("list_users", ALL).users == (view, UserView("b", "%", ()))
        assert names(guest) == [strange, "b"]
        guest.tenant("disable_root")
    finally:
        guest.call("stop")
        guest.call("start")


LOCK_OUTS = (
    "DROP USER os_admin@localhost",
    "ALTER USER os_admin@localhost ACCOUNT LOCK",
    "ALTER USER os_admin@localhost IDENTIFIED BY 'mine'",
    "ALTER USER os_admin@localhost IDENTIFIED VIA unix_socket AS 'nobody'",
    "REVOKE ALL PRIVILEGES, GRANT OPTION FROM os_admin@localhost",
    "RENAME USER os_admin@localhost TO mine@localhost",
    "DELETE FROM mysql.global_priv WHERE user = 'os_admin'",
    "DELETE FROM mysql.global_priv WHERE user <> 'root' OR host = 'localhost'",
)


@pytest.mark.parametrize("statement", LOCK_OUTS)
def test_a_restart_brings_the_service_back_in(guest: Guest, statement: str) -> None:
    guest.tenant("enable_root", RootPassword(PASSWORD))
    guest.query("root", "xyzzy", statement, "FLUSH PRIVILEGES")
    with pytest.raises(errors.Forbidden, match="a restart of the instance"):
        make_databases(guest, "shop")
    assert guest.call("signs")[0] is True
    guest.call("stop")
    guest.call("start")
    make_databases(guest, "shop")
    assert names(guest) == ["shop"]


def test_the_memory_is_fitted_while_the_server_runs(guest: Guest) -> None:
    pid = guest.call("pid")
    ask = "SELECT @@innodb_buffer_pool_size >> 20, @@max_connections, @@tmp_table_size >> 20"
    make_databases(guest, "shop")
    make(guest, user("ann", "shop"))
    for memory, expected in ((2048, ["819", "400", "32"]), (256, ["32", "50", "4"])):
        assert guest.call("use_memory", memory) is False
        assert guest.query("ann", "xyzzy", ask) == [expected]
        assert guest.call("pid") == pid
        guest.call("stop")
        guest.call("start")
        pid = guest.call("pid")
        assert guest.query("ann", "xyzzy", ask) == [expected]
    assert guest.call("use_memory", 512) is False


REPEATABLE = (
    ("create_databases", Databases((DatabaseSpec("new"), DatabaseSpec("newer")))),
    ("delete_database", DatabaseName("shop")),
    ("create_users", Users((user("new", "shop"), user("newer", "shop")))),
    (
        "change_users",
        UserChanges(
            (
                UserChange(ANN, name="new", password=Secret("new")),
                UserChange(UserKey("bob"), host="10.0.0.0/8"),
            )
        ),
    ),
    ("delete_user", ANN),
    ("revoke_access", Access(ANN, ("books", "shop"))),
)


def world(guest: Guest) -> object:
    """Return all that a tenant has, passwords included."""
    passwords = guest.call(
        "administer",
        "SELECT user, host, JSON_VALUE(priv, '$.authentication_string') FROM mysql.global_priv",
    )
    return names(guest), guest.tenant("list_users", ALL), sorted(passwords)


@pytest.mark.parametrize(("verb", "order"), REPEATABLE, ids=lambda each: str(each)[:16])
def test_what_a_crash_cut_short_is_done_by_the_next_attempt(
    guest: Guest, verb: str, order: object
) -> None:
    def lay_out() -> None:
        make_databases(guest, "shop", "books")
        make(guest, user("ann", "shop", "books"), user("bob"))

    lay_out()
    before = world(guest)
    with pytest.raises(Refused):
        guest.tenant(verb, order, cut_short=True)
    assert world(guest) == before
    guest.tenant(verb, order, begun=True)  # nothing was done yet
    after = world(guest)
    assert after != before
    guest.tenant(verb, order, begun=True)  # everything was
    assert world(guest) == after
    with pytest.raises((errors.NotFound, errors.Conflict)):
        guest.tenant(verb, order)


def test_an_attempt_goes_on_from_the_half_that_was_done(guest: Guest) -> None:
    make_databases(guest, "a")
    guest.tenant("create_databases", Databases((DatabaseSpec("a"), DatabaseSpec("b"))), begun=True)
    assert names(guest) == ["a", "b"]
    guest.call("administer", "CREATE USER a@'%' IDENTIFIED BY 'half'")
    guest.tenant("create_users", Users((user("a", "a"), user("b"))), begun=True)
    assert sees(guest, "a") == {"a"}
    guest.tenant("change_users", UserChanges((UserChange(UserKey("a"), name="c"),)))
    changes = (UserChange(UserKey("a"), name="c"), UserChange(UserKey("b"), name="d"))
    guest.tenant("change_users", UserChanges(changes), begun=True)
    assert accounts(guest) == [("c", "%"), ("d", "%")]


def test_who_is_shut_out_fits_the_memory_by_a_restart(guest: Guest) -> None:
    guest.tenant("enable_root", RootPassword(PASSWORD))
    guest.query("root", "xyzzy", "DROP USER os_admin@localhost")
    assert guest.call("use_memory", 1024) is True
    guest.call("stop")
    guest.call("start")
    pool = guest.call("administer", "SELECT @@innodb_buffer_pool_size >> 20")
    assert pool == [["409"]]
    assert guest.call("use_memory", 512) is False


def test_a_table_in_use_is_said_to_be_so(guest: Guest) -> None:
    make_databases(guest, "shop")
    make(guest, user("ann", "shop"))
    guest.query("ann", "xyzzy", "CREATE TABLE t (id INT)", database="shop")
    ann = guest.call("stay", "ann", "xyzzy")
    guest.call("speak", ann, "BEGIN", "SELECT * FROM shop.t")
    with pytest.raises(errors.Busy, match="a transaction holds"):
        guest.tenant("delete_database", DatabaseName("shop"))
    assert names(guest) == ["shop"]
    guest.call("speak", ann, "COMMIT")
    guest.tenant("delete_database", DatabaseName("shop"))
