import pytest
from hypothesis import given
from hypothesis import strategies as st

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


def test_only_what_lies_before_goes_whole() -> None:
    there = [*names(1, 2, 3, 4, 5), archives.merged_name(1, 3), archives.merged_name(3, 5), "other"]
    assert archives.before(there, 5) == (archives.merged_name(1, 3), *names(1, 2, 3, 4))
    assert archives.before(there, 1) == ()


SIZES = st.dictionaries(
    st.integers(1, 60).map(archives.single_name), st.sampled_from([1, 1 << 20, 1 << 24])
)


@given(SIZES, st.integers(0, 60))
def test_what_is_merged_is_small_there_and_once(sizes: dict[str, int], last: int) -> None:
    found = archives.mergeable(sizes, last)
    taken = [name for run in found for name in run.names]
    assert len(taken) == len(set(taken))
    for run in found:
        assert run.last <= last
        assert len(run.names) > 1
        assert sum(sizes[name] for name in run.names) <= archives.MERGED_SIZE


@given(st.integers(2, 40), st.data())
def test_a_restore_has_the_same_before_and_after(count: int, data: st.DataObject) -> None:
    sizes = {
        archives.single_name(number): data.draw(st.sampled_from([1, 1 << 23, 1 << 24]))
        for number in range(1, count + 1)
    }
    merged = archives.mergeable(sizes, count)
    gone = {name for run in merged for name in run.names}
    left = [*(sizes.keys() - gone), *(archives.merged_name(r.first, r.last) for r in merged)]
    first = data.draw(st.integers(1, count))
    runs = archives.covering(left, first, count)
    numbers = [number for run in runs for number in range(run.first, run.last + 1)]
    assert numbers == [*range(runs[0].first, count + 1)]
    assert runs[0].first <= first


def test_many_are_merged_in_rows_that_are_not_too_long() -> None:
    sizes = {archives.single_name(number): 1 for number in range(1, 1101)}
    assert archives.mergeable(sizes, 1100) == (Run(1, 500), Run(501, 1000), Run(1001, 1100))


@pytest.mark.parametrize("run", [Run(1, 900), Run(7, 7, merged=True)])
def test_a_row_travels_as_text(run: Run) -> None:
    assert archives.read_run(archives.write_run(run)) == run


@pytest.mark.parametrize("text", ["", "1", "a-b", "=1-", "1-99999999999"])
def test_other_texts_are_no_row(text: str) -> None:
    with pytest.raises(errors.Invalid):
        archives.read_run(text)
