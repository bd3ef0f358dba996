"""What proves that a log is the one that was read before."""

import io

from dbaas.strategies.archive import events
from dbaas.strategies.archive.events import HEADER, MAGIC, Kind


def log(content: bytes, stamp: int = 4711, flags: int = 0) -> str:
    """Return the proof of a log with this after its description, up to the sixth byte of it."""
    body = b"how it is written"
    header = HEADER.pack(stamp, Kind.DESCRIPTION, 1, HEADER.size + len(body), 0, flags)
    file = io.BytesIO(MAGIC + header + body + content)
    description = events.describe(file)
    assert description is not None
    return events.proof(file, description, description.begin + 6)


def test_a_log_is_the_same_after_more_was_written_and_after_it_was_closed() -> None:
    assert log(b"events") == log(b"events and more") == log(b"events", flags=1)


def test_one_that_was_begun_anew_is_another_and_one_that_says_something_else() -> None:
    assert len({log(b"events"), log(b"others"), log(b"event"), log(b"events", stamp=4712)}) == 4
