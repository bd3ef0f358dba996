from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.host import disks
from dbaas.host.disks import Content, Disk

MIB = 1 << 20
UUID = bytes(range(16))


def disk(name: str, content: Content, uuid: str = "") -> Disk:
    return Disk(Path("/dev") / name, content, uuid)


BLANK = disk("vdb", Content.BLANK)
VOLUME = disk("vdc", Content.VOLUME, "u1")
OTHER_VOLUME = disk("vdd", Content.VOLUME, "u2")
UNFINISHED = disk("vde", Content.UNFINISHED, "u3")
FOREIGN = disk("vdf", Content.OTHER)
ROOT = disk("vda", Content.USED)
CONFIG_DRIVE = disk("vdg", Content.CLOUDS_OWN)


@pytest.mark.parametrize(
    ("there", "uuid", "chosen"),
    [
        ([ROOT, BLANK, CONFIG_DRIVE], "", BLANK),
        ([ROOT, BLANK, VOLUME], "", VOLUME),
        ([BLANK, UNFINISHED], "", UNFINISHED),
        ([FOREIGN, BLANK], "", BLANK),
        ([OTHER_VOLUME, VOLUME, BLANK], "u1", VOLUME),
    ],
)
def test_the_volume_is_told_from_other_disks(there: list[Disk], uuid: str, chosen: Disk) -> None:
    assert disks.choose(there, uuid) is chosen


@pytest.mark.parametrize(
    ("there", "uuid", "error", "text"),
    [
        ([ROOT, CONFIG_DRIVE], "", errors.Unavailable, "not attached"),
        ([ROOT, BLANK, OTHER_VOLUME], "u1", errors.Unavailable, "not attached"),
        ([ROOT, FOREIGN], "", errors.Failed, "not empty, and no volume of ours: vdf"),
        ([VOLUME, OTHER_VOLUME], "", errors.Failed, "several volumes: vdc, vdd"),
        ([VOLUME, VOLUME], "u1", errors.Failed, "several volumes"),
        ([BLANK, BLANK], "", errors.Failed, "several volumes"),
    ],
)
def test_where_that_cannot_be_told_nothing_is_taken(
    there: list[Disk], uuid: str, error: type[errors.Error], text: str
) -> None:
    with pytest.raises(error, match=text):
        disks.choose(there, uuid)


def superblock(label: bytes, in_progress: int) -> bytes:
    start = b"XFSB".ljust(32, b"\0") + UUID
    return start.ljust(108, b"\0") + label.ljust(12, b"\0") + bytes([0] * 6 + [in_progress])


@pytest.mark.parametrize(
    ("at", "written", "content"),
    [
        (0, b"", Content.BLANK),
        (0, superblock(b"dbaas-volume", 0), Content.VOLUME),
        (0, superblock(b"dbaas-volume", 1), Content.UNFINISHED),
        (0, superblock(b"theirs", 0), Content.OTHER),
        (0, superblock(b"theirs", 1), Content.OTHER),
        (32808, b"config-2", Content.CLOUDS_OWN),
        (4086, b"SWAPSPACE2", Content.CLOUDS_OWN),
        (510, b"\x55\xaa", Content.OTHER),
        (4 * MIB - 4096, b"\x01", Content.OTHER),
    ],
)
def test_a_disk_is_known_by_its_ends(
    tmp_path: Path, at: int, written: bytes, content: Content
) -> None:
    path = tmp_path / "disk"
    with path.open("wb") as file:
        file.truncate(4 * MIB)
        file.seek(at)
        file.write(written)
    found = disks.look(path)
    assert found.content is content
    assert bool(found.uuid) is (content in (Content.VOLUME, Content.UNFINISHED))


def test_a_disk_that_has_just_gone_is_worth_another_look(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="gone cannot be read"):
        disks.look(tmp_path / "gone")


def test_what_is_attached_are_whole_disks() -> None:
    names = [path.name for path in disks.attached()]
    assert not [name for name in names if name.startswith(disks.NOT_DISKS)]
    assert all((Path("/sys/block") / name).is_dir() for name in names)
