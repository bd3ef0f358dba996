"""The services' common ground: one HTTP server on loopback, their routes, and faults by order."""

import json
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedIOBase
from typing import Any, Protocol
from urllib.parse import parse_qs, urlencode, urlsplit

_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Json = dict[str, Any]
"""An object of JSON."""


@dataclass(frozen=True)
class Request:
    """One request to a service; `path` is below the service's `prefix`."""

    method: str
    prefix: str
    path: str
    query: Mapping[str, Sequence[str]]
    headers: Mapping[str, str]
    body: Any

    def one(self, name: str) -> str:
        """Return the parameter's last value; empty: it was not given."""
        return next(reversed(self.query.get(name, ())), "")

    def matches(self, thing: Mapping[str, Any], *fields: str) -> bool:
        """Return whether `thing` has one of the values asked for in each of these fields."""
        return all(
            name not in self.query or str(thing[name]).lower() in _lower(self.query[name])
            for name in fields
        )


def _lower(values: Sequence[str]) -> list[str]:
    return [value.lower() for value in values]


@dataclass(frozen=True)
class Answer:
    status: int = HTTPStatus.OK
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


class Refusal(Exception):
    """What a service answers instead; `kind` is the name of the error, in services that say one."""

    def __init__(self, status: int, message: str, kind: str = "") -> None:
        super().__init__(message)
        self.status = int(status)
        self.message = message
        self.kind = kind


Handler = Callable[..., Answer]
"""Takes the request, and what the groups of its path's pattern matched."""

Route = tuple[str, str, Handler]
"""Method, pattern of the whole path, and who answers."""


class Service(Protocol):
    """One of the services: `prefix` is where it is; `open` are paths that need no token."""

    prefix: str
    open: Sequence[str]

    @property
    def routes(self) -> Sequence[Route]: ...

    def refused(self, refusal: Refusal) -> Answer:
        """Return the refusal in this service's own shape."""


@dataclass
class Fault:
    """What becomes of requests to one service whose method and path match.

    `answer` None: the connection is closed without one. `effect`: the request is carried out all
    the same. The first `spared` such requests are left alone, and then `times` are met.
    """

    service: str
    method: str
    path: str
    effect: bool = False
    answer: Answer | None = None
    seconds: float = 0.0
    """For which the answer is kept back."""
    spared: int = 0
    times: int = 1

    def meets(self, service: str, request: Request) -> bool:
        """Return whether it is this request's turn, and count it."""
        mine = service == self.service and request.method == self.method
        if not mine or not self.times or not re.search(self.path, request.path):
            return False
        if self.spared:
            self.spared -= 1
            return False
        self.times -= 1
        return True


class World:
    """What the services share: time, a lock, the tokens that are good, and what goes wrong."""

    def __init__(self) -> None:
        self.delay = 0.02
        """Seconds that everything takes which is not done at once."""
        self.page = 5
        """How many things the longest answer lists."""
        self.stuck = ""
        """Ending of the names of what never comes to its end; empty: there is no such."""
        self.faults: list[Fault] = []
        self.first: Callable[[str, str, str], Fault] | None = None
        """What becomes of the first request of every kind, by service, method and path."""
        self.uses: int | None = None
        """How many requests a token is good for."""
        self.requests: list[tuple[str, str, str]] = []
        """Every request, as service, method and path."""
        self.tokens: set[str] = set()
        self.lock = threading.RLock()
        self._coming: list[tuple[float, Callable[[], None]]] = []
        self._kinds: set[str] = set()
        self._used = 0

    def later(self, name: str, work: Callable[[], None]) -> None:
        """Do this to what has this name after the delay; at the next request, at the earliest."""
        if not self.stuck or not name.endswith(self.stuck):
            self._coming.append((time.monotonic() + self.delay, work))

    def pass_time(self) -> None:
        """Do what is due."""
        now = time.monotonic()
        due = [work for moment, work in self._coming if moment <= now]
        self._coming = [(moment, work) for moment, work in self._coming if moment > now]
        for work in due:
            work()

    def fault(self, service: str, request: Request) -> Fault | None:
        """Return what becomes of this request, if it is not answered as it should be."""
        due = next((one for one in self.faults if one.meets(service, request)), None)
        if due is None and self.first is not None and service != "identity":
            kind = f"{service} {request.method} {_ID.sub('*', request.path)}"
            if kind not in self._kinds:
                self._kinds.add(kind)
                return self.first(service, request.method, request.path)
        return due

    def accepts(self, token: str | None) -> bool:
        self._used += 1
        if self.uses is not None and self._used > self.uses:
            self._used = 0
            self.tokens.clear()
        return token in self.tokens


