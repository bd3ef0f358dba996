"""What the stack writes for the services is what their modules declare."""

from ipaddress import IPv4Network
from pathlib import Path

import pytest
from oslo_config import cfg

from dbaas.api import auth
from dbaas.common import config
from dbaas.manage.stack import credentials, settings
from dbaas.manage.stack.plan import Plan, Ports

LIBRARIES = {("DEFAULT", "transport_url")}
"""Options that oslo.messaging declares."""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    ports = Ports(
        api=20001,
        catalog=20002,
        broker=20003,
        management=20004,
        names=20005,
        distribution=20006,
        guests=20007,
        depot=20008,
    )
    return Plan(tmp_path, IPv4Network("10.9.8.0/24"), ports)


def test_every_option_that_is_set_is_declared_and_its_value_accepted(plan: Plan) -> None:
    known = credentials.ensure(plan)
    settings.write(plan, known)
    conf = config.load(["--config-file", str(plan.configuration)], list(config.option_modules()))
    for group, values in settings.options(plan, known).items():
        for name, value in values.items():
            if (group, name) in LIBRARIES:
                continue
            read = conf[name] if group == "DEFAULT" else conf[group][name]
            assert str(read) == str(value), f"[{group}] {name}"


def test_the_api_accepts_the_users_file_with_the_passwords_of_the_openrc(plan: Plan) -> None:
    known = credentials.ensure(plan)
    settings.write(plan, known)
    users = auth.parse_users((plan.directory / "users.conf").read_text())
    assert {name: identity.project_id for name, (_, identity) in users.items()} == {
        user.name: user.project_id for user in known.users
    }
    assert "admin" in users["admin"][1].roles
    assert "admin" not in users["demo"][1].roles
    assert f"OS_PASSWORD={known.user('demo').password.reveal()}" in plan.openrc("demo").read_text()


def test_secrets_are_for_root_alone_and_stay_the_same(plan: Plan) -> None:
    known = credentials.ensure(plan)
    settings.write(plan, known)
    before = {path.name: path.read_bytes() for path in plan.directory.iterdir()}
    settings.write(plan, credentials.ensure(plan))
    assert {path.name: path.read_bytes() for path in plan.directory.iterdir()} == before
    open_to_others = {path.name for path in plan.directory.iterdir() if path.stat().st_mode & 0o077}
    assert open_to_others == {"ca.crt"}


def test_a_dollar_in_a_value_is_not_a_reference(plan: Plan, tmp_path: Path) -> None:
    options = [cfg.StrOpt("word")]
    path = tmp_path / "it.conf"
    path.write_text(settings.ini({"DEFAULT": {"word": "a$b${c}"}}))
    conf = cfg.ConfigOpts()
    conf.register_opts(options)
    conf([], default_config_files=[str(path)])
    assert conf.word == "a$b${c}"
