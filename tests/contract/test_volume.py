"""Growing a volume's file system, on a real one."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.host import commands, volumes

MIB = 1 << 20
SMALL, LARGE = 320 * MIB, 448 * MIB


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image"
    path.touch()
    return path


def resize(image: Path, size: int) -> None:
    with image.open("r+b") as file:
        file.truncate(size)


@pytest.fixture
def volume(tmp_path: Path, image: Path) -> Iterator[Path]:
    """An XFS file system on a loop device, mounted; both go with the last of them."""
    resize(image, SMALL)
    commands.run(["mkfs.xfs", "-q", str(image)], timeout=30)
    mounted = tmp_path / "volume"
    mounted.mkdir()
    commands.run(["mount", "-o", "loop", str(image), str(mounted)], timeout=30)
    yield mounted
    commands.run(["umount", str(mounted)], timeout=30)


def device(volume: Path) -> str:
    return commands.run(["findmnt", "-n", "-o", "SOURCE", str(volume)], timeout=10)


def test_a_volume_is_small_until_its_device_has_grown(volume: Path) -> None:
    assert volumes.grow(volume, SMALL).total < SMALL
    with pytest.raises(errors.Unavailable, match="has 320 MiB so far, not the 448 MiB ordered"):
        volumes.grow(volume, LARGE)


def test_a_file_system_grows_to_its_device_while_it_is_used(volume: Path, image: Path) -> None:
    (volume / "data").write_text("kept")
    before = volumes.usage(volume).total
    resize(image, LARGE)
    commands.run(["losetup", "-c", device(volume)], timeout=10)
    with (volume / "open").open("w") as file:
        file.write("written before")
        assert volumes.grow(volume, LARGE).total == before + LARGE - SMALL
        file.write(", written after")
    assert volumes.grow(volume, LARGE).total == before + LARGE - SMALL
    assert (volume / "data").read_text() == "kept"


def test_growth_that_the_host_has_done_already_is_seen(volume: Path, image: Path) -> None:
    resize(image, LARGE)
    commands.run(["losetup", "-c", device(volume)], timeout=10)
    commands.run(["xfs_growfs", str(volume)], timeout=30)
    assert volumes.grow(volume, LARGE).total > SMALL
