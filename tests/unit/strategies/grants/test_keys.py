import pytest

from dbaas.contract import errors
from dbaas.strategies.grants import keys

BASE = "https://swift.example/v1"


@pytest.mark.parametrize(
    ("key", "prefix", "name"),
    [
        ("b1/manifest", "b1/", "manifest"),
        ("a..b/.hidden/manifest", "a..b/.hidden/", "manifest"),
        ("old/o.xbstream.gz", "old/o", ".xbstream.gz"),
    ],
)
def test_an_objects_name_is_a_prefix_and_the_rest(key: str, prefix: str, name: str) -> None:
    assert keys.split(key) == (prefix, name)


@pytest.mark.parametrize("key", ["", "b1/"])
def test_a_container_is_no_object(key: str) -> None:
    with pytest.raises(errors.Invalid, match="names no object"):
        keys.split(key)


@pytest.mark.parametrize(
    "path",
    [
        "AUTH_ours/c/../../AUTH_theirs/c/b1/manifest",
        "AUTH_ours/c/%2e%2e/%2E%2E/AUTH_theirs/c/b1/manifest",
        "AUTH_ours/c/..%2f../AUTH_theirs/c/b1/manifest",
        "AUTH_ours/c/./b1/manifest",
        "AUTH_ours/c/b1/..",
    ],
)
def test_no_name_leads_into_anothers_account(path: str) -> None:
    _, _, *words = keys.parts(BASE, f"{BASE}/{path}")
    with pytest.raises(errors.Invalid, match=r"\.\."):
        keys.split("/".join(words))


@pytest.mark.parametrize(
    "url",
    [
        "http://swift.example/v1/a/c/o",
        "https://other.example/v1/a/c/o",
        "https://swift.example/v2/a/c/o",
        "https://swift.example/v1/a/c/o?temp_url_sig=1",
        "https://swift.example/v1/a/c/o#part",
        "https://swift.example/v1/a/c/%ff",
        "http://[",
    ],
)
def test_the_url_of_something_else_is_refused(url: str) -> None:
    with pytest.raises(errors.Invalid):
        list(keys.parts(BASE, url))
