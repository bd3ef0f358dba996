"""A storage that is reached over HTTP, on loopback, in memory, with faults by order.

It takes what a `Storage` of the guest sends as the real ones do: it refuses a body that is not what
the headers say, and a URL without leave.
"""

import base64
import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from dbaas.contract.messages import Grant
from dbaas.contract.secret import Secret

FAULTS = ("503", "400", "403", "413", "cut", "hang", "drop", "lose", "lie")
"""An answer; half an answer; none at all; the connection closed at once; what was sent forgotten;
another ETag than the body's."""


@dataclass
class Objects:
    """What it has, and what goes wrong; `faults`: by an object's name, one after the other."""

    kept: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[str]] = field(default_factory=dict)
    leave: str = "good"
    """What a URL has to have as its signature."""
    speed: float = 0.0
    """Bytes a second of each body; 0: as fast as it goes."""
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Method and name of each request."""
    at: str = ""
    let_go: threading.Event = field(default_factory=threading.Event)
    """Ends what hangs."""

    def grant(self, storage: str, method: str, prefix: str, signature: str = "good") -> Grant:
        url = f"{self.at}/{prefix}{{name}}?method={method}&signature={signature}"
        return Grant(storage, method, Secret(url))

    def grant_by_name(self, storage: str, method: str, prefix: str, names: list[str]) -> Grant:
        urls = {
            name: Secret(f"{self.at}/{prefix}{name}?method={method}&signature=good")
            for name in names
        }
        return Grant(storage, method, urls=urls)

    def fault(self, name: str) -> str:
        waiting = self.faults.get(name) or self.faults.get("*") or []
        return waiting.pop(0) if waiting else ""


@contextmanager
def serving() -> Iterator[Objects]:
    objects = Objects()
    server = _Server(("127.0.0.1", 0), lambda *given: _Handler(objects, *given))
    objects.at = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield objects
    finally:
        objects.let_go.set()
        server.shutdown()
        thread.join()
        server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that went away is what some tests are about."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def __init__(self, objects: Objects, *given: Any) -> None:
        self._objects = objects
        super().__init__(*given)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base's name
        """Tests say what is to be said."""

    def do_PUT(self) -> None:  # the base's name
        self._answer("PUT", self._put)

    def do_GET(self) -> None:  # the base's name
        self._answer("GET", self._get)

    def _answer(self, method: str, verb: Callable[[str, str], None]) -> None:
        where = urlsplit(self.path)
        name = where.path.lstrip("/")
        leave = parse_qs(where.query)
        self._objects.asked.append((method, name))
        fault = self._objects.fault(name)
        if fault == "drop":
            self.close_connection = True
            return
        if fault == "hang":
            self._objects.let_go.wait(60)
            self.close_connection = True
            return
        body = self._body()
        if leave.get("signature") != [self._objects.leave] or leave.get("method") != [method]:
            self._say(403, b"no leave")
        elif fault.isdecimal():
            self._say(int(fault), b"out of order")
        else:
            self._content = body
            verb(name, fault)

    def _body(self) -> bytes:
        size = int(self.headers.get("Content-Length") or 0)
        if not self._objects.speed:
            return self.rfile.read(size)
        found = b""
        while len(found) < size:
            found += self.rfile.read(min(1 << 16, size - len(found)))
            time.sleep((1 << 16) / self._objects.speed)
        return found

    def _put(self, name: str, fault: str) -> None:
        md5 = hashlib.md5(self._content).hexdigest()
        sent = self.headers.get("Content-MD5")
        said = (
            self.headers.get("ETag", md5),
            base64.b64decode(sent).hex() if sent else md5,
        )
        sha256 = hashlib.sha256(self._content).hexdigest()
        if set(said) != {md5} or self.headers.get("X-Content-SHA256", sha256) != sha256:
            self._say(422, b"it is not what it says")
            return
        if fault != "lose":
            self._objects.kept[name] = self._content
        self._say(201, b"", {"ETag": f'"{"0" * 32 if fault == "lie" else md5}"'})

    def _get(self, name: str, fault: str) -> None:
        content = self._objects.kept.get(name)
        if content is None:
            self._say(404, b"nothing there")
            return
        status, headers = 200, {}
        if asked := self.headers.get("Range"):
            begin, _, end = asked.removeprefix("bytes=").partition("-")
            whole = len(content)
            content = content[int(begin) : int(end) + 1]
            headers["Content-Range"] = f"bytes {begin}-{end}/{whole}"
            status = 206
        self._say(status, content, headers, cut=fault == "cut")

    def _say(
        self, status: int, body: bytes, headers: dict[str, str] | None = None, *, cut: bool = False
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)
        if cut:
            self.wfile.flush()
            self.close_connection = True
