"""What every storage promises, the control plane's half, the guest's, and the service between."""

import base64
import http.client
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dbaas.contract import errors
from dbaas.contract.backups import MANIFEST, prefix, segment_name
from dbaas.contract.messages import Grant
from dbaas.contract.secret import Secret
from dbaas.strategies import registry
from dbaas.strategies.grants import s3 as s3_grants
from dbaas.strategies.grants import swift as swift_grants
from dbaas.strategies.grants.base import Place, Vault
from dbaas.strategies.storage.base import Refused
from dbaas.strategies.storage.base import Storage as GuestsHalf
from tests.contract import storages, swift
from tests.contract.storages import Storage, address, segment, send

PROJECT = "0f1e2d3c4b5a69788796a5b4c3d2e1f0"
REFUSED = (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
NOT_WHAT_WAS_SAID = (HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY)
ODD = "b\u00e4ckups {of} 50% & more?#"
MINUTE = 60.0

RUNNING: Mapping[str, Callable[[Path], AbstractContextManager[Storage]]] = {
    "local": storages.depot,
    "s3": swift.s3,
    "swift": swift.swift,
}


@pytest.fixture(scope="module", params=registry.names("grants"))
def storage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Storage]:
    with RUNNING[request.param](tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture
def vault(storage: Storage) -> Vault:
    return storage.vault


@pytest.fixture
def place(vault: Vault) -> Place:
    backup = str(uuid.uuid4())
    place = Place(vault.account(PROJECT), "database_backups", prefix(backup))
    vault.ensure(place)
    return place


@pytest.fixture
def guest(vault: Vault) -> Iterator[GuestsHalf]:
    made = registry.load("storage", vault.name)("")
    yield made
    made.close()


def put(vault: Vault, place: Place, name: str, content: bytes) -> None:
    """Store as a guest does."""
    grant = vault.grant(place, "PUT", [name], MINUTE)
    guest: GuestsHalf
    with closing(registry.load("storage", vault.name)("")) as guest:
        guest.put(Secret(address(grant, name)), segment(name, content), memoryview(content))


def test_what_a_guest_stores_the_control_plane_sees_and_another_guest_reads(
    vault: Vault, place: Place, guest: GuestsHalf
) -> None:
    content = bytes(range(256)) * 4096
    names = [segment_name(n) for n in (1, 2)]
    leave = vault.grant(place, "PUT", names, MINUTE)
    assert (leave.storage, leave.method) == (vault.name, "PUT")
    for name in names:
        guest.put(Secret(address(leave, name)), segment(name, content), memoryview(content))
    listed = vault.listing(place)
    assert sorted(listed) == names
    assert {one.size for one in listed.values()} == {len(content)}
    assert {one.md5 for one in listed.values()} <= {"", segment("", content).md5}
    assert vault.size(place, names[0]) == len(content)
    read = vault.grant(place, "GET", names, MINUTE)
    into = memoryview(bytearray(len(content)))
    assert guest.get(Secret(address(read, names[1])), into) == len(content)
    assert into == content
    part = memoryview(bytearray(100))
    url = Secret(address(read, names[0]))
    assert guest.stream(url, part, 256 * 4096 - 60) == (60, len(content))
    assert part[:60] == content[-60:]


def test_small_objects_of_the_control_plane_may_be_stored_again(vault: Vault, place: Place) -> None:
    vault.put(place, MANIFEST, b"first")
    vault.put(place, MANIFEST, b"second")
    assert vault.get(place, MANIFEST, 100) == b"second"
    with pytest.raises(errors.Invalid, match=MANIFEST):
        vault.get(place, MANIFEST, 5)
    with pytest.raises(errors.NotFound):
        vault.get(place, "other", 5)
    with pytest.raises(errors.NotFound):
        vault.size(place, "other")


def test_a_grant_is_for_its_prefix_alone(vault: Vault, place: Place) -> None:
    other = replace(place, prefix=prefix(str(uuid.uuid4())))
    for method, expected in (("PUT", set()), ("GET", {"00000001"})):
        if method == "GET":
            put(vault, other, "00000001", b"theirs")
        leave = vault.grant(place, method, ["00000001"], MINUTE)  # type: ignore[arg-type]
        stolen = address(leave, "00000001").replace(place.prefix[:-1], other.prefix[:-1], 1)
        assert stolen != address(leave, "00000001")
        answer = send(method, stolen, b"ours" if method == "PUT" else None)
        assert answer.status in REFUSED
        assert answer.content != b"theirs"
        assert set(vault.listing(other)) == expected
    for way in (f"../{other.prefix}", f"%2e%2e/{other.prefix}", f"%2e%2e%2f{other.prefix}"):
        leave = vault.grant(place, "GET", ["00000001"], MINUTE)
        answer = send("GET", address(leave, "00000001").replace("00000001", f"{way}00000001"))
        assert answer.status >= HTTPStatus.BAD_REQUEST
        assert answer.content != b"theirs"


def test_a_grant_is_for_its_method_alone(vault: Vault, place: Place) -> None:
    put(vault, place, "00000001", b"content")
    writing = address(vault.grant(place, "PUT", ["00000001"], MINUTE), "00000001")
    reading = address(vault.grant(place, "GET", ["00000001"], MINUTE), "00000001")
    assert send("GET", writing).status in REFUSED
    assert send("PUT", reading, b"other").status in REFUSED
    for url in (writing, reading):
        for method in ("DELETE", "POST"):
            assert send(method, url, b"").status >= HTTPStatus.BAD_REQUEST
    assert vault.get(place, "00000001", 100) == b"content"


def test_a_grant_ends(vault: Vault, place: Place, guest: GuestsHalf) -> None:
    put(vault, place, "00000001", b"content")
    short = [vault.grant(place, method, ["00000001"], 1.0) for method in ("PUT", "GET")]
    time.sleep(3.0)
    for leave in short:
        answer = send(leave.method, address(leave, "00000001"), b"x" * (leave.method == "PUT"))
        assert answer.status in REFUSED
    with pytest.raises(Refused):
        guest.put(
            Secret(address(short[0], "00000001")), segment("00000001", b"x"), memoryview(b"x")
        )
    assert vault.get(place, "00000001", 100) == b"content"


def test_a_grant_that_was_changed_is_none(vault: Vault, place: Place) -> None:
    put(vault, place, "00000001", b"content")
    url = address(vault.grant(place, "GET", ["00000001"], MINUTE), "00000001")
    assert send("GET", url).status == HTTPStatus.OK
    assert send("GET", url.partition("?")[0]).status >= HTTPStatus.BAD_REQUEST
    for part in urlsplit(url).query.split("&"):
        name, _, value = part.partition("=")
        for other in (value[:-1] + ("0" if value[-1] != "0" else "1"), "", value + "0"):
            status = send("GET", url.replace(part, f"{name}={other}")).status
            assert status >= HTTPStatus.BAD_REQUEST or other.strip("0") == "", (name, other)
        assert send("GET", url.replace(part, "")).status >= HTTPStatus.BAD_REQUEST, name


def test_what_is_not_as_its_checksum_says_is_refused_and_leaves_nothing(
    vault: Vault, place: Place
) -> None:
    url = address(vault.grant(place, "PUT", ["00000001"], MINUTE), "00000001")
    wrong = segment("00000001", b"another")
    digest = base64.b64encode(bytes.fromhex(wrong.md5)).decode()
    told = {
        "local": ({"X-Content-SHA256": wrong.sha256}, {"Content-MD5": digest}, {"ETag": wrong.md5}),
        "swift": ({"ETag": wrong.md5},),
        "s3": ({"Content-MD5": digest},),
    }
    for headers in told[vault.name]:
        assert send("PUT", url, b"content", headers).status in NOT_WHAT_WAS_SAID
        assert vault.listing(place) == {}


def test_what_is_cut_short_leaves_what_there_was(vault: Vault, place: Place) -> None:
    put(vault, place, "00000001", b"whole")
    leave = vault.grant(place, "PUT", ["00000001", "00000002"], MINUTE)
    for name in ("00000001", "00000002"):
        parts = urlsplit(address(leave, name))
        connection = http.client.HTTPConnection(parts.netloc, timeout=30)
        connection.putrequest("PUT", f"{parts.path}?{parts.query}")
        connection.putheader("Content-Length", str(8 << 20))
        connection.endheaders()
        connection.send(bytes(3 << 20))
        connection.close()
    time.sleep(1.0)
    assert set(vault.listing(place)) == {"00000001"}
    assert vault.get(place, "00000001", 100) == b"whole"


def test_a_container_that_is_missing(vault: Vault, place: Place) -> None:
    nowhere = replace(place, container="nowhere")
    assert vault.listing(nowhere) == {}
    assert list(vault.groups(replace(nowhere, prefix=""))) == []
    vault.delete(nowhere)
    with pytest.raises(errors.NotFound):
        vault.get(nowhere, MANIFEST, 10)
    if vault.name == "s3":
        return  # there a container is a part of a name
    with pytest.raises((errors.NotFound, Refused)):
        put(vault, nowhere, "00000001", b"x")


def test_below_an_object_there_is_none(vault: Vault, place: Place) -> None:
    vault.put(place, MANIFEST, b"content")
    below = replace(place, prefix=f"{place.prefix}{MANIFEST}/o")
    with pytest.raises(errors.NotFound):
        vault.size(below, ".xbstream.gz")
    vault.delete(place)


def test_containers_may_have_odd_names(vault: Vault, place: Place) -> None:
    odd = replace(place, container=ODD)
    vault.ensure(odd)
    vault.ensure(odd)
    put(vault, odd, "00000001", b"content")
    assert vault.get(odd, "00000001", 100) == b"content"
    location = vault.location(odd, MANIFEST)
    assert vault.locate(location) == (odd, MANIFEST)
    assert set(vault.listing(odd)) == {"00000001"}
    assert list(vault.groups(replace(odd, prefix=""))) == [odd.prefix[:-1]]
    vault.delete(odd)
    assert list(vault.groups(replace(odd, prefix=""))) == []


def test_groups_are_found_below_a_prefix(vault: Vault, place: Place) -> None:
    above = replace(place, prefix=f"log-{uuid.uuid4()}/")
    streams = [replace(above, prefix=f"{above.prefix}{uuid.uuid4()}/") for _ in range(2)]
    vault.ensure(above)
    for stream in streams:
        put(vault, stream, "0000000001", b"content")
    names = {stream.prefix.split("/")[1] for stream in streams}
    assert set(vault.groups(above)) == names
    assert above.prefix[:-1] in set(vault.groups(replace(above, prefix="")))
    for stream in streams:
        vault.delete(stream)
    assert list(vault.groups(above)) == []


@pytest.mark.parametrize("name", ["", "a/b", "../up", "x" * 257, "a\0b"])
def test_other_names_are_refused(vault: Vault, place: Place, name: str) -> None:
    with pytest.raises(errors.Invalid):
        vault.ensure(replace(place, container=name))


def test_a_location_is_a_url_whose_sixth_part_is_the_container(vault: Vault, place: Place) -> None:
    location = vault.location(place, MANIFEST)
    assert location.split("/")[5:] == [place.container, place.prefix[:-1], MANIFEST]
    assert vault.locate(location) == (place, MANIFEST)
    for other in (
        "http://elsewhere.example/v1/a/b/c",
        location.rpartition("/")[0] + "/",
        location + "?temp_url_sig=1",
        location.partition(place.container)[0],
        "no url",
        "http://[::1",
        "",
    ):
        with pytest.raises(errors.Invalid):
            vault.locate(other)


def test_a_foreign_object_is_granted_and_nothing_whose_name_begins_otherwise(
    vault: Vault, place: Place
) -> None:
    foreign = replace(place, prefix=f"{place.prefix}old/o")
    vault.put(foreign, ".xbstream.gz", b"plain")
    vault.put(replace(place, prefix=f"{place.prefix}old/"), "p.xbstream.gz", b"another")
    found, name = vault.locate(vault.location(foreign, ".xbstream.gz"))
    assert (found, name) == (foreign, ".xbstream.gz")
    assert vault.size(found, name) == 5
    url = address(vault.grant(found, "GET", [name], MINUTE), name)
    assert send("GET", url).content == b"plain"
    assert send("GET", url.replace("old/o", "old/p", 1)).content != b"another"
    assert set(vault.listing(foreign)) == {".xbstream.gz"}
    vault.delete(foreign)
    assert set(vault.listing(place)) == {"old/p.xbstream.gz"}


def test_many_objects_are_listed_and_deleted_and_others_stay(
    vault: Vault, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (s3_grants, swift_grants):
        monkeypatch.setattr(module, "_PAGE", module._PAGE // 5)
    neighbour = replace(place, prefix=f"{place.prefix[:-1]}0/")
    put(vault, neighbour, "00000001", b"stays")
    names = [segment_name(n) for n in range(1, 242)]
    connection: http.client.HTTPConnection | None = None
    for begin in range(0, len(names), 64):
        window = names[begin : begin + 64]
        leave = vault.grant(place, "PUT", window, MINUTE)
        for name in window:
            parts = urlsplit(address(leave, name))
            connection = connection or http.client.HTTPConnection(parts.netloc, timeout=60)
            connection.request("PUT", f"{parts.path}?{parts.query}", name.encode())
            answer = connection.getresponse()
            answer.read()
            assert answer.status in (HTTPStatus.OK, HTTPStatus.CREATED)
    assert connection is not None
    connection.close()
    assert sorted(vault.listing(place)) == names
    assert place.prefix[:-1] in list(vault.groups(replace(place, prefix="")))
    vault.delete(place)
    assert vault.listing(place) == {}
    vault.delete(place)
    assert set(vault.listing(neighbour)) == {"00000001"}
    found = list(vault.groups(replace(place, prefix="")))
    assert place.prefix[:-1] not in found
    assert neighbour.prefix[:-1] in found


def test_projects_have_accounts_of_their_own(vault: Vault, place: Place) -> None:
    theirs = replace(place, account=vault.account("a" * 32))
    assert theirs.account != place.account
    vault.ensure(theirs)
    put(vault, place, "00000001", b"mine")
    assert vault.listing(theirs) == {}


def test_grants_of_names_are_for_each_of_the_window(vault: Vault, place: Place) -> None:
    names = [segment_name(n) for n in range(65, 129)]
    leave = vault.grant(place, "PUT", names, MINUTE)
    assert isinstance(leave, Grant)
    assert len({address(leave, name) for name in names}) == 64
    assert (leave.url is None) == (set(leave.urls) == set(names))


def test_the_probe_says_what_there_is(vault: Vault) -> None:
    assert vault.probe().look()


@pytest.mark.parametrize("kind", registry.names("grants"))
def test_a_storage_that_is_away_is_unavailable(kind: str, tmp_path: Path) -> None:
    with RUNNING[kind](tmp_path) as running:
        vault = running.vault
        place = Place(vault.account(PROJECT), "database_backups", prefix(str(uuid.uuid4())))
        vault.ensure(place)
        running.stop()
        for verb in (
            lambda: vault.ensure(place),
            lambda: vault.listing(place),
            lambda: vault.put(place, MANIFEST, b"x"),
            lambda: vault.get(place, MANIFEST, 10),
            lambda: vault.size(place, MANIFEST),
            lambda: vault.delete(place),
            lambda: list(vault.groups(replace(place, prefix=""))),
            lambda: vault.probe().look(),
        ):
            with pytest.raises(errors.Unavailable):
                verb()
