"""The image that guests are booted from: the recipe for machines, and this checkout's agent.

Beside the qcow2, under its name with other endings, are the kernel and the initial file system that
are in it, and what the kernel is told: a cloud may boot a server with those directly.
"""

import hashlib
import shutil
import struct
from dataclasses import dataclass
from pathlib import Path

from dbaas.cloud.openstack import disk
from dbaas.cloud.rootfs import layer, recipe
from dbaas.cloud.rootfs.recipe import Progress, Recipe
from dbaas.contract import errors
from dbaas.host import files

SIZE_GIB = 4
"""Of the disk: the data is elsewhere, and what the disk of a flavor has more stays unused."""

QCOW2 = b"QFI\xfb"


@dataclass(frozen=True)
class Kernel:
    """What a server is booted with directly."""

    kernel: Path
    initrd: Path
    options: str


def ensure(cache: Path, wanted: Recipe, progress: Progress, size_gib: int = SIZE_GIB) -> Path:
    """Return the image, made now if it is not there; raise `Failed`, saying what the host lacks."""
    if missing := [tool for tool in disk.TOOLS if shutil.which(tool) is None]:
        raise errors.Failed(f"these programs are missing here: {', '.join(missing)}")
    root = recipe.ensure(cache, wanted, progress)
    agent = layer.ensure(cache, root)
    image = cache / f"guest-{_digest(root.name, agent.name, size_gib)}.qcow2"
    with files.lock(cache / "guest.lock"):
        if not image.exists():
            progress("writing the disk")
            _make(image, root, agent, size_gib)
    return image


def kernel_of(image: Path) -> Kernel:
    """Return what is beside the image; raise `NotFound` where it is alone."""
    kernel, initrd, options = (
        image.with_suffix(f".{it}") for it in ("kernel", "initrd", "options")
    )
    for path in (kernel, initrd, options):
        if not path.is_file():
            raise errors.NotFound(f"{path} is not there: copy it with the image, or build it here")
    return Kernel(kernel, initrd, options.read_text())


def disk_size(image: Path) -> int:
    """Return how large a disk the image needs, in bytes; raise `Invalid` for what is no qcow2.

    QEMU, "Qcow2 Image File Format": the header begins with the magic, and has the size at byte 24.
    """
    with image.open("rb") as file:
        header = file.read(32)
    if len(header) < 32 or header[:4] != QCOW2:
        raise errors.Invalid(f"{image} is no qcow2 image")
    (size,) = struct.unpack_from(">Q", header, 24)
    return int(size)


def copy(image: Path, target: Path) -> None:
    """Copy the image and what is beside it; the image itself comes last."""
    for path in sorted(image.parent.glob(f"{image.stem}.*"), key=lambda path: path == image):
        shutil.copyfile(path, target.with_suffix(path.suffix))


def _make(image: Path, root: Path, agent: Path, size_gib: int) -> None:
    fresh = image.with_name(image.name + ".new")
    disk.make([agent, root], fresh, size_gib)
    shutil.copyfile(root / "boot/vmlinuz", image.with_suffix(".kernel"))
    shutil.copyfile(root / "boot/initrd.img", image.with_suffix(".initrd"))
    grub = (root / "boot/grub/grub.cfg").read_text()
    image.with_suffix(".options").write_text(kernel_options(grub))
    fresh.rename(image)


def kernel_options(grub: str) -> str:
    """Return what the boot loader's configuration has the kernel told."""
    for line in grub.splitlines():
        command, *words = line.split()
        if command == "linux":
            return " ".join(words[1:])
    raise errors.Failed("the boot loader's configuration names no kernel")


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
