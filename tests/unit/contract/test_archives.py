import pytest

from dbaas.contract import archives, errors
from dbaas.contract.archives import Run


def names(*numbers: int) -> list[str]:
    return [archives.single_name(number) for number in numbers]


def test_what_is_needed_is_a_row_of_objects() -> None:
    assert archives.covering(names(1, 2, 3, 4), 2, 4) == (Run(2, 4),)
    assert Run(2, 4).names == tuple(names(2, 3, 4))


def test_merged_objects_are_taken_first_also_where_more_is_in_them() -> None:
    there = [*names(1, 2, 3, 4, 5), archives.merged_name(1, 3)]
    assert archives.covering(there, 1, 5) == (Run(1, 3, merged=True), Run(4, 5))
    assert archives.covering(there[3:], 2, 5) == (Run(1, 3, merged=True), Run(4, 5))


def test_a_number_that_is_missing_is_named() -> None:
    with pytest.raises(errors.Failed, match="0000000003 of the archive is missing"):
        archives.covering([*names(1, 2, 4), "manifest"], 1, 4)


@pytest.mark.parametrize("run", [Run(1, 900), Run(7, 7, merged=True)])
def test_a_row_travels_as_text(run: Run) -> None:
    assert archives.read_run(archives.write_run(run)) == run


@pytest.mark.parametrize("text", ["", "1", "a-b", "=1-", "1-99999999999"])
def test_other_texts_are_no_row(text: str) -> None:
    with pytest.raises(errors.Invalid):
        archives.read_run(text)
