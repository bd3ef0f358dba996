"""What a service of the box is: a program of the supervisor's, and how one sees that it serves."""

import http.client
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from dbaas.manage.stack.programs import Program
from tests.openstack.osbox import place
from tests.openstack.osbox.addresses import LOOPBACK

ANSWER_SECONDS = 20.0
EAGER = ("nice", "-n", "-5")
"""For those that the others wait for when the box starts."""


@dataclass(frozen=True)
class Service:
    """`serves` may raise OSError or `http.client.HTTPException` instead of returning False."""

    program: Program
    serves: Callable[[], bool]

    @property
    def name(self) -> str:
        return self.program.name


def service(
    name: str,
    *command: str | Path,
    serves: Callable[[], bool] = lambda: True,
    environment: Mapping[str, str] | None = None,
) -> Service:
    words = tuple(str(word) for word in command)
    return Service(Program(name, words, place.HOME.state, environment or {}), serves)


def listens(port: int) -> bool:
    with socket.create_connection((LOOPBACK, port), ANSWER_SECONDS):
        return True


def answers(port: int, path: str = "/") -> bool:
    """Tell whether an HTTP server answers with anything but a failure of its own."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=ANSWER_SECONDS)
    try:
        connection.request("GET", path)
        return connection.getresponse().status < http.client.INTERNAL_SERVER_ERROR
    finally:
        connection.close()


def wsgi(name: str, port: int, program: str, processes: int, threads: int) -> tuple[str, ...]:
    """Return the command that serves a WSGI program of a package."""
    return (
        "uwsgi_python3", "--http-socket", f"0.0.0.0:{port}", "--wsgi-file", program, "--master",
        "--processes", str(processes), "--threads", str(threads), "--enable-threads",
        "--die-on-term", "--no-orphans", "--thunder-lock", "--buffer-size", "65535",
        "--procname-prefix", f"{name}-", "--add-header", "Connection: close", "--disable-logging",
    )  # fmt: skip
