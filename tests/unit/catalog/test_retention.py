"""What of a schedule's backups may go."""

from hypothesis import given
from hypothesis import strategies as st

from dbaas.catalog.retention import Kept, Rule, surplus, tops


@st.composite
def histories(draw: st.DrawFn) -> list[Kept]:
    """Backups, the oldest first; each builds on none, or on an older one that can be restored."""
    made: list[Kept] = []
    for n in range(draw(st.integers(0, 12))):
        usable = [one.id for one in made if one.usable]
        parent = draw(st.sampled_from([None, *usable]))
        made.append(
            Kept(
                id=str(n),
                parent_id=parent,
                age=float(100 - n * draw(st.sampled_from([1, 5]))),
                usable=draw(st.booleans()),
                over=True,
                ours=draw(st.sampled_from([True, True, False])),
            )
        )
    return made


rules = st.builds(Rule, st.none() | st.integers(1, 6), st.none() | st.integers(1, 100))


@given(histories(), rules)
def test_what_stays_can_be_restored_and_the_newest_stays(backups: list[Kept], rule: Rule) -> None:
    gone = surplus(backups, rule)
    stay = {one.id for one in backups} - gone
    for one in backups:
        if one.id in stay:
            assert one.parent_id is None or one.parent_id in stay
        assert one.ours or one.id in stay
    usable = sorted((one for one in backups if one.usable and one.ours), key=lambda one: one.age)
    assert not usable or usable[0].id in stay


@given(histories(), rules)
def test_with_the_tops_all_go_and_nothing_else(backups: list[Kept], rule: Rule) -> None:
    gone = surplus(backups, rule)
    taken = set(tops(gone, backups))
    for one in backups:  # parents come before children
        if one.parent_id in taken:
            taken.add(one.id)
    assert taken == gone


@given(histories())
def test_without_a_rule_all_stay(backups: list[Kept]) -> None:
    assert surplus(backups, Rule(None, None)) == set()


def weekly() -> list[Kept]:
    """Two weeks of a full one each and increments on it, a day between them; 0 is the newest."""
    return [
        Kept(f"d{age}", None if age in (6, 13) else f"d{age + 1}", float(age), usable=True)
        for age in range(14)
    ]


def test_a_chain_goes_when_none_of_it_is_kept() -> None:
    assert surplus(weekly(), Rule(7, None)) == {f"d{age}" for age in range(7, 14)}
    assert surplus(weekly(), Rule(8, None)) == set()
    assert surplus(weekly(), Rule(None, 5)) == {f"d{age}" for age in range(7, 14)}


def test_what_is_being_made_stays_with_what_it_builds_on() -> None:
    making = Kept("new", "d7", 0.0, usable=False, over=False)
    assert "d7" not in surplus([*weekly(), making], Rule(1, None))


def test_a_failed_one_goes_when_enough_others_are_newer() -> None:
    failed = Kept("failed", None, 3.5, usable=False)
    assert "failed" not in surplus([*weekly(), failed], Rule(7, None))
    assert "failed" in surplus([*weekly(), failed], Rule(3, None))


def test_where_all_fail_no_more_of_them_stay_than_of_others() -> None:
    failed = [Kept(f"f{hour}", None, hour / 24, usable=False) for hour in range(100)]
    complete = Kept("complete", None, 5.0, usable=True)
    gone = surplus([complete, *failed], Rule(7, None))
    assert {f"f{hour}" for hour in range(100)} - gone == {f"f{hour}" for hour in range(7)}
    assert "complete" not in gone
