"""The storages that a real Swift is: by its own interface, and by S3's."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dbaas.common.certificates import Authority
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
def over_tls(directory: Path, name: str, authority: Authority) -> Iterator[Storage]:
    """Have one or the other, `swift` or `s3`, behind a certificate that this authority signed."""
    with _running(directory, name, authority) as storage:
        yield storage


@contextmanager
def _running(directory: Path, name: str, authority: Authority | None = None) -> Iterator[Storage]:
    with services.running(directory, authority=authority) as service:
        group = f"storage_{name}"
        options = {**service.configured()[group], "request_timeout": "20"}
        lines = [f"[backups]\nstorage = {name}", f"[{group}]"]
        lines += [f"{option} = {value}" for option, value in options.items()]
        settings = "\n".join(lines)
        yield Storage(storages.load(directory, settings)[1], service.stop, settings)
