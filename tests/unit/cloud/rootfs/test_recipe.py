from pathlib import Path

import pytest

from dbaas.cloud.local import image
from dbaas.cloud.rootfs import recipe
from dbaas.cloud.rootfs.recipe import MACHINE, NAMESPACES, Recipe


def test_another_recipe_is_another_root(tmp_path: Path) -> None:
    wanted = Recipe("rootfs", (tmp_path,))
    (tmp_path / "packages").write_text("one\n")
    first = wanted.digest()
    assert first == wanted.digest()
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/x.sh").write_text("true\n")
    second = wanted.digest()
    (tmp_path / "templates/x.sh").write_text("false\n")
    third = wanted.digest()
    assert len({first, second, third, Recipe("rootfs", (tmp_path,), ("two",)).digest()}) == 4


def test_the_list_of_packages_may_have_comments() -> None:
    assert recipe.listed("# head\n\none\n two  # why\n") == ["one", "two"]


def test_a_machine_has_all_that_a_guest_of_namespaces_has() -> None:
    assert set(NAMESPACES.packages) < set(MACHINE.packages)
    assert MACHINE.folders[0] == NAMESPACES.folders[0]
    assert len(set(MACHINE.packages)) == len(MACHINE.packages)
    assert recipe.machine(("b", "a")).packages == (*MACHINE.packages, "a", "b")


@pytest.mark.parametrize("made", [NAMESPACES, MACHINE], ids=lambda made: made.name)
def test_its_scripts_can_be_run(made: Recipe) -> None:
    scripts = [*made.scripts("essential.sh"), *made.scripts("customize.sh")]
    assert scripts
    assert all(script.stat().st_mode & 0o111 for script in scripts)


def test_the_cache_is_where_the_environment_says() -> None:
    assert recipe.default_cache({"XDG_CACHE_HOME": "/home/me/.cache"}) == Path(
        "/home/me/.cache/dbaas"
    )
    assert recipe.default_cache({}) == Path("/var/cache/dbaas")


def test_a_root_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    image.location(tmp_path).mkdir()
    said: list[str] = []
    assert image.ensure(tmp_path, said.append) == image.location(tmp_path)
    assert said == []
