"""The root file system of this host's guests.

`python -m dbaas.cloud.local.image` makes it when it is not there, and prints where it is.
"""

import argparse
import os
import sys
from pathlib import Path

from dbaas.cloud.rootfs import recipe
from dbaas.cloud.rootfs.recipe import NAMESPACES, Progress
from dbaas.contract import errors


def location(cache: Path) -> Path:
    """Return where the root file system of this checkout's recipe is, or will be."""
    return recipe.location(cache, NAMESPACES)


def ensure(cache: Path, progress: Progress = lambda _: None) -> Path:
    """Return the root file system, made now if it is not there; raise `Failed`."""
    return recipe.ensure(cache, NAMESPACES, progress)


def main() -> int:
    parser = argparse.ArgumentParser(prog="dbaas.cloud.local.image", description=__doc__)
    parser.add_argument("--cache", type=Path, default=recipe.default_cache())
    cache = parser.parse_args().cache
    try:
        root = ensure(cache, lambda line: _say(sys.stderr.fileno(), line))
    except errors.Error as error:
        _say(sys.stderr.fileno(), error.text)
        return 1
    _say(sys.stdout.fileno(), str(root))
    return 0


def _say(handle: int, line: str) -> None:
    os.write(handle, f"{line}\n".encode())


if __name__ == "__main__":
    sys.exit(main())
