import pytest

from dbaas.contract import errors
from dbaas.contract.messages import DatabaseSpec
from dbaas.engines.mariadb import databases
from tests.fakes.attempt import Attempt
from tests.unit.engines.mariadb.server import Server


def test_a_database_s_name_is_an_identifier() -> None:
    server = Server()
    databases.ensure(server.session(), DatabaseSpec("a`; DROP DATABASE `b"))
    assert server.statements == ["CREATE DATABASE IF NOT EXISTS `a``; DROP DATABASE ``b`"]


@pytest.mark.parametrize(
    ("character_set", "collate", "clauses"),
    [
        ("utf8", "utf8_general_ci", " CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci"),
        ("utf8mb4", "uca1400_ai_ci", " CHARACTER SET utf8mb4 COLLATE uca1400_ai_ci"),
        ("", "utf8mb4_uca1400_ai_ci", " COLLATE utf8mb4_uca1400_ai_ci"),
        ("UTF8MB4", "", " CHARACTER SET utf8mb4"),
    ],
)
def test_a_collation_is_one_that_the_server_has(
    character_set: str, collate: str, clauses: str
) -> None:
    server = Server()
    databases.create(server.session(), [DatabaseSpec("d", character_set, collate)], Attempt())
    assert server.statements == [f"CREATE DATABASE `d`{clauses}"]


@pytest.mark.parametrize(
    ("character_set", "collate"),
    [("klingon", ""), ("utf8mb4", "utf8_general_ci"), ("", "nope"), ("utf8mb4; DROP", "")],
)
def test_an_unknown_collation_is_refused(character_set: str, collate: str) -> None:
    server = Server()
    with pytest.raises(errors.Invalid, match="the server has no"):
        databases.ensure(server.session(), DatabaseSpec("d", character_set, collate))
    assert server.statements == []


def test_nothing_is_made_when_one_of_several_cannot_be() -> None:
    server = Server()
    for last in (DatabaseSpec("mysql"), DatabaseSpec("e", "klingon"), DatabaseSpec("d")):
        with pytest.raises(errors.Invalid):
            databases.create(server.session(), [DatabaseSpec("d"), last], Attempt())
    assert server.statements == []
