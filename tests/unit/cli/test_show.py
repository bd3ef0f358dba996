"""What a person at a terminal reads of something long."""

from dbaas.cli import show

WORK = {
    "bytes": 1_234_500_000,
    "total_bytes": 4_938_000_000,
    "percent": 25.0,
    "stored_bytes": 1,
    "rate_mb_s": 182.4,
}


def test_progress_says_how_much_of_how_much() -> None:
    assert show.progress(WORK) == " 25.0 %  1,234.5 MB of about 4,938.0 MB, 182.4 MB/s"


def test_progress_without_a_whole_says_what_is_done() -> None:
    unknown = WORK | {"total_bytes": None, "percent": None}
    assert show.progress(unknown) == "1,234.5 MB, 182.4 MB/s"
