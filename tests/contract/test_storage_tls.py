"""Storages behind TLS: both halves trust the authority that is configured, and nobody else."""

import re
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from dbaas.common import certificates
from dbaas.contract import errors
from dbaas.contract.backups import MANIFEST, prefix
from dbaas.contract.secret import Secret
from dbaas.strategies import registry
from dbaas.strategies.grants.base import Place, Vault
from dbaas.strategies.storage.base import Storage as GuestsHalf
from tests.contract import storages, swift
from tests.contract.storages import Storage, address, segment

OURS, OTHERS = certificates.create_authority("ours"), certificates.create_authority("others")
NAME, CONTENT, MINUTE = "00000001", b"content" * 1000, 60.0


@pytest.fixture(scope="module", params=["swift", "s3"])
def storage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Storage]:
    with swift.over_tls(tmp_path_factory.mktemp("tls"), request.param, OURS) as running:
        yield running


@pytest.fixture
def vault(storage: Storage) -> Vault:
    return storage.vault


@pytest.fixture
def place(vault: Vault) -> Place:
    made = Place(vault.account("f" * 32), "database_backups", prefix(str(uuid.uuid4())))
    vault.ensure(made)
    return made


def half(vault: Vault, authority: str) -> GuestsHalf:
    made: GuestsHalf = registry.load("storage", vault.name)(authority)
    return made


def test_a_grant_names_whom_the_guest_trusts(vault: Vault, place: Place) -> None:
    leave = vault.grant(place, "PUT", [NAME], MINUTE)
    url = Secret(address(leave, NAME))
    assert url.reveal().startswith("https://")
    assert leave.authority == OURS.cert_pem
    with closing(half(vault, leave.authority)) as guest:
        guest.put(url, segment(NAME, CONTENT), memoryview(CONTENT))
    vault.put(place, MANIFEST, b"manifest")
    assert {name: one.size for name, one in vault.listing(place).items()} == {
        NAME: len(CONTENT),
        MANIFEST: 8,
    }
    assert vault.get(place, MANIFEST, 100) == b"manifest"
    into = memoryview(bytearray(len(CONTENT)))
    read = vault.grant(place, "GET", [NAME], MINUTE)
    with closing(half(vault, read.authority)) as guest:
        assert guest.get(Secret(address(read, NAME)), into) == len(CONTENT)
    assert into == CONTENT


@pytest.mark.parametrize("authority", [OTHERS.cert_pem, ""], ids=["others", "everybodys"])
def test_nothing_is_sent_to_whom_nobody_trusted_vouches_for(
    vault: Vault, place: Place, authority: str
) -> None:
    leave = vault.grant(place, "PUT", [NAME], MINUTE)
    with (
        closing(half(vault, authority)) as guest,
        pytest.raises(errors.Unavailable, match="certificate verify failed") as raised,
    ):
        guest.put(Secret(address(leave, NAME)), segment(NAME, CONTENT), memoryview(CONTENT))
    assert "sig" not in raised.value.text.lower()
    assert vault.listing(place) == {}


def test_the_control_plane_does_not_speak_to_it_either(
    storage: Storage, place: Place, tmp_path: Path
) -> None:
    cafile = tmp_path / "others.pem"
    cafile.write_text(OTHERS.cert_pem)
    settings = re.sub("cafile = .*", f"cafile = {cafile}", storage.settings)
    stranger = storages.load(tmp_path, settings)[1]
    for ask in (
        lambda: stranger.listing(place),
        lambda: stranger.put(place, MANIFEST, b"x"),
        lambda: stranger.probe().look(),
    ):
        with pytest.raises(errors.Unavailable, match="certificate that is not trusted: see"):
            ask()
