"""Names that databases, users and hosts may have."""

import pytest

from dbaas.api import naming
from dbaas.contract import errors


@pytest.mark.parametrize("name", ["a", "9", "shop", "a" * 64, "a b", "my-db_1", "a#b@c?d", "_"])
def test_these_databases_may_be(name: str) -> None:
    naming.check_database(name, "it")


@pytest.mark.parametrize(
    "name", ["", " ", "a ", " a", "a" * 65, "ä", "a/b", "a\n", "a`b", "a;b", "mysql", "SYS"]
)
def test_these_databases_may_not_be(name: str) -> None:
    with pytest.raises(errors.Invalid, match=r"^it "):
        naming.check_database(name, "it")


@pytest.mark.parametrize("name", ["a", "app@x", "a b", "ä", "a" * 128, "x%y", "яблоко"])
def test_these_users_may_be(name: str) -> None:
    naming.check_user(name, "it")


@pytest.mark.parametrize(
    "name",
    [
        "",
        "a ",
        " a",
        "a" * 129,
        "\U0001f600",
        "a'b",
        'a"b',
        "a;b",
        "a`b",
        "a,b",
        "a/b",
        "a\\b",
        "a\0",
        "Root",
    ],
)
def test_these_users_may_not_be(name: str) -> None:
    with pytest.raises(errors.Invalid, match=r"^it "):
        naming.check_user(name, "it")


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("%", "%"),
        ("10.1.%.%", "10.1.%.%"),
        ("%.%.%.%", "%.%.%.%"),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("10.0.0.5/24", "10.0.0.0/24"),
        ("10.0.0.0/255.255.255.0", "10.0.0.0/24"),
        ("FD00:0::1", "fd00::1"),
    ],
)
def test_users_may_come_from_here(given: str, meant: str) -> None:
    assert naming.host(given, "it") == meant


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "10.%", "10.0.0.256", "a.example", "10.0.0.1/40", "%'", "010.0.0.1", "0/0",
        "0.0.0.0/0", "fd00::/64", "fd00::%", "10.1.%.%/16", "\u0661.0.0.1", "",
    ],
)  # fmt: skip
def test_users_may_not_come_from_here(host: str) -> None:
    with pytest.raises(errors.Invalid, match=r"^it "):
        naming.host(host, "it")


@pytest.mark.parametrize("name", ["a" * 64, "_" * 32])
def test_rights_can_be_given_on_these(name: str) -> None:
    naming.check_grant(name, "it")


@pytest.mark.parametrize("name", ["_" * 33, "a" * 63 + "_", "mysql", "a'b"])
def test_rights_cannot_be_given_on_these(name: str) -> None:
    with pytest.raises(errors.Invalid, match=r"^it "):
        naming.check_grant(name, "it")


@pytest.mark.parametrize(
    ("charset", "collation"),
    [
        ("", ""),
        ("utf8", "utf8_general_ci"),
        ("utf8mb4", "utf8mb4_uca1400_ai_ci"),
        ("utf8mb4", "uca1400_ai_ci"),
        ("", "latin1_swedish_ci"),
        ("utf8", "utf8mb3_bin"),
        ("binary", "binary"),
    ],
)
def test_these_character_sets_and_collations_fit(charset: str, collation: str) -> None:
    naming.check_character_set(charset, collation, "it")
