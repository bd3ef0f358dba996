"""Does what has to be done in an order that allows most of it at the same time."""

import http.client
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from graphlib import TopologicalSorter

from keystoneauth1.exceptions import ClientException

from dbaas.contract import errors

PAUSE = 0.3
"""Seconds between two looks at something that is about to happen."""

Say = Callable[[str], None]


@dataclass(frozen=True)
class Task:
    """`after`: names of those that are to be done before."""

    run: Callable[[], None]
    after: tuple[str, ...] = ()


class Tasks:
    """Tasks by name, and what they have in common: that the others stop when one fails."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._given_up = threading.Event()

    def carry_out(self, tasks: Mapping[str, Task]) -> None:
        """Do them all; raise what the first one that fails raises."""
        order = TopologicalSorter({name: task.after for name, task in tasks.items()})
        order.prepare()
        running: dict[Future[None], str] = {}
        with ThreadPoolExecutor(len(tasks)) as pool:
            while order.is_active():
                for name in order.get_ready():
                    running[pool.submit(self._do, name, tasks[name])] = name
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    future.result()
                    order.done(running.pop(future))

    def _do(self, name: str, task: Task) -> None:
        began = time.monotonic()
        try:
            task.run()
        except BaseException:
            self._given_up.set()
            raise
        self._say(f"{name}: {time.monotonic() - began:.1f} s")

    def wait(self, what: str, happened: Callable[[], bool], seconds: float = 240.0) -> None:
        """Return when it happened; a service that does not answer yet has not.

        Raise `Unavailable` after so long, or when another task has failed.
        """
        deadline = time.monotonic() + seconds
        while not _has(happened):
            if self._given_up.is_set() or time.monotonic() > deadline:
                raise errors.Unavailable(f"{what}: not within {seconds:.0f} s")
            time.sleep(PAUSE)


def _has(happened: Callable[[], bool]) -> bool:
    try:
        return happened()
    except (OSError, http.client.HTTPException, ClientException):
        return False
