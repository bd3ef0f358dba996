"""The namespaces of the box: making them, coming into them, ending all that is in them."""

import multiprocessing
import os
import select
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from dbaas.cloud.local import kernel
from dbaas.contract import errors
from dbaas.host import commands
from dbaas.manage.stack import supervisor
from dbaas.manage.stack.supervisor import Supervisor
from tests.openstack.osbox import place
from tests.openstack.osbox.place import HOME

NETWORK = Path("/run/netns") / place.NAMESPACE

_SECONDS = 30.0
_ENTERED = (
    ("net", kernel.CLONE_NEWNET),
    ("uts", kernel.CLONE_NEWUTS),
    ("ipc", kernel.CLONE_NEWIPC),
    ("mnt", kernel.CLONE_NEWNS),
)


def first_process() -> int | None:
    """Return the number, here, of what is process 1 in the box; None when the box is down."""
    try:
        pid = int(_pid_file().read_text())
        theirs = Path(f"/proc/{pid}/ns/net").stat().st_ino
        return pid if theirs == NETWORK.stat().st_ino else None
    except FileNotFoundError:
        return None


def expect_up() -> int:
    pid = first_process()
    if pid is None:
        raise errors.Conflict("the box is down: `up` starts it")
    return pid


def make() -> None:
    """Make the namespaces, and start the supervisor in them as process 1."""
    if not NETWORK.exists():
        commands.run(["ip", "netns", "add", place.NAMESPACE], timeout=_SECONDS)
    HOME.supervisor_socket.unlink(missing_ok=True)
    log = HOME.logs / "first.log"
    with log.open("ab") as output:
        subprocess.run(
            [sys.executable, "-m", "tests.openstack.osbox.first", str(NETWORK), str(_pid_file())],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=place.environment() | {place.VARIABLE: str(HOME.directory)},
            cwd=place.CHECKOUT,
            check=True,
        )
    try:
        supervisor.wait_until(Supervisor(HOME).answers, _SECONDS, "the first process")
    except errors.Unavailable as error:
        raise errors.Failed(f"{error.text}:\n{log.read_text()[-2000:]}") from error


def do_inside(work: Callable[[], None]) -> bool:
    """Do it in a child process that is in the box; return whether it succeeded, which that tells.

    It may raise `errors.Error`, or SystemExit.
    """

    def enter_and_do() -> None:
        _enter()
        try:
            work()
        except errors.Error as error:
            sys.exit(error.text)

    child = multiprocessing.get_context("fork").Process(target=enter_and_do)
    child.start()
    child.join()
    return child.exitcode == 0


def _enter() -> None:
    """Bring this process into the box, but for process numbers; it must have but one thread."""
    pid = expect_up()
    handles = [
        (os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC), kind)
        for name, kind in _ENTERED
    ]
    for handle, kind in handles:
        kernel.setns(handle, kind)
        os.close(handle)


def become(*command: str) -> None:
    """Become this program, in all namespaces of the box."""
    into = ("nsenter", "--target", str(expect_up()), "--net", "--mount", "--pid", "--uts", "--ipc")
    os.execvpe(into[0], [*into, "--", *command], place.environment())


def become_outside(command: list[str], environment: dict[str, str]) -> None:
    """Become this program of the host, on the box's network."""
    expect_up()
    handle = os.open(NETWORK, os.O_RDONLY | os.O_CLOEXEC)
    kernel.setns(handle, kernel.CLONE_NEWNET)
    os.execvpe(command[0], command, environment)


def remove() -> None:
    """End everything in the box: the kernel does, when process 1 is killed."""
    pid = first_process()
    if pid is not None:
        handle = os.pidfd_open(pid)
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        ended, _, _ = select.select([handle], [], [], _SECONDS)
        os.close(handle)
        if not ended:
            raise errors.Unavailable("the processes of the box do not end")
    _pid_file().unlink(missing_ok=True)
    if NETWORK.exists():
        commands.run(["ip", "netns", "delete", place.NAMESPACE], timeout=_SECONDS)


def _pid_file() -> Path:
    return HOME.run / "first.pid"
