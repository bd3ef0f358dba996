"""Tenants at work while something goes wrong, who want each thing once and repeat it until then.

Each request that changes something has an `Idempotency-Key` of its own. Whoever is refused asks
again with the same key; an answer that no client expects, such as a 500, ends the test.
"""

import itertools
import threading
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus

from tests.chaos import requests
from tests.chaos.ground import Ground
from tests.functional.stack import Answer

_PAUSE = 0.1
_DONE = (HTTPStatus.OK, HTTPStatus.ACCEPTED)


class Load:
    """Instances that are asked for, reads, and databases that are made in `standing`, if any.

    The `doomed` instances are deleted.
    """

    def __init__(
        self, ground: Ground, standing: str = "", doomed: Sequence[str] = (), creates: int = 3
    ) -> None:
        self.created: dict[str, str] = {}
        """Ids of instances that were accepted, by name."""
        self.databases: set[str] = set()
        self.refused = 0
        """Answers that said 503."""
        self.slowest = 0.0
        """Seconds that a create or a read took to be answered at most."""
        self._ground = ground
        self._standing = standing
        self._doomed = doomed
        self._creates = creates
        self._prefix = uuid.uuid4().hex[:8]
        self._over = threading.Event()
        self._failures: list[BaseException] = []

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Let them work; when this ends, all that they began to ask for was accepted."""
        work = [self._create, self._delete, self._read]
        work += [self._make_databases] if self._standing else []
        threads = [threading.Thread(target=self._run, args=(one,)) for one in work]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._over.set()
            for thread in threads:
                thread.join()
        if self._failures:
            raise self._failures[0]

    def wait_until_done(self) -> None:
        """Return when all is done; see that each thing was done once."""
        ids = list(self.created.values())
        assert ids
        self._ground.wait_until_done(ids, "ACTIVE")
        for instance in self._doomed:
            self._ground.wait_until_done([instance], "GONE")
            kinds = [ended.kind for ended in self._ground.history(instance)]
            assert kinds == ["create_instance", "delete_instance"]
        found = self._ground.sql(
            f"SELECT id, name FROM instances WHERE name LIKE '{self._prefix}-%'"
        )
        assert {row["name"]: row["id"] for row in found} == self.created
        assert len(found) == len(self.created)
        for instance in ids:
            assert [ended.kind for ended in self._ground.history(instance)] == ["create_instance"]
            assert self._ground.made_twice(instance) == []
        if self._standing:
            self._ground.wait_until_idle([self._standing])
            made = self._made()
            assert made == self.databases, self._ground.explain([self._standing])

    def instances(self) -> list[str]:
        """Return those that are there when all is done."""
        return [*([self._standing] if self._standing else []), *self.created.values()]

    def _run(self, work: object) -> None:
        assert callable(work)
        try:
            work()
        except BaseException as error:  # noqa: BLE001  # the main thread raises it
            self._failures.append(error)

    def _create(self) -> None:
        for number in range(self._creates):
            name = f"{self._prefix}-{number}"
            answer = self._insist("POST", "instances", {"instance": requests.order(name)})
            self.created[name] = str(answer.body["instance"]["id"])
            if self._over.wait(0.5):
                return

    def _delete(self) -> None:
        for instance in self._doomed:
            self._insist("DELETE", f"instances/{instance}", None)
            self._over.wait(0.5)

    def _make_databases(self) -> None:
        for number in itertools.count():
            name = f"made_{number}"
            body = {"databases": [{"name": name}]}
            self._insist("POST", f"instances/{self._standing}/databases", body)
            self.databases.add(name)
            if self._over.wait(0.3):
                return

    def _read(self) -> None:
        while not self._over.wait(_PAUSE):
            self._timed("GET", "instances", None, {})

    def _insist(self, method: str, path: str, body: object) -> Answer:
        key = {"Idempotency-Key": uuid.uuid4().hex}
        while (answer := self._timed(method, path, body, key)) is None:
            time.sleep(_PAUSE)
        return answer

    def _timed(
        self, method: str, path: str, body: object, headers: Mapping[str, str]
    ) -> Answer | None:
        """Return the answer, or None for a clean refusal."""
        began = time.monotonic()
        answer = self._ground.stack.request(method, path, body, headers=headers)
        if "/databases" not in path:  # that waits for the guest
            self.slowest = max(self.slowest, time.monotonic() - began)
        if answer.status in _DONE:
            return answer
        assert answer.status == HTTPStatus.SERVICE_UNAVAILABLE, f"{method} {path}: {answer}"
        assert answer.body["serviceUnavailable"]["message"]
        self.refused += 1
        return None

    def _made(self) -> set[str]:
        path = f"instances/{self._standing}/databases?limit=1000"
        answer = self._insist("GET", path, None)
        return {one["name"] for one in answer.body["databases"]} - {requests.DATABASE}
