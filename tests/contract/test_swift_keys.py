"""The keys of containers in Swift, which their owners have, too."""

import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import requests

from dbaas.contract import errors
from dbaas.strategies.grants.base import Place, Vault
from tests.contract import storages
from tests.contract.storages import address, send
from tests.functional import swift
from tests.functional.swift import Swift

FIRST, SECOND = "X-Container-Meta-Temp-URL-Key", "X-Container-Meta-Temp-URL-Key-2"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Swift]:
    with swift.running(tmp_path_factory.mktemp("swift")) as running:
        yield running


@pytest.fixture
def vault(service: Swift, tmp_path: Path) -> Vault:
    options = service.configured()["storage_swift"]
    lines = ["[backups]\nstorage = swift", "[storage_swift]"]
    lines += [f"{name} = {value}" for name, value in options.items()]
    return storages.load(tmp_path, "\n".join(lines))[1]


def container(service: Swift, vault: Vault, keys: Mapping[str, str]) -> Place:
    """Make a container with these keys as its owner does."""
    place = Place(vault.account(uuid.uuid4().hex), "owned", "b1/")
    ask(service, "PUT", place, keys)
    return place


def ask(service: Swift, method: str, place: Place, headers: Mapping[str, str]) -> Mapping[str, str]:
    root, token = service.token()
    url = f"{root.rpartition('/')[0]}/{place.account}/{place.container}"
    answer = requests.request(method, url, headers={"X-Auth-Token": token, **headers}, timeout=30)
    assert answer.ok, answer.text
    return answer.headers


def gives(vault: Vault, place: Place) -> bytes:
    return send("GET", address(vault.grant(place, "GET", ["o"], 60.0), "o")).content


def test_a_backup_of_elsewhere_is_read_where_nothing_of_ours_was_stored(
    service: Swift, vault: Vault
) -> None:
    place = container(service, vault, {})
    vault.put(place, "o", b"old")
    assert gives(vault, place) == b"old"


@pytest.mark.parametrize("theirs", [FIRST, SECOND])
def test_the_owners_key_stays(service: Swift, vault: Vault, theirs: str) -> None:
    place = container(service, vault, {theirs: "the owner's"})
    vault.ensure(place)
    vault.put(place, "o", b"new")
    assert gives(vault, place) == b"new"
    assert ask(service, "HEAD", place, {})[theirs] == "the owner's"


def test_nobodys_key_is_replaced_where_both_are_used(service: Swift, vault: Vault) -> None:
    place = container(service, vault, {FIRST: "one", SECOND: "another"})
    with pytest.raises(errors.Conflict, match="owned"):
        vault.ensure(place)
    told = ask(service, "HEAD", place, {})
    assert (told[FIRST], told[SECOND]) == ("one", "another")


def test_who_asks_for_a_grant_makes_no_container(vault: Vault) -> None:
    with pytest.raises(errors.NotFound):
        vault.grant(Place(vault.account(uuid.uuid4().hex), "none", "b1/"), "GET", ["o"], 60.0)
