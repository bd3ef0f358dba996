import pytest
from hypothesis import given
from hypothesis import strategies as some

from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.engines.mariadb import names

TEXT = some.text(some.characters(max_codepoint=0xFFFF, codec="utf-8"), max_size=30)
WILD = some.text("ab\\_%`", max_size=12)


@pytest.mark.parametrize(
    "name",
    ["", "x" * 65, "mysql", "SYS", "information_schema", "a\0b", "blank ", "\U0001f418", "\ud800",
     "#mysql50#x"],
)  # fmt: skip
def test_a_name_that_no_database_can_have_is_refused(name: str) -> None:
    with pytest.raises(errors.Invalid, match="database name"):
        names.check_database(name)


@pytest.mark.parametrize(
    "name",
    ["", "root", "OS_ADMIN", "mariadb.sys", "x" * 129, "\U0001f418", "\ud800", "a\0", "blank "],
)
def test_a_name_that_no_user_may_have_is_refused(name: str) -> None:
    with pytest.raises(errors.Invalid, match="user name"):
        names.check_user(name)


@pytest.mark.parametrize("password", ["", "a\0b", "\ud800", "x" * 256])
def test_a_password_that_no_client_can_send_is_refused_and_not_repeated(password: str) -> None:
    with pytest.raises(errors.Invalid, match="a password must") as refusal:
        names.check_password(Secret(password))
    assert not password or password not in str(refusal.value)


@pytest.mark.parametrize(
    ("host", "told"),
    [
        ("", "neither an address"),
        ("a b", "neither an address"),
        ("x'y", "neither an address"),
        ("h" * 256, "neither an address"),
        ("10.0.0.0/24;", "not a network"),
        ("10.1.2.3/33", "not a network"),
        ("fd00::/64", "not a network"),
        ("10.0.0.0/255.255.0.255", "not a network"),
        ("10.1.2.3/16", "must be written as 10.1.0.0/16"),
        ("10.1.0.0/255.255.0.0", "must be written as 10.1.0.0/16"),
        ("0.0.0.0/0", "that is '%'"),
        ("fd00:0::1", "must be written as fd00::1"),
        ("::x", "not an address"),
        ("DB.example", "small letters"),
    ],
)
def test_a_host_that_cannot_be_is_refused_with_what_would_be_right(host: str, told: str) -> None:
    with pytest.raises(errors.Invalid, match=told):
        names.check_host(host)


@pytest.mark.parametrize(
    ("host", "stored"),
    [
        ("%", "%"),
        ("10.1.%", "10.1.%"),
        ("10.0.0.5", "10.0.0.5"),
        ("10.0.0.0/24", "10.0.0.0/255.255.255.0"),
        ("10.0.0.5/32", "10.0.0.5/255.255.255.255"),
        ("fd00::1", "fd00::1"),
        ("fd00:%", "fd00:%"),
        ("db-1.example", "db-1.example"),
    ],
)
def test_a_host_is_shown_as_it_was_given(host: str, stored: str) -> None:
    assert names.check_host(host) == stored
    assert names.shown_host(stored) == host


@pytest.mark.parametrize("stored", ["10.0.0.1/255.255.0.0", "10.0.0.0/24", "1/2/3", "a/b", ""])
def test_a_host_made_in_sql_that_is_no_network_is_shown_as_it_is(stored: str) -> None:
    assert names.shown_host(stored) == stored


def test_a_name_too_long_for_a_grant_is_refused() -> None:
    with pytest.raises(errors.Invalid, match="too long for a grant"):
        names.pattern("_" * 33)


@given(TEXT)
def test_a_pattern_is_for_its_own_name_only(name: str) -> None:
    assert names.exact(names.pattern(name)) == name
    assert names.covers(names.pattern(name), name)


@given(WILD, WILD)
def test_a_pattern_covers_no_other_name(name: str, other: str) -> None:
    assert names.covers(names.pattern(name), other) is (name == other)


@pytest.mark.parametrize(
    ("granted", "name", "covered"),
    [
        ("my_db", "my_db", True),
        ("my_db", "my1db", True),
        (r"my\_db", "my1db", False),
        ("shop%", "shop", True),
        ("shop%", "shop2\n", True),
        (r"a\\_", "a\\x", True),
        ("%", "", True),
    ],
)
def test_a_wildcard_that_was_granted_in_sql_counts(granted: str, name: str, covered: bool) -> None:
    assert names.covers(granted, name) is covered
