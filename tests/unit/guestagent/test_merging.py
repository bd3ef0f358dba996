"""Many small objects of an archive as one."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from dbaas.contract import archives, errors
from dbaas.contract.messages import MergeOrder
from dbaas.contract.secret import Secret
from dbaas.guestagent import merging
from dbaas.strategies.archive import pieces
from dbaas.strategies.archive.pieces import Commit, Head
from tests.fakes import objects
from tests.fakes.objects import Objects

KEY = Secret("ab" * 32)
PREFIX = "log-i1/s1/"


@pytest.fixture
def storage() -> Iterator[Objects]:
    with objects.serving() as served:
        yield served


def sealed(number: int, stream: str = "s1") -> bytes:
    content = b"logged " * number
    head = Head("i1", stream, number, "binlog.1", 0, len(content), (Commit(1, 2.0),), "")
    return pieces.seal(KEY, pieces.identity("s1", number), [pieces.pack(head, content)])


def order(storage: Objects, first: int, last: int) -> MergeOrder:
    for number in range(first, last + 1):
        storage.kept[PREFIX + archives.single_name(number)] = sealed(number)
    read, write = (storage.grant("swift", method, PREFIX) for method in ("GET", "PUT"))
    return MergeOrder("i1", "s1", KEY, first, last, read, write)


def test_what_was_merged_holds_all_pieces_in_their_order(storage: Objects) -> None:
    segment = merging.merge(order(storage, 3, 9), lambda: None)
    assert segment.name == archives.merged_name(3, 9)
    content = storage.kept[PREFIX + segment.name]
    assert len(content) == segment.size
    found = list(pieces.unseal(KEY, pieces.identity("s1", 3, 9), memoryview(content)))
    assert [piece.head.sequence for piece in found] == [*range(3, 10)]
    assert found[2].body() == b"logged " * 5


def test_one_that_is_missing_or_damaged_or_anothers_is_named(storage: Objects) -> None:
    asked, name = order(storage, 1, 4), archives.single_name(3)
    good = storage.kept.pop(PREFIX + name)
    with pytest.raises(errors.Failed, match=f"{name} of the archive is missing"):
        merging.merge(asked, lambda: None)
    storage.kept[PREFIX + name] = good[:-1] + bytes([good[-1] ^ 1])
    with pytest.raises(errors.Failed, match=r"s1\.3 is damaged"):
        merging.merge(asked, lambda: None)
    storage.kept[PREFIX + name] = sealed(3, stream="s2")
    with pytest.raises(errors.Failed, match=f"{name} of the archive is another one's"):
        merging.merge(asked, lambda: None)
    assert PREFIX + archives.merged_name(1, 4) not in storage.kept


def test_without_leave_it_is_tried_again_later(storage: Objects) -> None:
    asked = order(storage, 1, 2)
    with pytest.raises(errors.Unavailable, match="refuses"):
        merging.merge(
            replace(asked, write=storage.grant("swift", "PUT", PREFIX, "bad")), lambda: None
        )
