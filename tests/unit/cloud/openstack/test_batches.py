import threading
from collections.abc import Collection, Mapping

import pytest

from dbaas.cloud.openstack.batches import Batches
from dbaas.contract import errors

MANY = 20


class Slow:
    """Answers when it may, and remembers what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[set[str]] = []
        self.began = threading.Event()
        self.may_answer = threading.Event()
        self.fails = False

    def look(self, names: Collection[str]) -> Mapping[str, str]:
        self.asked.append(set(names))
        self.began.set()
        self.may_answer.wait(10)
        if self.fails:
            raise errors.Unavailable("no answer")
        return {name: name.upper() for name in names if name != "missing"}


@pytest.fixture
def slow() -> Slow:
    return Slow()


def test_who_asks_while_a_request_is_under_way_shares_the_next_one(slow: Slow) -> None:
    batches, found = Batches(slow.look), dict[str, str | None]()
    names = [f"s{number}" for number in range(MANY)]
    first = _ask(batches, "first", found)
    slow.began.wait(10)
    others = [_ask(batches, name, found) for name in names]
    while len(batches._next.names) < MANY:
        pass
    slow.may_answer.set()
    for thread in (first, *others):
        thread.join()
    assert slow.asked == [{"first"}, set(names)]
    assert found == {name: name.upper() for name in ("first", *names)}


def _ask(batches: Batches[str], name: str, found: dict[str, str | None]) -> threading.Thread:
    thread = threading.Thread(target=lambda: found.update({name: batches.find(name)}))
    thread.start()
    return thread


def test_what_is_not_there_is_none(slow: Slow) -> None:
    slow.may_answer.set()
    assert Batches(slow.look).find("missing") is None


def test_a_failure_is_everybodys_and_the_next_one_asks_anew(slow: Slow) -> None:
    slow.may_answer.set()
    slow.fails = True
    batches = Batches(slow.look)
    with pytest.raises(errors.Unavailable):
        batches.find("a")
    slow.fails = False
    assert batches.find("a") == "A"
