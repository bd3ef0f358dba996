"""The policy file, and the schemas."""

from collections.abc import Callable
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from oslo_config import cfg

from dbaas.api import policy
from dbaas.api.policy import Policy
from dbaas.api.schemas import instances, quotas
from dbaas.common.context import Context
from dbaas.contract import errors

SAMPLE = Path(__file__).parents[3] / "etc" / "dbaas" / "policy.yaml.sample"


def who(*roles: str) -> Context:
    return Context("u", "p" * 32, roles, "req-1")


def test_the_sample_is_what_the_rules_say() -> None:
    assert SAMPLE.read_text() == policy.sample()


def test_an_operator_can_change_a_rule(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str, tmp_path: Path
) -> None:
    conf = make_conf(catalog_url)
    Policy(conf).check(who("member"), "instance:delete")
    (tmp_path / "policy.yaml").write_text(
        '"instance:delete": "role:remover"\n"context_is_admin": "role:chief"\n'
    )
    conf.set_override("policy_file", str(tmp_path / "policy.yaml"), group="oslo_policy")
    changed = Policy(conf)
    changed.check(who("remover"), "instance:delete")
    with pytest.raises(errors.Forbidden, match="Policy doesn't allow instance:delete"):
        changed.check(who("member"), "instance:delete")
    assert changed.is_admin(who("chief"))
    assert not changed.is_admin(who("admin"))


def test_what_belongs_to_another_project_is_for_administrators(
    make_conf: Callable[..., cfg.ConfigOpts], catalog_url: str
) -> None:
    rules = Policy(make_conf(catalog_url))
    rules.check(who("admin"), "instance:show", "q" * 32)
    with pytest.raises(errors.Forbidden):
        rules.check(who("member"), "instance:show", "q" * 32)


def test_every_schema_is_one() -> None:
    checks = [
        instances.CREATE,
        instances.PUT,
        instances.PATCH,
        instances.RESTART,
        instances.RESIZE,
        instances.RESET_STATUS,
        quotas.CHANGE,
    ]
    for check in checks:
        Draft202012Validator.check_schema(check.schema)
