"""The storages that a real Swift is: by its own interface, and by S3's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.contract import storages
from tests.contract.storages import Storage
from tests.functional import swift as services


@contextmanager
def swift(directory: Path) -> Iterator[Storage]:
    with _running(directory, "swift") as storage:
        yield storage


@contextmanager
def s3(directory: Path) -> Iterator[Storage]:
    with _running(directory, "s3") as storage:
        yield storage


@contextmanager
def _running(directory: Path, name: str) -> Iterator[Storage]:
    with services.running(directory) as service:
        group = f"storage_{name}"
        options = {**service.configured()[group], "request_timeout": "20"}
        lines = [f"[backups]\nstorage = {name}", f"[{group}]"]
        lines += [f"{option} = {value}" for option, value in options.items()]
        vault = storages.load(directory, "\n".join(lines))[1]
        yield Storage(vault, service.stop)
