import os
from pathlib import Path

import pytest

from dbaas.cloud.local.records import Records
from dbaas.contract import errors


@pytest.fixture
def records(tmp_path: Path) -> Records:
    return Records(tmp_path / "things")


def test_a_record_is_kept_replaced_and_removed(records: Records) -> None:
    assert records.get("a") is None
    records.put("a", {"n": 1})
    records.put("a", {"n": 2})
    assert records.all() == {"a": {"n": 2}}
    assert records.all(["a", "b"]) == {"a": {"n": 2}}
    records.remove("a")
    records.remove("a")
    assert records.all() == {}


@pytest.mark.parametrize("name", ["", "../a", "a/b", ".hidden"])
def test_a_name_never_leaves_the_directory(records: Records, name: str) -> None:
    with pytest.raises(errors.Invalid):
        records.put(name, {})


def test_whether_an_object_is_locked_can_be_seen(records: Records) -> None:
    assert not records.is_locked("a")
    with records.lock("a"):
        assert records.is_locked("a")
    assert not records.is_locked("a")


def test_what_a_crash_left_of_a_write_is_no_record_and_goes_away(
    records: Records, tmp_path: Path
) -> None:
    records.put("a", {})
    fresh, old = tmp_path / "things/.b.json.12.new", tmp_path / "things/.c.json.34.new"
    for file in (fresh, old):
        file.write_text("{")
    os.utime(old, (0, 0))
    assert list(Records(tmp_path / "things").all()) == ["a"]
    assert fresh.exists()
    assert not old.exists()
