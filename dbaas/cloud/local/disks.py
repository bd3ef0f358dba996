"""A server's own root: what it changes, over the root file system that it was made with."""

import os
import shutil
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbaas.cloud.local import image
from dbaas.cloud.local.settings import Settings
from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.host import files


def make(
    settings: Settings, name: str, record: Mapping[str, Any], contents: Mapping[str, Secret]
) -> None:
    """Make the server's directory, with the files that it finds when it starts first."""
    directory = settings.server_dir(name)
    shutil.rmtree(directory, ignore_errors=True)
    for part in ("upper", "work", "root"):
        (directory / part).mkdir(parents=True)
    directory.chmod(0o700)
    upper, lower = directory / "upper", rootfs(settings, record)
    hostname = record["hostname"]
    hosts = "".join(f"{address}\t{hostname}\n" for address in record["addresses"])
    _put(upper, lower, "/etc/hostname", f"{hostname}\n", 0o644)
    _put(upper, lower, "/etc/hosts", f"127.0.0.1\tlocalhost\n{hosts}", 0o644)
    for path, content in contents.items():
        _put(upper, lower, path, content.reveal(), 0o600)


def _put(upper: Path, lower: Path, path: str, content: str, mode: int) -> None:
    """Write a file into the upper layer; a folder that is in the lower one keeps owner and mode."""
    relative = Path(path).relative_to("/")
    for folder in reversed(relative.parents[:-1]):
        if not (upper / folder).is_dir():
            (upper / folder).mkdir()
            if (lower / folder).is_dir() and not (lower / folder).is_symlink():
                same = (lower / folder).stat()
                os.chown(upper / folder, same.st_uid, same.st_gid)
                (upper / folder).chmod(stat.S_IMODE(same.st_mode))
    files.write(upper / relative, content, mode=mode)


def rootfs(settings: Settings, record: Mapping[str, Any]) -> Path:
    """Return the root file system that the server was made with, or else this checkout's."""
    first = settings.cache_dir / record["rootfs"]
    found = first if first.is_dir() else image.location(settings.cache_dir)
    if not found.is_dir():
        raise errors.Failed("the guests' root filesystem was not made on this host")
    return found
