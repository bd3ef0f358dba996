from pathlib import Path

import pytest

from dbaas.cloud.openstack import disk, guestimage
from dbaas.cloud.rootfs.recipe import IMAGES
from dbaas.contract import errors
from dbaas.contract.messages import CONTACT_FILE
from dbaas.engines.base import Places
from dbaas.guestagent import service

MACHINE = IMAGES / "machine"
UNITS = MACHINE / "files/etc/systemd/system"


def test_a_kernel_is_told_the_same_with_and_without_the_boot_loader() -> None:
    options = guestimage.kernel_options((IMAGES / "boot/files/boot/grub/grub.cfg").read_text())
    assert options.startswith(f"root=LABEL={disk.LABEL} ")
    with pytest.raises(errors.Failed, match="names no kernel"):
        guestimage.kernel_options("boot\n")


@pytest.mark.parametrize("content", [b"", b"QFI\xfb", b"raw" * 20])
def test_only_a_qcow2_has_a_size(tmp_path: Path, content: bytes) -> None:
    image = tmp_path / "image"
    image.write_bytes(content)
    with pytest.raises(errors.Invalid, match="is no qcow2 image"):
        guestimage.disk_size(image)


def test_an_image_is_copied_with_what_is_beside_it(tmp_path: Path) -> None:
    image = tmp_path / "guest-1.qcow2"
    for ending in ("qcow2", "kernel", "initrd", "options"):
        image.with_suffix(f".{ending}").write_text(ending)
    (tmp_path / "guest-2.qcow2").write_text("another")
    target = tmp_path / "out"
    target.mkdir()
    guestimage.copy(image, target / "mine.qcow2")
    kernel = guestimage.kernel_of(target / "mine.qcow2")
    assert (kernel.kernel.read_text(), kernel.options) == ("kernel", "options")
    assert (target / "mine.qcow2").read_text() == "qcow2"
    assert len(list(target.iterdir())) == 4


def test_an_image_alone_says_what_is_missing(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match=r"guest.kernel is not there"):
        guestimage.kernel_of(tmp_path / "guest.qcow2")


def test_the_agents_units_agree_with_the_agent() -> None:
    agent = (UNITS / "dbaas-guestagent.service").read_text()
    (command,) = (line for line in agent.splitlines() if line.startswith("ExecStart="))
    assert service._given(command.split()[3:]).find_volume
    contact = (UNITS / "dbaas-contact.service").read_text()
    assert f"ConditionPathExists=!{service.STATE}/identity.json" in contact
    assert Path(CONTACT_FILE).parent == Places().configuration.parent


def test_each_unit_that_is_there_is_started_and_no_other() -> None:
    preset = (MACHINE / "files/etc/systemd/system-preset/00-dbaas.preset").read_text()
    started = [line.split()[1] for line in preset.splitlines() if line.startswith("enable ")]
    assert {unit.name for unit in UNITS.glob("*.service")} <= set(started)
    assert preset.splitlines()[-1] == "disable *"
    masked = (MACHINE / "masked").read_text().split()
    assert not set(started) & set(masked)
