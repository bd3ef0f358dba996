import os
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.host import volumes


def test_usage_is_what_the_file_system_says(tmp_path: Path) -> None:
    usage = volumes.usage(tmp_path)
    room = os.statvfs(tmp_path)
    assert usage.total == room.f_blocks * room.f_frsize
    assert 0 < usage.used <= usage.total


def test_a_volume_that_is_large_enough_needs_no_growth(tmp_path: Path) -> None:
    total = volumes.usage(tmp_path).total
    assert volumes.grow(tmp_path, total).total == total


def test_a_volume_that_is_still_small_is_worth_another_try(tmp_path: Path) -> None:
    total = volumes.usage(tmp_path).total
    with pytest.raises(errors.Unavailable, match=r"MiB so far, not the \d+ MiB ordered"):
        volumes.grow(tmp_path, 2 * total)
