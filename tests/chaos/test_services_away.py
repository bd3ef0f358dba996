"""One service dies, goes away or is told to stop, while it is needed."""

import os
import random
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus

import pytest

from dbaas.manage.stack import catalog
from dbaas.manage.stack.lifecycle import SERVICES
from tests.chaos import requests
from tests.chaos.ground import Ground, create_many
from tests.outcomes import Part, Tell

AWAY_SECONDS = 60.0


@pytest.mark.parametrize(
    "program",
    [catalog.CATALOG, pytest.param("dbaas-conductor", marks=pytest.mark.thorough)],
)
def test_creates_finish_though_a_service_is_killed_in_their_middle(
    ground: Ground, tell: Tell, program: str
) -> None:
    instances = create_many(ground, 4)
    killed = []
    for _ in range(2):
        ground.sleep(0.4)
        pid = ground.programs().states()[program].pid
        os.kill(pid, signal.SIGKILL)
        killed.append(pid)
        ground.wait_for(
            lambda: ground.programs().states()[program].pid not in (0, *killed), "its restart"
        )
    ground.wait_until_done(instances, "ACTIVE")
    longest = max(ground.last(instance).seconds for instance in instances)
    tell(Part.SERVICES, f"{program} is killed twice in 4 creates", "they finish", longest)
    ground.delete_all(instances)
    ground.assert_nothing_left()


@pytest.mark.thorough
@pytest.mark.parametrize("service", ["dbaas-taskmanager", "dbaas-conductor"])
def test_creates_are_accepted_without_any_of_a_service_and_done_later(
    ground: Ground, tell: Tell, service: str
) -> None:
    programs = [name for name in ground.programs().states() if name.startswith(service)]
    with ground.stopped(*programs):
        instances = create_many(ground, 4)
        ground.sleep(AWAY_SECONDS)
        assert {ground.shown(instance) for instance in instances} == {"BUILD"}
        back = time.monotonic()
    ground.wait_until_done(instances, "ACTIVE")
    tell(
        Part.SERVICES,
        f"no {service} for {AWAY_SECONDS:.0f} s",
        "4 creates are accepted, and done when they are back",
        time.monotonic() - back,
    )
    ground.delete_all(instances)
    ground.assert_nothing_left()


@pytest.mark.thorough
def test_creates_finish_though_every_program_is_killed_in_a_random_order(
    ground: Ground, tell: Tell
) -> None:
    instances = create_many(ground, 4)
    programs = sorted(ground.programs().states())
    random.shuffle(programs)
    for program in programs:
        ground.sleep(0.5)
        pid = ground.programs().states()[program].pid
        if pid:  # else another one's death has killed it
            os.kill(pid, signal.SIGKILL)
    killed = time.monotonic()
    ground.stack.command("up")
    ground.wait_until_done(instances, "ACTIVE")
    tell(
        Part.SERVICES,
        "every program is killed in a random order during 4 creates",
        "they finish",
        time.monotonic() - killed,
    )
    ground.delete_all(instances)
    ground.assert_nothing_left()


@pytest.mark.parametrize(
    "service",
    [
        pytest.param(name, marks=() if name == "dbaas-taskmanager" else pytest.mark.thorough)
        for name in SERVICES
    ],
)
def test_a_service_that_is_told_to_stop_under_load_loses_nothing(
    ground: Ground, tell: Tell, service: str
) -> None:
    with under_load(ground) as accepted:
        ground.sleep(0.5)
        began = time.monotonic()
        ground.stack.command("restart", service)
        seconds = time.monotonic() - began
        ground.sleep(0.5)
    assert accepted
    ground.wait_until_done(accepted, "ACTIVE")
    tell(
        Part.SERVICES,
        f"{service} is told to restart under load",
        f"{len(accepted)} creates, none lost",
        seconds,
    )
    ground.delete_all(accepted)
    ground.assert_nothing_left()


@contextmanager
def under_load(ground: Ground) -> Iterator[list[str]]:
    """Ask for one instance after the other; give the ids of those that were accepted.

    An API that is being restarted may refuse; it must not take a request and forget it: so the key
    makes the request the same one when it is repeated.
    """
    accepted: list[str] = []
    over = threading.Event()
    failures: list[str] = []

    def ask() -> None:
        for number in range(8):
            if over.is_set():
                return
            while (made := _ask_once(ground, number, failures)) is None:
                time.sleep(0.05)
            accepted.append(made)
            over.wait(0.3)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield accepted
    finally:
        over.set()
        thread.join()
    assert failures == []


def _ask_once(ground: Ground, number: int, failures: list[str]) -> str | None:
    key = {"Idempotency-Key": f"load-{number}-{id(failures)}"}
    with suppress(OSError):
        answer = ground.stack.request(
            "POST", "instances", {"instance": requests.order(f"load-{number}")}, headers=key
        )
        if answer.status == HTTPStatus.OK:
            return str(answer.body["instance"]["id"])
        failures.append(f"{answer.status}: {answer.body}")
    return None
