from pathlib import Path

from dbaas.cloud.local import image


def test_another_recipe_is_another_image(tmp_path: Path) -> None:
    (tmp_path / "packages").write_text("one\n")
    first = image.digest(tmp_path)
    assert first == image.digest(tmp_path)
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates/x.sh").write_text("true\n")
    second = image.digest(tmp_path)
    (tmp_path / "templates/x.sh").write_text("false\n")
    assert len({first, second, image.digest(tmp_path)}) == 3


def test_the_list_of_packages_may_have_comments() -> None:
    assert image.packages("# head\n\none\n two  # why\n") == ["one", "two"]


def test_the_cache_is_where_the_environment_says() -> None:
    assert image.default_cache({"XDG_CACHE_HOME": "/home/me/.cache"}) == Path(
        "/home/me/.cache/dbaas"
    )
    assert image.default_cache({}) == Path("/var/cache/dbaas")


def test_an_image_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    image.location(tmp_path).mkdir()
    said: list[str] = []
    assert image.ensure(tmp_path, said.append) == image.location(tmp_path)
    assert said == []
