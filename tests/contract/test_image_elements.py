"""diskimage-builder's element makes of an image what the recipe makes: from the same files.

Its scripts are run in diskimage-builder's order on a root with nothing in it, beside the recipe's;
programs that would need a real root are played by ones that write down that they were called.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

from dbaas.cloud.rootfs import layer, recipe
from dbaas.cloud.rootfs.recipe import IMAGES, MACHINE, Recipe
from dbaas.host import commands

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="accounts and namespaces need root")

ELEMENT = IMAGES / "elements/dbaas-guest"
SYSTEM = Recipe("machine", MACHINE.folders[:2])
"""All of the recipe but kernel and boot loader, which are diskimage-builder's own here."""

PLAYED = """#!/bin/sh
program=$(basename "$0")
[ "$program" != chroot ] || shift
echo "$program $*" >>"$CALLS"
"""


@pytest.fixture
def calls(tmp_path: Path) -> Path:
    """Where the played programs write; they are in `bin` beside it."""
    (tmp_path / "bin").mkdir()
    for program in ("chroot", "install-packages", "mount"):
        (tmp_path / "bin" / program).write_text(PLAYED)
        (tmp_path / "bin" / program).chmod(0o755)
    return tmp_path / "calls"


def run(calls: Path, script: Path, *arguments: str, **variables: str) -> None:
    path = f"{calls.parent / 'bin'}:{os.environ['PATH']}"
    commands.run(
        [str(script), *arguments],
        timeout=30,
        env={"PATH": path, "CALLS": str(calls), **variables},
    )


def root(at: Path) -> Path:
    for folder in ("dev", "etc/systemd/system", "proc", "tmp", "var/log", "boot"):
        (at / folder).mkdir(parents=True)
    for table in ("passwd", "group", "shadow"):
        (at / "etc" / table).touch()
    return at


def tree(at: Path) -> dict[str, str]:
    """Return what is there, by path: content, or where a link leads."""
    return {
        str(path.relative_to(at)): f"-> {path.readlink()}"
        if path.is_symlink()
        else path.read_text()
        for path in sorted(at.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def phase(calls: Path, hooks: Path, name: str, target: Path) -> None:
    """Run the element's scripts of one phase, from where they are copied for that."""
    shutil.copytree(ELEMENT / f"{name}.d", hooks / f"{name}.d")
    for script in sorted((hooks / f"{name}.d").iterdir()):
        run(
            calls,
            script,
            TMP_HOOKS_PATH=str(hooks),
            TARGET_ROOT=str(target),
            ELEMENTS_PATH=f"/usr/share/elements:{ELEMENT.parent}",
        )


def test_the_element_installs_and_writes_what_the_recipe_does(tmp_path: Path, calls: Path) -> None:
    hooks, theirs, ours = tmp_path / "hooks", root(tmp_path / "theirs"), root(tmp_path / "ours")
    hooks.mkdir()
    phase(calls, hooks, "extra-data", theirs)
    phase(calls, hooks, "install", theirs)
    phase(calls, hooks, "cleanup", theirs)
    installed, _, built = calls.read_text().partition("\n")
    assert installed.split() == ["install-packages", *SYSTEM.packages]
    calls.unlink()
    for script in SYSTEM.scripts("customize.sh"):
        run(calls, script, str(ours))
    layer.write(ours, dict(layer.contents()))
    assert tree(theirs) == tree(ours)
    began, *done = [line for line in built.splitlines() if "compileall" not in line]
    assert began.startswith("mount -t proc")
    assert done == calls.read_text().splitlines()


def test_accounts_are_there_before_packages_are(tmp_path: Path) -> None:
    """Inside an image the scripts act on `/`: the script's text must be the recipe's call."""
    text = (ELEMENT / "pre-install.d/50-dbaas-guest").read_text()
    (called,) = re.findall(r"dbaas-guest/(\S+)\" /$", text, re.MULTILINE)
    assert [IMAGES / called] == SYSTEM.scripts("essential.sh")


def test_the_element_is_for_the_recipes_release() -> None:
    text = (ELEMENT / "environment.d/50-dbaas-guest.bash").read_text()
    assert f"DIB_RELEASE:-{recipe.SUITE}" in text
    scripts = list(ELEMENT.rglob("50-dbaas-guest"))
    assert all(path.stat().st_mode & 0o111 for path in scripts)
