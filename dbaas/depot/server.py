"""The depot's HTTP: PUT, GET and HEAD of objects that a URL gives leave for, and nothing else.

Whoever connects may be a guest that wishes ill: connections, their number for one address, the time
that they may be silent, the size of an object and what stays free of the disk have bounds.
"""

import logging
import os
import re
import socketserver
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.depot import intake
from dbaas.depot.intake import CutShort
from dbaas.strategies.grants import leave, shelves
from dbaas.strategies.grants.base import Method
from dbaas.strategies.grants.leave import Wanted
from dbaas.strategies.grants.shelves import Shelves

LOG = logging.getLogger(__name__)

HEALTH = "/healthcheck"
SILENCE = 30.0
"""Seconds that the other side may be silent, in the middle of a request or between two."""

_STATUS: Mapping[type[errors.Error], HTTPStatus] = {
    errors.Invalid: HTTPStatus.BAD_REQUEST,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.Failed: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.OverQuota: HTTPStatus.INSUFFICIENT_STORAGE,
    errors.Unavailable: HTTPStatus.SERVICE_UNAVAILABLE,
}

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
"""What a guest may call what it stores: segments and their like."""

_RANGE = re.compile(r"bytes=(\d{1,18})-(\d{0,18})")


@dataclass(frozen=True)
class Bounds:
    """What one object, one address and all of them may take; bytes and connections."""

    largest_object: int
    reserve: int
    connections: int
    per_address: int


