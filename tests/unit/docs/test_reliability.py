"""The page about reliability is what the recorded outcomes of tests say."""

from tests import outcomes
from tests.outcomes import Outcome, Part


def test_the_page_is_made_of_what_was_recorded() -> None:
    recorded = outcomes.recorded(outcomes.RECORDED.read_text().splitlines())
    assert outcomes.PAGE.read_text() == outcomes.page(recorded)


def test_a_row_says_what_went_wrong_what_happened_and_how_long_it_took() -> None:
    page = outcomes.page([Outcome(Part.BROKER, "stopped | frozen", "all done", 2.04)])
    assert "## Broker" in page
    assert "| stopped \\| frozen | all done | 2.0 |" in page


def test_of_a_fault_that_was_told_twice_the_last_counts() -> None:
    lines = [
        '{"part": "Quota", "fault": "a", "result": "first", "seconds": null}',
        '{"part": "Quota", "fault": "a", "result": "second", "seconds": 1.0}',
    ]
    assert outcomes.recorded(lines) == [Outcome(Part.QUOTA, "a", "second", 1.0)]
