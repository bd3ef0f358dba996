"""What an archiver stores of a log, over its own ends."""

import time
from collections.abc import Callable, Iterable
from pathlib import Path

from dbaas.contract import archives, errors
from dbaas.contract.messages import ArchiveOrder, Grant, Segment
from dbaas.contract.secret import Secret
from dbaas.guestagent.archiver import Archiver, Pace
from dbaas.strategies.archive import pieces
from dbaas.strategies.archive.base import Check, Goal, Spot, Tail
from dbaas.strategies.archive.binlog import BinlogTail
from dbaas.strategies.archive.pieces import Head, Piece
from tests import binlogs

KEY = Secret("5a" * 32)
GRANT = Grant("mine", "PUT", Secret("http://storage/{name}"))
ORDER = ArchiveOrder("binlog", "i", "s", KEY, GRANT, piece_size=1000)
PACE = Pace(look=0.01, close=0.01)


class Log:
    """A server's log of one file. Implements `ArchiveStrategy`."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._file = binlogs.begin(directory)
        self.ends: set[int] = set()
        self.tails: list[BinlogTail] = []

    def write(self, count: int) -> None:
        """Have so many transactions in it, at once."""
        at = self._file.stat().st_size
        all_of_them = b"".join(binlogs.transaction(300, number) for number in range(count))
        size = len(all_of_them) // count
        self.ends |= {at + size * number for number in range(1, count + 1)}
        with self._file.open("ab") as file:
            file.write(all_of_them)

    def close(self) -> None:
        for tail in self.tails:
            tail.close()

    def keep(self, keep: bool) -> None: ...

    def tail(self, spot: Spot, latest: float) -> Tail:
        self.tails.append(BinlogTail(self._directory, spot, latest))
        return self.tails[-1]

    def forget(self, file: Path) -> None: ...

    def play(self, data: Path, pieces: Iterable[Piece], goal: Goal, check: Check) -> float:
        raise NotImplementedError


class Objects:
    """Implements `Storage`."""

    tells_md5 = False

    def __init__(self) -> None:
        self.kept: dict[str, bytes] = {}
        self.away = False
        self.asked = 0
        self.once_kept: Callable[[], None] = lambda: None

    def put(self, url: Secret, segment: Segment, content: memoryview) -> None:
        self.asked += 1
        if self.away:
            raise errors.Unavailable("it is away")
        self.kept[segment.name] = bytes(content)
        self.once_kept()

    def get(self, url: Secret, into: memoryview) -> int:
        raise NotImplementedError

    def stream(self, url: Secret, into: memoryview, begin: int) -> tuple[int, int]:
        raise NotImplementedError

    def close(self) -> None: ...

    def heads(self) -> list[Head]:
        found = sorted((int(name), content) for name, content in self.kept.items())
        return [
            piece.head
            for number, content in found
            for piece in pieces.unseal(KEY, pieces.identity("s", number), memoryview(content))
        ]


def agent(directory: Path, log: Log, objects: Objects) -> Archiver:
    order = directory / "order.json"
    made = Archiver(directory, order, lambda _: log, lambda *_: objects, lambda: None, pace=PACE)
    made.start()
    return made


def test_what_was_cut_within_a_transaction_is_so_for_the_next_agent(tmp_path: Path) -> None:
    log, objects = Log(tmp_path), Objects()
    first = agent(tmp_path, log, objects)
    first.tell(ORDER)
    log.write(1)
    until(lambda: objects.kept)
    objects.away, before = True, objects.asked
    log.write(10)  # seen at once: where each of them ends is not remembered
    until(lambda: objects.asked > before)
    first.stop()
    objects.away = False
    second = agent(tmp_path, log, objects)
    until(lambda: (told := second.report()) and not told.pending)
    second.stop()
    log.close()
    heads = objects.heads()
    assert [archives.single_name(head.sequence) for head in heads] == sorted(objects.kept)
    assert len(heads) > 3
    assert [each.begin for each in heads[1:]] == [each.end for each in heads[:-1]]
    assert heads[-1].end == max(log.ends)
    assert {head.end for head in heads if head.commits} <= log.ends


def test_a_volume_that_takes_no_note_of_an_object_costs_none(tmp_path: Path) -> None:
    log, objects = Log(tmp_path), Objects()
    record, away = tmp_path / "archive.json", tmp_path / "away"

    def refuse_notes() -> None:
        if not away.exists():
            record.rename(away)
            record.mkdir()

    archiver = agent(tmp_path, log, objects)
    archiver.tell(ORDER)
    log.write(1)
    until(lambda: objects.kept)
    objects.once_kept = refuse_notes
    log.write(1)
    until(lambda: (told := archiver.report()) and told.fault)
    record.rmdir()
    away.rename(record)
    objects.once_kept = lambda: None
    log.write(1)
    until(lambda: (told := archiver.report()) and told.sequence == 3)
    archiver.stop()
    log.close()
    heads = objects.heads()
    assert [each.begin for each in heads[1:]] == [each.end for each in heads[:-1]]
    assert heads[-1].end == max(log.ends)


def test_a_defect_ends_no_storing(tmp_path: Path) -> None:
    log, objects = Log(tmp_path), Objects()

    def fail_once() -> None:
        objects.once_kept = lambda: None
        raise ZeroDivisionError

    objects.once_kept = fail_once
    archiver = agent(tmp_path, log, objects)
    archiver.tell(ORDER)
    log.write(1)
    until(lambda: (told := archiver.report()) and told.sequence == 1)
    archiver.stop()
    log.close()
    assert objects.asked == 2


def until(condition: Callable[[], object], patience: float = 10.0) -> None:
    expired = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < expired
        time.sleep(0.005)
