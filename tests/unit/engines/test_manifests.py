from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.engines import manifests
from dbaas.engines.base import Places


def test_a_version_number_names_a_release_series() -> None:
    assert manifests.series("11.8.6") == "11.8"
    assert manifests.series("11.8") == "11.8"


@pytest.mark.parametrize("version", ["", "11", "../11.8", "11.8beta", "latest"])
def test_what_is_no_version_number_is_refused(version: str) -> None:
    with pytest.raises(errors.Invalid, match="is not a version number"):
        manifests.series(version)


def test_an_engine_is_loaded_by_its_name_and_version(tmp_path: Path) -> None:
    engine = manifests.load("mariadb", "11.8.6", Places(runtime=tmp_path, logs=tmp_path))
    assert engine.process() is None
    assert not engine.signs().answers


@pytest.mark.parametrize(("name", "version"), [("oracle", "1.0"), ("mariadb", "5.5.1")])
def test_what_there_is_no_driver_for_is_unsupported(name: str, version: str) -> None:
    with pytest.raises(errors.Unsupported, match="mariadb"):
        manifests.load(name, version, Places())
    with pytest.raises(errors.Unsupported):
        manifests.check(name, version)
