"""A disk that a test attaches, detaches and extends: a loop device over a file."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbaas.host import commands


class Disk:
    """`attached`: the device files of what is attached now, as an agent would find them."""

    def __init__(self, image: Path, size: int) -> None:
        self._image = image
        image.touch()
        self.resize(size)
        self.attached = [self._attach()]

    @property
    def path(self) -> Path:
        (path,) = self.attached
        return path

    def resize(self, size: int) -> None:
        with self._image.open("r+b") as file:
            file.truncate(size)

    def content(self) -> bytes:
        commands.run(["sync", str(self.path)], timeout=30)
        return self._image.read_bytes()

    @contextmanager
    def detached(self) -> Iterator[None]:
        self.detach()
        yield
        self.attached = [self._attach()]

    @contextmanager
    def cut_off(self, mounted: Path) -> Iterator[None]:
        """Break it off while it is mounted; it comes back as another device."""
        commands.run(["xfs_io", "-x", "-c", "shutdown", str(mounted)], timeout=30)
        yield
        self.detach()
        self.attached = [self._attach()]

    def detach(self) -> None:
        """A device that is still mounted goes with its mount."""
        for path in self.attached:
            commands.run(["losetup", "--detach", str(path)], timeout=30)
        self.attached = []

    def _attach(self) -> Path:
        said = commands.run(["losetup", "--find", "--show", str(self._image)], timeout=30)
        return Path(said)


@contextmanager
def disk(image: Path, size: int) -> Iterator[Disk]:
    made = Disk(image, size)
    try:
        yield made
    finally:
        made.detach()