class Server(ThreadingHTTPServer):
    """A thread for each connection, as many as there may be."""

    request_queue_size = 128
    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True

    def __init__(
        self, address: tuple[str, int], where: Shelves, key: Secret, bounds: Bounds
    ) -> None:
        self.where, self.key, self.bounds = where, key, bounds
        self._connected: Counter[str] = Counter()
        self._at_work = 0
        self._changed = threading.Condition()
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, and do not ask the resolver for the host's name, as the base class would."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]

    def verify_request(self, _request: Any, client_address: Any) -> bool:
        """Refuse who has too many connections already, without a word."""
        with self._changed:
            total, own = self._connected.total(), self._connected[client_address[0]]
            if total >= self.bounds.connections or own >= self.bounds.per_address:
                LOG.warning("%s has %d connections: no more", client_address[0], own)
                return False
            self._connected[client_address[0]] += 1
        return True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._changed:
                self._connected -= Counter([client_address[0]])

    def handle_error(self, _request: Any, client_address: Any) -> None:
        LOG.error("A request of %s broke off", client_address[0], exc_info=True)  # noqa: LOG014

    @contextmanager
    def working(self) -> Iterator[None]:
        with self._changed:
            self._at_work += 1
        try:
            yield
        finally:
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()

    def wait_until_idle(self, seconds: float) -> None:
        """Return when no request is in hand, or after so long."""
        with self._changed:
            self._changed.wait_for(lambda: not self._at_work, seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = SILENCE
    disable_nagle_algorithm = True
    server: Server

    def do_PUT(self) -> None:
        with self._answering():
            length = self._length()
            try:
                path = self._path(("PUT",))
                self._expect_room(length)
                content = intake.expected(dict(self.headers.items()))
            except errors.Error:
                self._discard(length)  # who sends reads no answer before the end
                raise
            left = _Left(length)
            try:
                read = left.counting(self.rfile.readinto)
                tag = intake.store(self.server.where, path, length, read, content)
            except errors.Error:
                self._discard(left.bytes)
                raise
            self._say(HTTPStatus.CREATED, {"ETag": f'"{tag}"'})

    def do_GET(self) -> None:
        if self.path == HEALTH:
            self._say(HTTPStatus.OK, body=b"OK\n")
            return
        with self._answering():
            self._give(("GET",), with_content=True)

    def do_HEAD(self) -> None:
        with self._answering():
            self._give(("GET", "PUT"), with_content=False)

    def _give(self, methods: tuple[Method, ...], *, with_content: bool) -> None:
        path = self._path(methods)
        try:
            file = path.open("rb")
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
            raise errors.NotFound("there is no such object") from error
        with file:
            size = os.fstat(file.fileno()).st_size
            headers = {"Content-Type": "application/octet-stream", "Accept-Ranges": "bytes"}
            if md5 := shelves.checksum(file.fileno()):
                headers["ETag"] = f'"{md5}"'
            begin, end, status = 0, size, HTTPStatus.OK
            if asked := self.headers.get("Range", ""):
                begin, end = _range(asked, size)
                status = HTTPStatus.PARTIAL_CONTENT
                headers["Content-Range"] = f"bytes {begin}-{end - 1}/{size}"
            self._say(status, headers, length=end - begin)
            if with_content and end > begin:
                self.connection.sendfile(file, begin, end - begin)

    def _path(self, methods: tuple[Method, ...]) -> Path:
        """Return the file that the request has leave for."""
        wanted, query = leave.read(self.path)
        name = leave.verify(self.server.key, wanted, methods, query, time.time())
        if methods == ("PUT",):
            self._expect_place(wanted, name)
        return self.server.where.path(wanted.account, wanted.container, wanted.key)

    def _expect_place(self, wanted: Wanted, name: str) -> None:
        if not _NAME.fullmatch(name):
            raise errors.Invalid("the name of an object has letters, digits, '.', '_' and '-'")
        if not self.server.where.container(wanted.account, wanted.container).is_dir():
            raise errors.NotFound("there is no such container")

    def _expect_room(self, length: int) -> None:
        try:
            there = os.statvfs(self.server.where.root)
        except OSError as error:
            raise errors.Unavailable("the directory is not there") from error
        if there.f_bavail * there.f_frsize - length < self.server.bounds.reserve:
            raise errors.OverQuota("there is no room for it")

    def _length(self) -> int:
        told = self.headers.get("Content-Length", "")
        if "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,18}", told):
            raise _Refused(HTTPStatus.LENGTH_REQUIRED, "say Content-Length")
        if int(told) > self.server.bounds.largest_object:
            most = self.server.bounds.largest_object
            raise _Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"an object has up to {most} bytes")
        return int(told)

    def _discard(self, length: int) -> None:
        """Read the rest of a body: who is still sending sees of a closed connection no answer."""
        while length > 0:
            some = self.rfile.read(min(length, intake.PART))
            if not some:
                raise CutShort
            length -= len(some)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        with self.server.working():
            try:
                yield
            except _Refused as refused:
                self.close_connection = True
                self._say(refused.status, body=refused.text)
            except errors.Error as error:
                LOG.info("%s %s: %s", self.command, self.path.partition("?")[0], error.text)
                self._say(_status(error), body=error.text.encode() + b"\n")
            except (CutShort, ConnectionError, TimeoutError):
                LOG.info("%s %s was cut short", self.command, self.path.partition("?")[0])
                self.close_connection = True

    def _say(
        self,
        status: HTTPStatus,
        headers: Mapping[str, str] | None = None,
        *,
        body: bytes = b"",
        length: int | None = None,
    ) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def version_string(self) -> str:
        return "dbaas-depot"

    def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002  # the base's name
        """Say nothing: lines of requests have signatures in them."""


class _Refused(Exception):
    """A request whose body is not read."""

    def __init__(self, status: HTTPStatus, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text.encode() + b"\n"


class _Left:
    """How much of a body was not read yet."""

    def __init__(self, length: int) -> None:
        self.bytes = length

    def counting(self, read: Callable[[memoryview], int]) -> Callable[[memoryview], int]:
        def counted(view: memoryview) -> int:
            count = read(view)
            self.bytes -= count
            return count

        return counted


def _range(asked: str, size: int) -> tuple[int, int]:
    """Return begin and end of the bytes that are asked for; only `bytes=A-B` and `bytes=A-`."""
    match = _RANGE.fullmatch(asked)
    begin = int(match[1]) if match else size
    end = min(int(match[2]) + 1, size) if match and match[2] else size
    if begin >= end:
        raise _Refused(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"it has {size} bytes")
    return begin, end


def _status(error: errors.Error) -> HTTPStatus:
    return next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
