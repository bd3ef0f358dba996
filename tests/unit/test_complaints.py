"""Of a long complaint the way to it is told, and where it begins and ends."""

from dataclasses import dataclass

from tests import complaints


@dataclass
class Report:
    nodeid: str
    longreprtext: str


def test_a_short_complaint_is_told_as_a_whole() -> None:
    report = Report("tests/a.py::test_a", "tests/a.py:3: in test_a\n    assert x\nE   assert 0\n")
    assert complaints.told(report) == [
        "tests/a.py::test_a:",
        "  tests/a.py:3: in test_a",
        "      assert x",
        "  E   assert 0",
    ]


def test_of_a_long_complaint_the_begin_and_the_end_are_told() -> None:
    way = [f"tests/a.py:{n}: in step_{n}" for n in range(100)]
    said = [f"E   {n} {'x' * 1000}" for n in range(200)]
    told = complaints.told(Report("tests/a.py::test_a", "\n".join([*way, "", *said])))
    assert len(told) <= 16
    assert max(map(len, told)) <= complaints.WIDTH + 2
    assert told[6] == "  tests/a.py:99: in step_99"
    assert [line.split()[1] for line in told[7:]] == [
        "0", "1", "2", "3", "4", "5", "(192", "198", "199"
    ]  # fmt: skip
