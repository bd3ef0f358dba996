"""A real, small OpenStack for tests: Debian 12's packages in namespaces of this host.

Keystone, Glance, Placement, Nova, Neutron, Cinder and Swift run with MariaDB, RabbitMQ, memcached
and libvirt in a network namespace that has no way out, and in mount, process, host name and ipc
namespaces of their own, so that they meet nothing else of this host. Nova boots virtual machines
in qemu, which emulates their processors: /dev/kvm is hidden. It needs root, Debian 12, two cores,
5 GiB of memory and a loop device, and neither systemd nor modules of the kernel. All of it is in
$DBAAS_OSBOX_DIR, or in the host's cache.

It is for tests alone: passwords are trivial, nothing is synced to the disk.
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from dbaas.contract import errors
from dbaas.manage.stack import supervisor
from dbaas.manage.stack.supervisor import Supervisor
from tests.openstack.osbox import accounts, lifecycle, namespaces, status
from tests.openstack.osbox.place import HOME

Arguments = argparse.Namespace


def main() -> None:
    arguments = _parser().parse_args()
    if os.geteuid() != 0:
        sys.exit("the box needs root")
    try:
        arguments.does(arguments)
    except errors.Error as error:
        sys.exit(error.text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="osbox", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, tells: str, does: Callable[[Arguments], None]) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=tells, description=tells)
        command.set_defaults(does=does)
        return command

    add("install", "install packages, make a template of the databases", _install)
    add("up", "start everything and wait until it serves", _up)
    add("status", "show every program", _status)
    add("down", "end everything; its state stays", lambda _: lifecycle.down())
    add("reset", "begin a new cloud", _reset)
    add("destroy", "end everything and remove it", lambda _: lifecycle.destroy())
    _words(add("exec", "run a command of the host on the box's network, as admin", _exec))
    other = add("as", "the same, as another user", _as)
    other.add_argument("user", choices=[user.name for user in accounts.PEOPLE])
    _words(other)
    _words(add("enter", "run a command within the box", _enter))
    for name, does in (("start", _start), ("stop", _stop), ("restart", _restart)):
        add(name, f"{name} programs", does).add_argument("names", nargs="+", metavar="NAME")
    log = add("logs", "show the end of a program's log", _logs)
    log.add_argument("name", metavar="NAME")
    log.add_argument("--lines", type=int, default=50, metavar="N")
    return parser


def _words(command: argparse.ArgumentParser) -> None:
    command.add_argument("words", nargs=argparse.REMAINDER, metavar="COMMAND")


def _install(_: Arguments) -> None:
    lifecycle.install(_saying())


def _up(_: Arguments) -> None:
    lifecycle.up(_saying())


def _reset(_: Arguments) -> None:
    lifecycle.reset(_saying())


def _saying() -> Callable[[str], None]:
    """Return what tells something, and how many seconds after now that is."""
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"[{time.monotonic() - began:6.1f} s] {text}\n")
        sys.stdout.flush()

    return say


def _status(_: Arguments) -> None:
    namespaces.expect_up()
    if not namespaces.do_inside(status.show):
        sys.exit(1)


def _exec(arguments: Arguments) -> None:
    _become_user(accounts.ADMIN, arguments.words)


def _as(arguments: Arguments) -> None:
    _become_user(accounts.named(arguments.user), arguments.words)


def _become_user(user: accounts.User, words: Sequence[str]) -> None:
    kept = {key: value for key, value in os.environ.items() if not _is_misleading(key)}
    namespaces.become_outside([*words] or ["bash"], kept | user.variables())


def _is_misleading(variable: str) -> bool:
    """Tell whether it would lead elsewhere: there is no proxy, and no other cloud, in the box."""
    return variable.startswith("OS_") or variable.lower().endswith("_proxy")


def _enter(arguments: Arguments) -> None:
    namespaces.become(*(arguments.words or ["bash"]))


def _start(arguments: Arguments) -> None:
    for name in arguments.names:
        Supervisor(HOME).start(name)


def _stop(arguments: Arguments) -> None:
    Supervisor(HOME).stop(arguments.names, lifecycle.STOP_SECONDS)


def _restart(arguments: Arguments) -> None:
    _stop(arguments)
    _start(arguments)


def _logs(arguments: Arguments) -> None:
    text = supervisor.log_file(HOME.logs, arguments.name).read_text(errors="replace")
    sys.stdout.write("\n".join(text.splitlines()[-arguments.lines :]) + "\n")
