"""A RabbitMQ server of the tests' own: loopback only, own directory, own port mapper, one node.

Like the deployment's, it has a plain listener for the control plane, one with TLS for guests, and
the management API. It is stopped by process id, and nothing of it stays.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import requests

from dbaas.common import certificates

USER, PASSWORD = "control", "secret"
VHOST = "guest"

_PROGRAM = "/usr/lib/rabbitmq/bin/rabbitmq-server"


@dataclass(frozen=True)
class BusServer:
    """A running server; ports are on 127.0.0.1, its only user is an administrator."""

    port: int
    guest_port: int
    management_port: int
    authority: str
    pid: int

    @property
    def url(self) -> str:
        return f"amqp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{VHOST}"

    @property
    def control_url(self) -> str:
        return f"rabbit://{USER}:{PASSWORD}@127.0.0.1:{self.port}/ctl"

    @property
    def management_url(self) -> str:
        return f"http://{USER}:{PASSWORD}@127.0.0.1:{self.management_port}"

    def delete_vhost(self) -> None:
        """Lose everything that guests have, but their users."""
        self._call("DELETE", f"vhosts/{VHOST}")

    def delete_user(self, name: str) -> None:
        self._call("DELETE", f"users/{name}")

    def _call(self, method: str, path: str) -> None:
        answer = requests.request(
            method,
            f"http://127.0.0.1:{self.management_port}/api/{path}",
            auth=(USER, PASSWORD),
            timeout=10,
        )
        answer.raise_for_status()


@contextlib.contextmanager
def running() -> Iterator[BusServer]:
    """Start a server, give it, and stop it."""
    home = Path(tempfile.mkdtemp(prefix="dbaas-bus-"))
    names, distribution, plain, secure, management = _free_ports(5)
    authority = certificates.create_authority("tests")
    _configure(home, authority, plain, secure, management)
    environment = _environment(home, names, distribution)
    started: list[subprocess.Popen[bytes]] = []
    try:
        with (home / "log").open("wb") as log:
            for command in (
                ["epmd", "-address", "127.0.0.1", "-port", str(names), "-relaxed_command_check"],
                [_PROGRAM],
            ):
                started.append(
                    subprocess.Popen(
                        command,
                        env=environment,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        start_new_session=True,
                    )
                )
        _wait_until_it_answers(management, secure, started[-1], home / "log")
        yield BusServer(plain, secure, management, authority.cert_pem, started[-1].pid)
    finally:
        for process in reversed(started):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


def _configure(
    home: Path, authority: certificates.Authority, plain: int, secure: int, management: int
) -> None:
    issued = certificates.issue(authority, "broker", ["127.0.0.1"], ["localhost"], 1)
    (home / "ca.crt").write_text(authority.cert_pem)
    (home / "server.crt").write_text(issued.cert_pem)
    (home / "server.key").write_text(issued.key_pem.reveal())
    (home / "plugins").write_text("[rabbitmq_management].\n")
    (home / "inetrc").write_text('{lookup, [file]}.\n{host, {127,0,0,1}, ["localhost"]}.\n')
    (home / "rabbitmq.conf").write_text(
        f"""\
listeners.tcp.1 = 127.0.0.1:{plain}
listeners.ssl.1 = 127.0.0.1:{secure}
ssl_options.cacertfile = {home / "ca.crt"}
ssl_options.certfile = {home / "server.crt"}
ssl_options.keyfile = {home / "server.key"}
ssl_options.verify = verify_none
management.tcp.ip = 127.0.0.1
management.tcp.port = {management}
max_message_size = 1048576
default_user = {USER}
default_pass = {PASSWORD}
default_vhost = ctl
log.console = true
log.file = false
"""
    )


def _environment(home: Path, names: int, distribution: int) -> dict[str, str]:
    return {
        "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "LANG": "C.UTF-8",
        # The start script becomes the server, instead of waiting for it; it does so for systemd.
        "RUNNING_UNDER_SYSTEMD": "true",
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "ERL_EPMD_PORT": str(names),
        "ERL_INETRC": str(home / "inetrc"),
        "RABBITMQ_NODENAME": f"tests-{names}@localhost",
        "RABBITMQ_DIST_PORT": str(distribution),
        "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "plugins"),
        "RABBITMQ_GENERATED_CONFIG_DIR": str(home / "generated"),
        "RABBITMQ_MNESIA_BASE": str(home / "data"),
        "RABBITMQ_LOG_BASE": str(home / "logs"),
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+sbwt none +sbwtdcpu none +sbwtdio none "
        "-kernel inet_dist_use_interface {127,0,0,1}",
    }


def _wait_until_it_answers(
    management: int, secure: int, process: subprocess.Popen[bytes], log: Path
) -> None:
    url = f"http://127.0.0.1:{management}/api/health/checks/port-listener/{secure}"
    for _ in range(600):
        with contextlib.suppress(requests.RequestException):
            if requests.get(url, auth=(USER, PASSWORD), timeout=5).ok:
                return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"RabbitMQ did not start:\n{log.read_text()[-3000:]}")


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [
            stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [listener.getsockname()[1] for listener in listeners]
