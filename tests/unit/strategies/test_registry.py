import pytest

from dbaas.contract import errors
from dbaas.engines import manifests
from dbaas.strategies import registry


@pytest.mark.parametrize("kind", ["backup", "restore", "storage"])
def test_all_that_is_registered_can_be_loaded(kind: str) -> None:
    names = registry.names(kind)
    assert names
    assert all(callable(registry.load(kind, name)) for name in names)


def test_what_is_backed_up_can_be_restored() -> None:
    assert registry.names("backup") == registry.names("restore")


def test_what_an_engine_is_backed_up_by_is_registered() -> None:
    for name, manifest in manifests.MANIFESTS.items():
        assert set(manifest.backups) <= set(registry.names("backup")), name


def test_an_unknown_one_is_told_with_those_that_there_are() -> None:
    with pytest.raises(errors.Unsupported, match="no storage strategy 'tape' here, but local, s3"):
        registry.load("storage", "tape")


def test_an_engine_s_default_is_its_first() -> None:
    assert manifests.check_backup("mariadb", "") == "mariabackup"
    assert manifests.check_backup("mariadb", "mariadb_dump") == "mariadb_dump"
    with pytest.raises(errors.Unsupported, match="by mariabackup or mariadb_dump, and not by 'x'"):
        manifests.check_backup("mariadb", "x")
    with pytest.raises(errors.Unsupported, match="no backups of 'x'"):
        manifests.check_backup("x", "")
