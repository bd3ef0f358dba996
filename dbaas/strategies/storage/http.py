"""PUT and GET over HTTP, once: what the storages that are reached so have in common.

Only the standard library, and of that TLS only where it is needed: an agent starts often.
"""

import http.client
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.strategies.storage.base import Refused

if TYPE_CHECKING:
    import ssl

CONNECT_TIMEOUT = 10.0
SILENCE = 30.0
"""Seconds that the other side may take for a part, and for an answer."""
PART = 1 << 20
"""Bytes that are sent, or received, at once."""
REASON = 200
"""Characters of the storage's own words that go into an error's text."""

SENT = (200, 201, 204)
REFUSED = (401, 403)
FULL = (413, 507)
FINAL = range(400, 500)
AGAIN = (400, 408, 409, 411, 412, 416, 422, 423, 425, 429)
"""Of these it may be the way that went wrong: a body that was cut or changed, or a busy server."""


class Http:
    """One connection, made when it is needed, and again when it was lost.

    Has all of `Storage` but how an object is told that it arrived whole, which each does its way.
    """

    def __init__(self, authority: str = "") -> None:
        """`authority`: PEM of who signs the storage's certificate; empty: whom everybody knows."""
        self._authority = authority
        self._connection: http.client.HTTPConnection | None = None
        self._to: tuple[str, str] | None = None
        self._closed = False

    def send(self, url: Secret, content: memoryview, headers: Mapping[str, str]) -> str:
        """Put an object; return the ETag that the storage has for it; empty where it has none."""
        sent = {"Content-Length": str(len(content)), **headers}
        with self._telling("store an object"), self._asked("PUT", url, sent, content) as answer:
            said = answer.read(PART)
            _judge(answer.status, said)
            if answer.status not in SENT:
                raise errors.Failed(f"the storage answered {answer.status} to an object")
            return (answer.getheader("ETag") or "").strip('"').lower()

    def get(self, url: Secret, into: memoryview) -> int:
        """Read all of the object; `Failed` where it is longer than there is room."""
        with self._telling("give an object"), self._asked("GET", url, {}) as answer:
            if answer.status != http.client.OK:
                _judge(answer.status, answer.read(PART))
                raise errors.Failed(f"the storage answered {answer.status} for an object")
            if answer.length is not None and answer.length > len(into):
                raise errors.Failed("the object is longer than it was when it was stored")
            return self._fill(answer, into)

    def stream(self, url: Secret, into: memoryview, begin: int) -> tuple[int, int]:
        """Read of the object from this byte on; return how many there were, and its whole size."""
        wanted = {"Range": f"bytes={begin}-{begin + len(into) - 1}"}
        with self._telling("give an object"), self._asked("GET", url, wanted) as answer:
            if answer.status != http.client.PARTIAL_CONTENT:
                _judge(answer.status, answer.read(PART))
                raise errors.Failed(f"the storage answered {answer.status} for part of an object")
            whole = (answer.getheader("Content-Range") or "").rpartition("/")[2]
            if not whole.isdecimal():
                raise errors.Failed("the storage does not say how long the object is")
            return self._fill(answer, into), int(whole)

    def close(self) -> None:
        """Let go of it for good; whoever waits for it in another thread does so no more."""
        self._closed = True
        self._drop()

    def _fill(self, answer: http.client.HTTPResponse, into: memoryview) -> int:
        expected = answer.length
        filled = 0
        while filled < len(into):
            count = answer.readinto(into[filled : filled + PART])
            if not count:
                break
            filled += count
        if expected is not None and filled < expected:
            raise errors.Unavailable("the storage broke off in the middle of an object")
        return filled

    @contextmanager
    def _asked(
        self,
        method: str,
        url: Secret,
        headers: Mapping[str, str],
        content: memoryview | None = None,
    ) -> Iterator[http.client.HTTPResponse]:
        where = urlsplit(url.reveal())
        target = where.path + (f"?{where.query}" if where.query else "")
        connection = self._reach(where)
        body = None if content is None else _parts(content)
        try:
            connection.request(method, target, body, dict(headers))
        except (BrokenPipeError, ConnectionResetError):
            if body is None:
                raise
            # It may have answered before it had all, for example that it will not take it.
        answer = connection.getresponse()
        try:
            yield answer
        finally:
            if not answer.isclosed():  # what is left of it would be taken for the next answer
                self._drop()
                answer.close()

    def _reach(self, where: SplitResult) -> http.client.HTTPConnection:
        to = (where.scheme, where.netloc)
        lost = self._connection is None or self._connection.sock is None
        if lost or self._to != to or self._connection is None:
            self._drop()
            self._connection, self._to = self._made(where), to
        if self._closed:
            self._drop()
            raise errors.Unavailable("the connection to the storage was closed")
        return self._connection

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            # Closing alone would not wake a thread that waits in it.
            with suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)
            connection.close()

    @contextmanager
    def _telling(self, what: str) -> Iterator[None]:
        """Turn what goes wrong on the way into `Unavailable`, without the URL: that is a secret."""
        try:
            yield
        except (OSError, http.client.HTTPException, ValueError) as error:
            self._drop()
            reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
            raise errors.Unavailable(f"the storage did not {what}: {reason[:REASON]}") from error

    def _made(self, where: SplitResult) -> http.client.HTTPConnection:
        host, port = where.hostname or "", where.port
        connection: http.client.HTTPConnection
        if where.scheme == "https":
            connection = http.client.HTTPSConnection(
                host, port, timeout=CONNECT_TIMEOUT, context=_trust(self._authority)
            )
        elif where.scheme == "http":
            connection = http.client.HTTPConnection(host, port, timeout=CONNECT_TIMEOUT)
        else:
            raise errors.Failed(f"a storage is reached by http or https, not {where.scheme!r}")
        connection.auto_open = 0  # else one that was closed by another thread would come back
        connection.connect()
        connection.sock.settimeout(SILENCE)
        return connection


def _parts(content: memoryview) -> Iterator[memoryview]:
    """A socket's timeout is for one call: each part has all of it."""
    return (content[begin : begin + PART] for begin in range(0, len(content), PART))


def _judge(status: int, said: bytes) -> None:
    """Raise for what is no success; see `Storage` for which error says what."""
    reason = " ".join(said.decode("utf-8", "replace").split())[:REASON]
    told = f"the storage answered {status}" + (f": {reason}" if reason else "")
    if status in REFUSED:
        raise Refused(told)
    if status == http.client.NOT_FOUND:
        raise errors.NotFound(told)
    if status in FULL:
        raise errors.OverQuota(f"the storage has no room for it: {told}")
    if status in FINAL and status not in AGAIN:
        raise errors.Failed(told)
    if status >= FINAL.start:
        raise errors.Unavailable(told)


def _trust(authority: str) -> "ssl.SSLContext":
    import ssl

    return ssl.create_default_context(cadata=authority or None)
