"""A guest for engines only: the real root filesystem in namespaces of its own, and nothing else.

The whole of it (mounts, network, processes, memory-backed disks) goes when its first process does.
"""

import contextlib
import json
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dbaas.cloud.local import image
from dbaas.cloud.rootfs import layer, recipe
from dbaas.contract import codec, errors
from dbaas.contract.interfaces import GUEST_VERBS

CHECKOUT = Path(__file__).parents[2]

SETUP = """
set -e
root=$1 checkout=$2 metadata=$3 size=$4
shift 4
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/guest
mount -t overlay overlay -o "lowerdir=$root,upperdir=/mnt/upper,workdir=/mnt/work" /mnt/guest
mount -t proc proc /mnt/guest/proc
mount --rbind /dev /mnt/guest/dev
mkdir -p /mnt/guest/opt/checkout /mnt/guest/opt/metadata /mnt/guest/var/lib/dbaas/volume
mount -o bind,ro "$checkout" /mnt/guest/opt/checkout
mount -o bind,ro "$metadata" /mnt/guest/opt/metadata
mount -t tmpfs -o "size=$size" tmpfs /mnt/guest/var/lib/dbaas/volume
ip link set lo up
cd /
exec chroot /mnt/guest env PYTHONDONTWRITEBYTECODE=1 PYTHONPATH=/opt/checkout:/opt/metadata \
    tini -- python3 -m tests.contract.engine_driver "$@"
"""


class Guest:
    """Calls the driver inside."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    @property
    def network(self) -> Path:
        """Its network namespace, which others may enter once it has answered."""
        return Path(f"/proc/{self._process.pid}/ns/net")

    def call(self, method: str, *arguments: Any, **named: Any) -> Any:
        """Return what the driver's method does, or raise its error; `Refused` is the database's."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps([method, arguments, named]) + "\n")
        self._process.stdin.flush()
        line = self._process.stdout.readline()
        assert line, "the guest has ended"
        answer = json.loads(line)
        if "error" in answer:
            kind, text = answer["error"]
            raise errors.BY_NAME.get(kind, Refused)(text)
        return answer["ok"]

    def order(self, name: str, *order: Any) -> Any:
        """Return what the agent inside answers to a verb, or raise its error."""
        answer = self.call("order", name, *(codec.dump(each) for each in order))
        return codec.load_any(GUEST_VERBS[name].gives, answer)

    def begin(self, command: str, name: str, *order: Any) -> None:
        """Have the agent inside begin to carry out a verb."""
        self.call("begin", command, name, *(codec.dump(each) for each in order))

    def end(self, command: str, name: str, *, cancelled: bool = False) -> Any:
        """Return what it answered, once it has, or raise its error."""
        return codec.load_any(GUEST_VERBS[name].gives, self.call("end", command, cancelled))

    def tenant(self, name: str, *order: Any, **attempt: bool) -> Any:
        """Return what a verb of the tenancy answers, or raise its error."""
        answer, _ = self.call("tenant", name, *(codec.dump(each) for each in order), **attempt)
        return codec.load_any(GUEST_VERBS[name].gives, answer)

    def query(self, user: str, password: str, *statements: str, **more: Any) -> Any:
        """Run statements as a tenant's user; `more`: database, source (an address)."""
        return self.call(
            "query", user, password, statements, False, more.get("database"), more.get("source")
        )


class Refused(Exception):
    """The database server has refused what a tenant wanted."""


@contextlib.contextmanager
def running(engine: str, series: str, size: str = "1g") -> Iterator[Guest]:
    """Start such a guest; skips the test where the image has no such server.

    `size`: of its volume, which is in memory.
    """
    root = image.ensure(recipe.default_cache())
    if not (root / f"usr/share/dbaas/templates/{engine}-{series}").is_dir():
        pytest.skip(f"the guests' image has no {engine} {series}: some hosts have")
    with tempfile.TemporaryDirectory() as metadata:
        _describe(Path(metadata))
        process = subprocess.Popen(
            ["unshare", "--mount", "--net", "--pid", "--fork", "--kill-child",
             "sh", "-c", SETUP, "guest", str(root), str(CHECKOUT), metadata, size, engine, series],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )  # fmt: skip
        try:
            yield Guest(process)
        finally:
            process.kill()
            process.communicate()


def _describe(directory: Path) -> None:
    """Write what makes strategies be found by name, as an agent's layer has it."""
    for name, content in layer.contents():
        if ".dist-info/" in name:
            path = directory / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
