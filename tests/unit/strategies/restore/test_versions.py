import pytest

from dbaas.contract import errors
from dbaas.strategies.restore.base import check_version


@pytest.mark.parametrize(
    ("taken", "here", "physical"),
    [
        ("11.8.6", "11.8.6", True),
        ("11.8.6", "11.8.9", True),
        ("11.8.6", "11.8", True),
        ("11.8", "11.8.2", True),
        ("11.8.6-MariaDB-log", "11.8.6", True),
        ("10.11.19", "11.8.6", False),
        ("10.11.19", "10.11.19", False),
    ],
)
def test_the_same_or_a_newer_server_will_do(taken: str, here: str, physical: bool) -> None:
    check_version(taken, here, physical=physical)


@pytest.mark.parametrize(
    ("taken", "here", "physical"),
    [
        ("10.11.19", "11.8.6", True),
        ("11.8.6", "10.11.19", True),
        ("11.8.6", "11.8.5", True),
        ("11.8.10", "11.8.9", True),
        ("11.8.6", "10.11.19", False),
        ("11.8.6", "11.8.5", False),
    ],
)
def test_an_older_server_or_another_series_for_files_will_not(
    taken: str, here: str, physical: bool
) -> None:
    with pytest.raises(errors.Unsupported, match="needs a server"):
        check_version(taken, here, physical=physical)


@pytest.mark.parametrize("taken", ["", "new", "11"])
def test_what_is_no_version_is_refused(taken: str) -> None:
    with pytest.raises(errors.Invalid, match="is not a version number"):
        check_version(taken, "11.8", physical=True)
