import hashlib
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import pytest

from dbaas.contract import errors
from dbaas.contract.messages import Grant, Segment
from dbaas.strategies import registry, segments
from dbaas.strategies.segments import Courier, Uploads
from dbaas.strategies.storage import base
from dbaas.strategies.storage.base import Leave
from tests.fakes import objects
from tests.fakes.objects import Objects
from tests.unit.guestagent.guest import until

BACKUP = "b0e1d5a2"
SIZE = 1000


class Unwanted(Exception): ...


def wanted() -> None: ...


@pytest.fixture
def kept() -> Iterator[Objects]:
    with objects.serving() as serving:
        yield serving


@pytest.fixture(autouse=True)
def hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(segments, "FIRST_PAUSE", 0.001)
    monkeypatch.setattr(segments, "LOOK", 0.005)
    monkeypatch.setattr(base, "LOOK", 0.005)


@pytest.fixture(params=["local", "s3", "swift"])
def storage(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    assert name in registry.names("storage")
    return name


def courier(leave: Leave, check: Callable[[], None] = wanted, patience: float = 5.0) -> Courier:
    return Courier(registry.load("storage", leave.grant.storage), leave, BACKUP, check, patience)


def store(
    kept: Objects,
    content: bytes,
    storage: str = "swift",
    *,
    check: Callable[[], None] = wanted,
    patience: float = 5.0,
) -> Sequence[Segment]:
    leave = Leave(kept.grant(storage, "PUT", "b/"), patience=0.05)
    with Uploads(courier(leave, check, patience), leave, SIZE, check) as uploads:
        for begin in range(0, len(content), 300):
            uploads.write(content[begin : begin + 300])
        return uploads.finish()


def fetch(
    kept: Objects, listed: Sequence[Segment], storage: str = "swift", patience: float = 5.0
) -> bytes:
    leave = Leave(kept.grant(storage, "GET", "b/"), patience=0.05)
    pieces = segments.fetched(courier(leave, patience=patience), leave, BACKUP, listed, wanted)
    return b"".join(bytes(piece) for piece in pieces)


CONTENT = bytes(range(256)) * 17


def test_what_was_stored_is_what_is_fetched(kept: Objects, storage: str) -> None:
    stored = store(kept, CONTENT, storage)
    assert [segment.name for segment in stored] == [f"0000000{n}" for n in range(1, 6)]
    assert [segment.size for segment in stored] == [1000, 1000, 1000, 1000, 352]
    assert b"".join(kept.kept[f"b/{each.name}"] for each in stored) == CONTENT
    assert fetch(kept, stored, storage) == CONTENT


def test_a_segment_s_sums_are_those_of_its_object(kept: Objects, storage: str) -> None:
    for segment in store(kept, CONTENT, storage):
        content = kept.kept[f"b/{segment.name}"]
        assert segment.sha256 == hashlib.sha256(content).hexdigest()
        assert segment.md5 in ("", hashlib.md5(content).hexdigest())
        assert bool(segment.md5) == (storage != "local")


def test_nothing_stored_is_no_segment(kept: Objects) -> None:
    assert store(kept, b"") == ()
    assert fetch(kept, ()) == b""


@pytest.mark.parametrize("fault", ["503", "500", "429", "400", "drop"])
def test_a_fault_that_passes_is_gone_through(kept: Objects, fault: str) -> None:
    kept.faults["b/00000002"] = [fault, fault]
    stored = store(kept, CONTENT)
    kept.faults["b/00000003"] = [fault, fault]
    assert fetch(kept, stored) == CONTENT


def test_an_answer_that_is_cut_off_is_asked_for_again(kept: Objects) -> None:
    stored = store(kept, CONTENT)
    kept.faults["b/00000002"] = ["cut", "cut"]
    assert fetch(kept, stored) == CONTENT


def test_a_storage_that_has_something_else_is_sent_it_again(kept: Objects) -> None:
    kept.faults["b/00000002"] = ["lie"]
    assert len(store(kept, CONTENT)) == 5
    assert kept.asked.count(("PUT", "b/00000002")) == 2


@pytest.mark.parametrize("fault", ["503", "lie", "drop"])
def test_a_fault_that_stays_is_told_with_the_segment_s_name(kept: Objects, fault: str) -> None:
    kept.faults["b/00000002"] = [fault] * 10_000
    with pytest.raises(errors.Unavailable, match=f"segment 00000002 of backup {BACKUP}"):
        store(kept, CONTENT, patience=0.05)


@pytest.mark.parametrize(
    ("fault", "kind"), [("404", errors.NotFound), ("413", errors.OverQuota), ("405", errors.Failed)]
)
def test_what_trying_again_does_not_help_ends_it_at_once(
    kept: Objects, fault: str, kind: type[errors.Error]
) -> None:
    kept.faults["b/00000001"] = [fault]
    with pytest.raises(kind, match=f"segment 00000001 of backup {BACKUP}"):
        store(kept, CONTENT)
    assert kept.asked.count(("PUT", "b/00000001")) == 1


@pytest.mark.parametrize("change", [b"", b"x", CONTENT[:1000][::-1], CONTENT[:1001]])
def test_a_segment_that_is_not_what_was_stored_is_named(kept: Objects, change: bytes) -> None:
    stored = store(kept, CONTENT)
    kept.kept["b/00000003"] = change
    with pytest.raises(errors.Failed, match=f"segment 00000003 of backup {BACKUP}"):
        fetch(kept, stored)


def test_segments_that_were_exchanged_are_noticed(kept: Objects) -> None:
    stored = store(kept, CONTENT + b"1")
    one, two = "b/00000001", "b/00000002"
    kept.kept[one], kept.kept[two] = kept.kept[two], kept.kept[one]
    with pytest.raises(errors.Failed, match="segment 00000001"):
        fetch(kept, stored)


def test_a_missing_segment_is_named(kept: Objects) -> None:
    stored = store(kept, CONTENT)
    del kept.kept["b/00000005"]
    with pytest.raises(errors.Failed, match=f"segment 00000005 of backup {BACKUP} is missing"):
        fetch(kept, stored)


def test_no_byte_of_a_damaged_segment_is_given(kept: Objects) -> None:
    stored = store(kept, CONTENT)
    kept.kept["b/00000002"] = bytes(1000)
    leave = Leave(kept.grant("swift", "GET", "b/"))
    pieces = segments.fetched(courier(leave), leave, BACKUP, stored, wanted)
    assert bytes(next(pieces)) == CONTENT[:1000]
    with pytest.raises(errors.Failed):
        next(pieces)


def test_it_goes_on_with_another_grant_when_the_first_has_run_out(kept: Objects) -> None:
    told = threading.Event()
    leave = Leave(kept.grant("swift", "PUT", "b/"), told.set)
    with Uploads(courier(leave), leave, SIZE, wanted) as uploads:
        uploads.write(CONTENT[:1000])
        until(lambda: "b/00000001" in kept.kept)
        kept.leave = "newer"
        uploads.write(CONTENT[1000:2500])
        assert told.wait(5)
        assert leave.wants == 2
        leave.renew(kept.grant("swift", "PUT", "b/", "newer"))
        assert leave.wants == 0
        assert len(uploads.finish()) == 3


def test_a_grant_that_is_not_renewed_ends_it_with_the_segment_s_name(kept: Objects) -> None:
    kept.leave = "newer"
    with pytest.raises(errors.Unavailable, match=r"segment 00000001 of backup .* run out"):
        store(kept, CONTENT, patience=100.0)


def test_leave_is_wanted_before_it_is_missing(kept: Objects) -> None:
    names = [f"{n:08d}" for n in range(1, 20)]
    leave = Leave(kept.grant_by_name("s3", "PUT", "b/", names))
    with Uploads(courier(leave), leave, SIZE, wanted) as uploads:
        uploads.write(bytes(3000))
        assert leave.wants == 0
        uploads.write(bytes(1000))
        assert leave.wants == 20
        uploads.finish()


def test_no_leave_is_wanted_for_more_than_there_is(kept: Objects) -> None:
    stored = store(kept, CONTENT)
    names = [segment.name for segment in stored]
    leave = Leave(kept.grant_by_name("s3", "GET", "b/", names))
    list(segments.fetched(courier(leave), leave, BACKUP, stored, wanted))
    assert leave.wants == 0


def test_what_hangs_is_given_up_when_it_is_not_wanted(kept: Objects) -> None:
    kept.faults["b/00000001"] = ["hang"]
    began = time.monotonic()

    def check() -> None:
        if time.monotonic() > began + 0.05:
            raise Unwanted

    with pytest.raises(Unwanted):
        store(kept, CONTENT, check=check)
    assert time.monotonic() < began + 5
    assert "upload" not in [thread.name for thread in threading.enumerate()]


def test_too_many_segments_are_refused_early(
    kept: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segments, "MOST", 3)
    with pytest.raises(errors.Failed, match="more than 3 segments of 1000 bytes"):
        store(kept, CONTENT)


def test_a_url_is_in_no_error(kept: Objects) -> None:
    kept.let_go.set()
    grant = Grant("swift", "PUT", kept.grant("swift", "PUT", "b/").url)
    kept.faults["b/00000001"] = ["drop"] * 1000
    leave = Leave(grant)
    with pytest.raises(errors.Unavailable) as caught:
        courier(leave, patience=0.02).put(1, memoryview(b"x"))
    assert "signature" not in caught.value.text


IDLE = """
import time
from dbaas.strategies.segments import Crew
crew = Crew("test")
crew.submit(lambda: time.sleep(60))
"""


def test_work_that_goes_on_keeps_nobody_from_ending() -> None:
    subprocess.run([sys.executable, "-c", IDLE], timeout=20, check=True)


def test_what_was_not_begun_when_a_crew_is_closed_never_is() -> None:
    crew, done = segments.Crew("test"), list[int]()
    jobs = [crew.submit(lambda: time.sleep(0.05)) for _ in range(segments.WORKERS)]
    until(lambda: all(job.running() for job in jobs))
    crew.submit(lambda: done.append(1))
    crew.close()
    assert all(job.done() for job in jobs)
    assert done == []
