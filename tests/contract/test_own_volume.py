"""The data volume where the agent finds, formats and mounts it: on real disks."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.guestagent.volume import Volume
from dbaas.host import commands, disks, mounts, volumes
from dbaas.host.disks import Content
from tests.contract import loops

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="disks need root")

MIB = 1 << 20
SMALL, LARGE = 320 * MIB, 448 * MIB


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[loops.Disk]:
    with loops.disk(tmp_path / "image", SMALL) as made:
        yield made


@pytest.fixture
def at(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "volume"
    yield path
    while mounts.at(path):
        commands.run(["umount", "--lazy", str(path)], timeout=30)


@pytest.fixture
def life(tmp_path: Path, at: Path, disk: loops.Disk) -> Callable[[], Volume]:
    """Begin another life of the agent, on the same machine."""
    return lambda: Volume(at, tmp_path / "volume.json", lambda: disk.attached)


def test_an_empty_disk_is_formatted_once_and_found_again(
    life: Callable[[], Volume], disk: loops.Disk, at: Path
) -> None:
    life().take()
    assert SMALL * 0.7 < life().usage().total < SMALL
    (at / "rows").write_text("kept")
    life().take()
    commands.run(["umount", str(at)], timeout=30)  # as when the machine is booted again
    life().take()
    assert (at / "rows").read_text() == "kept"


def test_another_machine_takes_the_volume_with_what_is_on_it(
    life: Callable[[], Volume], disk: loops.Disk, at: Path, tmp_path: Path
) -> None:
    life().take()
    (at / "rows").write_text("kept")
    commands.run(["umount", str(at)], timeout=30)
    Volume(at, tmp_path / "other.json", lambda: disk.attached).take()
    assert (at / "rows").read_text() == "kept"


@pytest.mark.parametrize(
    "program",
    [
        ("mkfs.ext4", "-q"),
        ("mkfs.xfs", "-q"),
        ("mkfs.xfs", "-q", "-L", "theirs"),
        ("mkswap", "-q", "-L", "theirs"),
    ],
    ids=" ".join,
)
def test_a_disk_with_anything_on_it_is_left_alone(
    life: Callable[[], Volume], disk: loops.Disk, at: Path, program: tuple[str, ...]
) -> None:
    commands.run([*program, str(disk.path)], timeout=30)
    before = disk.content()
    with pytest.raises((errors.Failed, errors.Unavailable), match=r"not empty|not attached"):
        life().take()
    assert disk.content() == before
    assert mounts.at(at) is None


def test_a_disk_that_something_uses_is_left_alone(
    life: Callable[[], Volume], disk: loops.Disk
) -> None:
    holder = os.open(disk.path, os.O_RDWR | os.O_EXCL)
    try:
        assert disks.look(disk.path).content is Content.USED
        with pytest.raises(errors.Unavailable, match="not attached"):
            life().take()
    finally:
        os.close(holder)


@pytest.mark.parametrize("after", [0.0, 0.002, 0.004, 0.008, 0.012, 0.016, 0.02, 0.03])
def test_formatting_that_was_cut_short_is_begun_again(
    life: Callable[[], Volume], disk: loops.Disk, at: Path, after: float
) -> None:
    program = [*disks.MAKE_XFS, "-L", disks.LABEL, str(disk.path)]
    making = subprocess.Popen(program, stdout=subprocess.DEVNULL)
    time.sleep(after)
    making.kill()
    making.wait()
    life().take()
    (at / "rows").write_text("kept")
    assert life().usage().used > 0


def test_a_volume_that_is_not_attached_is_waited_for(
    life: Callable[[], Volume], disk: loops.Disk, at: Path
) -> None:
    life().take()
    life().release()
    path, disk.attached = disk.attached, []
    with pytest.raises(errors.Unavailable, match="the volume is not attached"):
        life().take()
    assert life().released
    assert life().usage().total == 0
    disk.attached = path
    life().take()
    assert not life().released


def test_it_can_be_released_extended_and_taken_again(
    life: Callable[[], Volume], disk: loops.Disk, at: Path
) -> None:
    life().take()
    (at / "rows").write_text("kept")
    life().release()
    assert life().released
    assert mounts.at(at) is None
    with disk.detached():
        disk.resize(LARGE)
    life().take()
    assert (at / "rows").read_text() == "kept"
    assert volumes.grow(at, LARGE).total > SMALL


def test_a_volume_in_use_is_not_released_until_it_is_free(
    life: Callable[[], Volume], at: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dbaas.guestagent.volume.PATIENCE", 0.1)
    life().take()
    with (at / "open").open("w"), pytest.raises(errors.Busy, match="still used"):
        life().release()
    assert life().released
    life().release()
    assert mounts.at(at) is None


def test_a_volume_that_went_away_while_it_was_mounted_is_mounted_anew(
    life: Callable[[], Volume], disk: loops.Disk, at: Path
) -> None:
    life().take()
    (at / "rows").write_text("kept")
    commands.run(["sync", "-f", str(at)], timeout=30)
    with disk.cut_off(at), pytest.raises(OSError, match="Input/output"):
        (at / "lost").write_text("lost")
    life().take()
    assert (at / "rows").read_text() == "kept"


def test_a_disk_that_is_not_blank_any_more_is_not_formatted(disk: loops.Disk) -> None:
    blank = disks.look(disk.path)
    assert disks.make_file_system(blank).content is Content.VOLUME
    with pytest.raises(errors.Failed, match="appears to contain an existing filesystem"):
        disks.make_file_system(blank)