def paged(world: World, request: Request, things: Sequence[Json]) -> tuple[list[Json], str]:
    """Return the page that the request asks for, and the address of the next one if there is one.

    Raise `Refusal` when what the page is to follow is gone.
    """
    marker = request.one("marker")
    ids = [thing["id"] for thing in things]
    if marker and marker not in ids:
        raise Refusal(HTTPStatus.BAD_REQUEST, f"marker [{marker}] not found")
    begin = ids.index(marker) + 1 if marker else 0
    size = min(int(request.one("limit") or world.page), world.page)
    page = list(things[begin : begin + size])
    if begin + size >= len(things):
        return page, ""
    following = {**request.query, "marker": [page[-1]["id"]]}
    host = request.headers["Host"]
    return page, f"http://{host}{request.prefix}{request.path}?{urlencode(following, doseq=True)}"


class Server:
    """Answers for services by their names, until it is closed."""

    def __init__(self, world: World, services: Mapping[str, Service]) -> None:
        self._world = world
        self._services = services
        self._http = _Http(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.02,))
        self._thread.start()

    def close(self) -> None:
        self._http.shutdown()
        self._http.end_connections()
        self._http.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        serve = self._serve

        class _Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = 1 << 16  # in one piece, or TCP waits before it sends the second

            def log_message(self, *_: Any) -> None: ...

            def _answer(self) -> None:
                answer = serve(self.command, self.path, dict(self.headers), self._content())
                if answer is None:
                    self.close_connection = True
                    return
                body = b"" if answer.body is None else _bytes(answer.body)
                self.send_response(answer.status)
                kind = "text/html" if isinstance(answer.body, str) else "application/json"
                if body:
                    self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            def _content(self) -> bytes:
                if self.headers.get("Transfer-Encoding") == "chunked":
                    return b"".join(_chunks(self.rfile))
                return self.rfile.read(int(self.headers.get("Content-Length") or 0))

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self._answer
                raise AttributeError(name)

        return _Handler

    def _serve(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes
    ) -> Answer | None:
        """Return the answer to a request; None: there is none, and the connection ends."""
        parts = urlsplit(target)
        for name, service in self._services.items():
            if parts.path.startswith(service.prefix):
                path = parts.path.removeprefix(service.prefix)
                query = parse_qs(parts.query, keep_blank_values=True)
                is_json = "json" in headers.get("Content-Type", "json")
                content = (json.loads(body) if is_json else body) if body else None
                return self._faulty(
                    name, service, Request(method, service.prefix, path, query, headers, content)
                )
        return Answer(HTTPStatus.NOT_FOUND, {})

    def _faulty(self, name: str, service: Service, request: Request) -> Answer | None:
        with self._world.lock:
            self._world.pass_time()
            self._world.requests.append((name, request.method, request.path))
            fault = self._world.fault(name, request)
            if fault is None or fault.effect:
                answer = self._answered(service, request)
        if fault is None:
            return answer
        time.sleep(fault.seconds)
        return fault.answer

    def _answered(self, service: Service, request: Request) -> Answer:
        try:
            opened = any(re.fullmatch(path, request.path) for path in service.open)
            if not opened and not self._world.accepts(request.headers.get("X-Auth-Token")):
                return Answer(HTTPStatus.UNAUTHORIZED, {"error": {"message": "not authorised"}})
            for method, pattern, handler in service.routes:
                found = re.fullmatch(pattern, request.path)
                if method == request.method and found:
                    return handler(request, *found.groups())
        except Refusal as refusal:
            return service.refused(refusal)
        return service.refused(Refusal(HTTPStatus.NOT_FOUND, "The resource could not be found."))


def _chunks(file: BufferedIOBase) -> Iterator[bytes]:
    """Yield the parts of a body of unknown length: RFC 9112, section 7.1."""
    while size := int(file.readline(), 16):
        yield file.read(size)
        file.readline()
    file.readline()


def _bytes(body: Any) -> bytes:
    return body.encode() if isinstance(body, str) else json.dumps(body).encode()


class _Http(ThreadingHTTPServer):
    """Ends the connections that its clients keep, or their threads would stay."""

    daemon_threads = True
    request_queue_size = 128  # with fewer, TCP lets who comes at the same time wait for a second

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._connections: set[socket.socket] = set()
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._connections.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._connections.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that has gone away is no error here."""

    def end_connections(self) -> None:
        for connection in list(self._connections):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def serving(world: World, services: Mapping[str, Service]) -> Iterator[Server]:
    server = Server(world, services)
    try:
        yield server
    finally:
        server.close()
