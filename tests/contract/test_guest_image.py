"""The guest image, without what takes minutes: its disk, from a small root, and its upload."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dbaas.cloud.openstack import disk, guestimage
from dbaas.host import commands
from dbaas.manage.main import app
from tests.fakes.openstack import cloud as fakes
from tests.fakes.openstack.cloud import FakeOpenStack

TAGS = ["dbaas", "mariadb"]


@pytest.fixture
def services() -> Iterator[FakeOpenStack]:
    with fakes.running() as made:
        yield made


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """What a build leaves, as far as an upload looks at it."""
    path = tmp_path / "guest.qcow2"
    path.write_bytes(guestimage.QCOW2 + bytes(20) + (4 << 30).to_bytes(8, "big") + b"data")
    for ending in ("kernel", "initrd", "options"):
        path.with_suffix(f".{ending}").write_text(f"the {ending}")
    return path


def manage(services: FakeOpenStack, home: Path, *arguments: str) -> tuple[int, str]:
    settings = home / "dbaas.conf"
    settings.write_text(
        fakes.SETTINGS % services.url
        + "[catalog]\nconnection = mysql+pymysql://nobody@127.0.0.1:9/nothing\n"
    )
    done = CliRunner().invoke(
        app, ["--config-file", str(settings), "image", *arguments], catch_exceptions=False
    )
    return done.exit_code, done.output.strip()


def test_an_upload_is_found_by_its_tags(
    services: FakeOpenStack, image: Path, tmp_path: Path
) -> None:
    status, said = manage(services, tmp_path, "upload", str(image), *_tagged(TAGS))
    assert status == 0, said
    assert services.cloud(tmp_path).compute.find_image("", TAGS) == said
    made = services.glance.images[-1]
    assert (made["id"], made["min_disk"], made["disk_format"]) == (said, 4, "qcow2")
    assert made["os_shutdown_timeout"] == "120"
    assert "kernel_id" not in made
    assert services.glance.contents[said] == image.read_bytes()


def test_servers_may_start_without_a_boot_loader(
    services: FakeOpenStack, image: Path, tmp_path: Path
) -> None:
    status, said = manage(services, tmp_path, "upload", str(image), *_tagged(TAGS), "--direct")
    assert status == 0, said
    made = services.glance.images[-1]
    contents = services.glance.contents
    assert contents[made["kernel_id"]] == b"the kernel"
    assert contents[made["ramdisk_id"]] == b"the initrd"
    assert made["os_command_line"] == "the options"
    assert services.cloud(tmp_path).compute.find_image("", TAGS) == said


@pytest.mark.parametrize("times", [1, 2, 3])
def test_nothing_stays_of_an_upload_that_fails(
    services: FakeOpenStack, image: Path, tmp_path: Path, times: int
) -> None:
    before = len(services.glance.images)
    fault = fakes.refused("image", "PUT", "/file$", 413)
    fault.spared = times - 1
    services.meet(fault)
    status, said = manage(services, tmp_path, "upload", str(image), *_tagged(TAGS), "--direct")
    assert status == 2
    assert "image service" in said
    assert len(services.glance.images) == before


def test_what_is_no_image_is_not_uploaded(
    services: FakeOpenStack, image: Path, tmp_path: Path
) -> None:
    image.write_text("text")
    status, said = manage(services, tmp_path, "upload", str(image), "--tag", "dbaas")
    assert (status, len(services.glance.images)) == (2, 3)
    assert "is no qcow2 image" in said


def _tagged(tags: list[str]) -> list[str]:
    return [word for tag in tags for word in ("--tag", tag)]


@pytest.mark.skipif(os.geteuid() != 0, reason="disks are made by root")
def test_a_disk_holds_its_layers_behind_the_boot_loader(tmp_path: Path) -> None:
    root, agent = tmp_path / "root", tmp_path / "agent"
    (root / "boot/grub").mkdir(parents=True)
    (root / "boot/grub/boot.img").write_bytes(b"B" * 512)
    (root / "boot/grub/core.img").write_bytes(b"C" * 2000)
    (root / "which").write_text("below\n")
    (root / "own").write_text("mysql's\n")
    os.chown(root / "own", 330, 330)
    agent.mkdir()
    (agent / "which").write_text("above\n")
    made = tmp_path / "guest.qcow2"
    disk.make([agent, root], made, 1)
    assert guestimage.disk_size(made) == 1 << 30
    raw, part = tmp_path / "raw", tmp_path / "part"
    commands.run(["qemu-img", "convert", "-O", "raw", str(made), str(raw)], timeout=60)
    with raw.open("rb") as whole, part.open("wb") as partition:
        front = whole.read(disk.FIRST * disk.SECTOR)
        shutil.copyfileobj(whole, partition, 1 << 20)
    assert front[:64] == b"B" * 64
    assert front[512:1000] == b"C" * 488
    assert _inside(part, "cat /which") == "above"
    assert "User:   330   Group:   330" in _inside(part, "stat /own")
    assert (
        commands.run(["blkid", "-o", "value", "-s", "LABEL", str(part)], timeout=10) == "dbaas-root"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "agent", "guest.qcow2", "part", "raw", "root",
    ]  # fmt: skip


def _inside(part: Path, request: str) -> str:
    return commands.run(["debugfs", "-R", request, str(part)], timeout=30)
