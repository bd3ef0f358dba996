import pytest

from dbaas.contract import errors
from dbaas.contract.messages import UserSpec
from dbaas.contract.secret import Secret
from dbaas.engines.mariadb import users
from tests.fakes.attempt import Attempt
from tests.unit.engines.mariadb.server import Server


@pytest.fixture
def server() -> Server:
    return Server()


def test_a_grant_is_for_the_named_database_only(server: Server) -> None:
    users.ensure(server.session(), UserSpec("ann", Secret("pw"), "10.0.0.%", (r"a_b%c\d`e",)))
    create, grant = server.statements
    assert create.startswith("CREATE USER IF NOT EXISTS 'ann'@'10.0.0.%' IDENTIFIED VIA")
    assert grant == r"GRANT ALL PRIVILEGES ON `a\_b\%c\\d``e`.* TO 'ann'@'10.0.0.%'"


def test_no_statement_holds_a_password(server: Server) -> None:
    users.create(server.session(), [UserSpec("ann", Secret("correct horse"))], Attempt())
    assert "correct horse" not in " ".join(server.statements)
    # What the server itself makes of it: SELECT PASSWORD('correct horse').
    assert "'*0E8F21E4240F5AD5A07D088F9C93890D13D78A4E'" in server.statements[0]


def test_a_quote_in_a_user_s_name_ends_nothing(server: Server) -> None:
    users.create(server.session(), [UserSpec("o'neil\\", Secret("pw"))], Attempt())
    assert server.statements[0].startswith(r"CREATE USER 'o\'neil\\'@'%' ")


def test_a_network_is_written_as_the_server_knows_it(server: Server) -> None:
    users.create(server.session(), [UserSpec("ann", Secret("pw"), "10.1.0.0/16")], Attempt())
    assert "'ann'@'10.1.0.0/255.255.0.0'" in server.statements[0]


def test_nothing_is_made_when_one_of_several_cannot_be(server: Server) -> None:
    ann = UserSpec("ann", Secret("pw"))
    for last in (
        UserSpec("root", Secret("pw")),
        UserSpec("bob", Secret("")),
        UserSpec("bob", Secret("pw"), "no host"),
        UserSpec("bob", Secret("pw"), "%", ("sys",)),
        ann,
    ):
        with pytest.raises(errors.Invalid):
            users.create(server.session(), [ann, last], Attempt())
    assert server.statements == []
