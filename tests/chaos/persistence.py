"""A tenant who repeats a request under the same key until it is answered, as clients should."""

import http.client
import time
import uuid
from http import HTTPStatus

from tests.chaos import requests
from tests.functional.stack import Answer, Stack

PATIENCE = 90.0
_PAUSE = 0.02


class Persistent:
    """Implements `requests.Api`."""

    def __init__(self, stack: Stack, *, doubts: bool = True) -> None:
        """Who `doubts` asks once more for what was answered, and must get the first answer."""
        self._stack = stack
        self._doubts = doubts
        self.repeated = 0
        """How often there was no answer."""

    def request(self, method: str, path: str, body: object = None, /) -> Answer:
        key = uuid.uuid4().hex
        answer = self._answered(key, method, path, body)
        if self._doubts and method != "GET":
            again = self._answered(key, method, path, body)
            assert (again.status, again.body) == (answer.status, answer.body)
        return answer

    def _answered(self, key: str, method: str, path: str, body: object) -> Answer:
        """Return the answer; `SERVICE_UNAVAILABLE` only when it stays so."""
        deadline = time.monotonic() + PATIENCE
        while True:
            late = time.monotonic() > deadline
            try:
                answer = self._stack.request(
                    method,
                    path,
                    body,
                    user=requests.who_asks(path),
                    headers={"Idempotency-Key": key},
                )
                if late or answer.status != HTTPStatus.SERVICE_UNAVAILABLE:
                    return answer
            except (OSError, http.client.HTTPException):
                if late:
                    raise
                self.repeated += 1
            time.sleep(_PAUSE)
