"""The guest agent as a layer over the root file system, made from this checkout.

Layers are named by what they hold, so a change of the agent is another layer and needs no other
image. Its modules are compiled by the Python that will run them: that saves a guest's start half a
second.

`python -m dbaas.cloud.rootfs.layer DIRECTORY` writes it there, not compiled.
"""

import hashlib
import shutil
import sys
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

from dbaas.host import commands, files

CHECKOUT = Path(__file__).parents[3]

PARTS = (
    "dbaas/__init__.py",
    "dbaas/contract",
    "dbaas/host",
    "dbaas/engines",
    "dbaas/strategies",
    "dbaas/rpc/__init__.py",
    "dbaas/rpc/envelope.py",
    "dbaas/rpc/guests.py",
    "dbaas/guestagent",
)
"""All that the agent may import: what is not here is not in a guest."""

WITHOUT = "dbaas/strategies/grants"
"""The control plane's half of storage."""

GUEST_GROUPS = ("dbaas.engines", "dbaas.strategies.")
CONTROL_GROUP = "dbaas.strategies.grants"
"""The entry points that mean something in a guest, and those of them that do not."""

INIT = Path(__file__).with_name("init.sh")

AT = Path("opt/dbaas")
"""Where the layer puts it in a guest."""

COMPILE_TIMEOUT = 120.0


def ensure(state_dir: Path, rootfs: Path) -> Path:
    """Return the layer of this checkout for this root file system, made now if it is not there."""
    holds = dict(contents())
    layers = state_dir / "layers"
    layer = layers / digest(holds, rootfs.name)
    if layer.is_dir():
        return layer
    layers.mkdir(parents=True, exist_ok=True)
    with files.lock(layers / "lock"):
        if not layer.is_dir():
            _make(layer, holds, rootfs)
    return layer


def digest(holds: dict[str, bytes], rootfs: str) -> str:
    total = hashlib.sha256(rootfs.encode())
    for path, content in sorted(holds.items()):
        total.update(f"{path} {len(content)}\n".encode() + content)
    return total.hexdigest()[:16]


def prune(state_dir: Path, kept: Path) -> None:
    """Remove every layer but one; no guest runs."""
    for layer in (state_dir / "layers").glob("*"):
        if layer.is_dir() and layer != kept:
            shutil.rmtree(layer, ignore_errors=True)


def contents() -> Iterator[tuple[str, bytes]]:
    """Yield each file of the layer by its path in `AT`."""
    for part in PARTS:
        path = CHECKOUT / part
        for file in sorted(path.rglob("*.py")) if path.is_dir() else [path]:
            relative = file.relative_to(CHECKOUT).as_posix()
            if file.is_file() and not relative.startswith(WITHOUT):
                yield relative, file.read_bytes()
    yield "init", INIT.read_bytes()
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    metadata = f"dbaas-{project['version']}.dist-info"
    yield f"{metadata}/METADATA", _metadata(project["name"], project["version"])
    yield f"{metadata}/entry_points.txt", entry_points(project.get("entry-points", {}))


def _metadata(name: str, version: str) -> bytes:
    return f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n".encode()


def entry_points(groups: dict[str, dict[str, str]]) -> bytes:
    """Return what makes engines and strategies be found by name in a guest too."""
    lines: list[str] = []
    for group, points in sorted(groups.items()):
        if not group.startswith(GUEST_GROUPS) or group == CONTROL_GROUP:
            continue
        lines.append(f"[{group}]")
        lines += [f"{name} = {target}" for name, target in sorted(points.items())]
    return "\n".join([*lines, ""]).encode()


def _make(layer: Path, holds: dict[str, bytes], rootfs: Path) -> None:
    fresh = layer.with_name(layer.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    write(fresh, holds)
    _compile(fresh, rootfs)
    fresh.rename(layer)


def write(target: Path, holds: Mapping[str, bytes]) -> None:
    """Write the layer's files below a directory that stands for a guest's root."""
    for relative, content in holds.items():
        path = target / AT / relative
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _compile(layer: Path, rootfs: Path) -> None:
    """Compile in the root file system, with the layer bound into it where nobody else sees it."""
    inside = rootfs / AT
    bind = f'mount --bind "$1" "{inside}" && shift && exec chroot "{rootfs}" "$@"'
    compiler = ["python3", "-m", "compileall", "-q", "--invalidation-mode", "unchecked-hash"]
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", bind, "sh"]
    commands.run([*private, str(layer / AT), *compiler, f"/{AT}"], timeout=COMPILE_TIMEOUT)


if __name__ == "__main__":
    write(Path(sys.argv[1]), dict(contents()))
