"""What a process remembers of tokens; tests/functional/test_keystone.py asks a real Keystone."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest
from oslo_config import cfg

from dbaas.api import auth, keystone, options
from dbaas.api.keystone import Tokens
from dbaas.common import config
from dbaas.contract import errors


def test_a_token_is_remembered_for_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr(keystone, "monotonic", lambda: now[0])
    tokens = Tokens()
    tokens.set("a", b"who", time=300)
    assert tokens.get("a") == b"who"
    assert tokens.get("b") is None
    now[0] += 299.0
    assert tokens.get("a") == b"who"
    now[0] += 1.0
    assert tokens.get("a") is None


def test_there_is_an_end_to_what_is_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keystone, "MOST_TOKENS", 10)
    tokens = Tokens()
    for n in range(5):
        tokens.set(f"old{n}", b"", time=0.001)
    for n in range(5):
        tokens.set(f"new{n}", b"", time=300)
    time.sleep(0.01)
    tokens.set("another", b"who", time=300)
    assert tokens.get("another") == b"who"
    assert tokens.get("new0") == b"", "one that is good was forgotten before those that are not"
    for n in range(20):
        tokens.set(f"more{n}", b"", time=300)
    assert len(tokens._known) <= 10


@pytest.fixture
def conf(tmp_path: Path) -> Callable[[str], cfg.ConfigOpts]:
    def make(lines: str) -> cfg.ConfigOpts:
        file = tmp_path / "dbaas.conf"
        file.write_text(f"[api]\nauth_strategy = keystone\n[keystone_authtoken]\n{lines}\n")
        return config.load(["--config-file", str(file)], [options])

    return make


def test_without_a_way_to_ask_keystone_it_does_not_start(
    conf: Callable[[str], cfg.ConfigOpts],
) -> None:
    with pytest.raises(errors.Invalid, match=r"\[keystone_authtoken\] auth_type is not set"):
        auth.authenticator(conf(""))
    with pytest.raises(errors.Invalid, match=r"\[keystone_authtoken\]: .*nonsense"):
        auth.authenticator(conf("auth_type = nonsense"))


def test_what_is_shared_by_memcached_is_not_remembered_here(
    conf: Callable[[str], cfg.ConfigOpts],
) -> None:
    lines = "auth_type = password\nauth_url = http://127.0.0.1:1/v3\nusername = x\npassword = y"
    alone = auth.authenticator(conf(lines))
    shared = auth.authenticator(conf(f"{lines}\nmemcached_servers = 127.0.0.1:2"))
    assert isinstance(alone, keystone.Keystone)
    assert isinstance(shared, keystone.Keystone)
    assert alone._tokens is not None
    assert shared._tokens is None


def test_a_keystone_that_hangs_is_given_up_soon_unless_the_operator_says_otherwise(
    conf: Callable[[str], cfg.ConfigOpts],
) -> None:
    lines = "auth_type = password\nauth_url = http://127.0.0.1:1/v3\nusername = x\npassword = y"
    for more, timeout, name in (
        ("", 5, "database"),
        ("http_connect_timeout = 60\nservice_type = db", 60, "db"),
    ):
        made = conf(f"{lines}\n{more}")
        used = auth.authenticator(made)
        assert isinstance(used, keystone.Keystone)
        assert used._middleware._session.timeout == timeout
        assert made.keystone_authtoken.service_type == name
