"""The depot before guests that wish ill, or too much."""

import http.client
import socket
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dbaas.contract import errors
from dbaas.contract.backups import prefix, segment_name
from dbaas.strategies.grants.base import Place, Vault
from dbaas.strategies.grants.shelves import ARRIVING
from tests.contract import storages
from tests.contract.storages import address, send

MIB = 1 << 20
NAME = segment_name(1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def vault(home: Path) -> Iterator[Vault]:
    bounds = f"largest_object = {2 * MIB}\nconnections_of_address = 4\n"
    with storages.depot(home, bounds) as running:
        yield running.vault


@pytest.fixture
def place(vault: Vault) -> Place:
    place = Place("p", "c", prefix(str(uuid.uuid4())))
    vault.ensure(place)
    return place


def test_an_object_has_a_bound_and_a_length(vault: Vault, place: Place) -> None:
    url = address(vault.grant(place, "PUT", [NAME], 60), NAME)
    assert send("PUT", url, bytes(2 * MIB)).status == HTTPStatus.CREATED
    parts = urlsplit(url)
    for headers, expected in (
        ({"Content-Length": str(2 * MIB + 1)}, HTTPStatus.REQUEST_ENTITY_TOO_LARGE),
        ({"Content-Length": "-1"}, HTTPStatus.LENGTH_REQUIRED),
        ({}, HTTPStatus.LENGTH_REQUIRED),
        ({"Transfer-Encoding": "chunked"}, HTTPStatus.LENGTH_REQUIRED),
    ):
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        connection.putrequest("PUT", f"{parts.path}?{parts.query}")
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        assert connection.getresponse().status == expected
        connection.close()
    assert vault.size(place, NAME) == 2 * MIB


@pytest.mark.parametrize("name", [".hidden", "a/b", "..", "x" * 65, "%00", "a%0ab"])
def test_a_guest_calls_objects_by_plain_names(
    vault: Vault, place: Place, home: Path, name: str
) -> None:
    url = address(vault.grant(place, "PUT", [NAME], 60), NAME).replace(NAME, name, 1)
    assert send("PUT", url, b"x").status == HTTPStatus.BAD_REQUEST
    assert vault.listing(place) == {}
    assert list((home / "backups" / ARRIVING).iterdir()) == []


def test_parts_of_objects_are_given(vault: Vault, place: Place) -> None:
    vault.put(place, NAME, b"0123456789")
    url = address(vault.grant(place, "GET", [NAME], 60), NAME)
    part = send("GET", url, headers={"Range": "bytes=2-4"})
    assert (part.status, part.content) == (HTTPStatus.PARTIAL_CONTENT, b"234")
    assert part.headers["content-range"] == "bytes 2-4/10"
    assert send("GET", url, headers={"Range": "bytes=8-99"}).content == b"89"
    beyond = send("GET", url, headers={"Range": "bytes=10-"})
    assert beyond.status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE
    told = send("HEAD", url)
    assert (told.status, told.headers["content-length"]) == (HTTPStatus.OK, "10")


def test_an_address_has_only_so_many_connections(vault: Vault, place: Place) -> None:
    vault.put(place, NAME, b"x")
    url = address(vault.grant(place, "GET", [NAME], 60), NAME)
    parts = urlsplit(url)
    with ExitStack() as stack:
        for _ in range(4):
            link = stack.enter_context(socket.create_connection((parts.hostname, parts.port), 10))
            link.sendall(b"GET /healthcheck HTTP/1.1\r\nHost: d\r\n\r\n")
            assert b"200" in link.recv(15)
        with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
            send("GET", url)
    storages.until(lambda: _gets(url))


def _gets(url: str) -> bool:
    try:
        return send("GET", url).content == b"x"
    except (ConnectionError, http.client.RemoteDisconnected):
        return False


def test_what_is_to_stay_free_of_the_disk_does(home: Path) -> None:
    with storages.depot(home, f"reserve = {1 << 60}\n") as running:
        vault, place = running.vault, Place("p", "c", "b/")
        vault.ensure(place)
        url = address(vault.grant(place, "PUT", [NAME], 60), NAME)
        assert send("PUT", url, b"x").status == HTTPStatus.INSUFFICIENT_STORAGE
        assert vault.listing(place) == {}


def test_a_depot_with_another_key_is_found_out(vault: Vault, home: Path) -> None:
    assert vault.probe().look()
    (home / "master.key").write_text("ab" * 32)
    text = (home / "dbaas.conf").read_text()
    other = storages.load(home, text.partition("[secrets]")[0])[1]
    with pytest.raises(errors.Failed, match="answers 403"):
        other.probe().look()
    assert list(other.groups(Place("dbaas-probe", "dbaas-probe", ""))) == []
