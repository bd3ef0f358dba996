"""Three APIs behind a proxy, three task managers, three conductors: each may go at any time.

A service that is told to stop must not fail a request; one that is killed fails none that may be
repeated, and the proxy does that.
"""

import os
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus

import pytest

from dbaas.manage.stack import lifecycle, processes, proxy, supervisor
from tests.chaos.ground import Ground
from tests.frozen import frozen
from tests.functional.several import load
from tests.functional.stack import Answer
from tests.outcomes import Part, Tell

COPIES = 3
CREATES, QUOTA = 200, 10
TOO_MUCH = HTTPStatus.REQUEST_ENTITY_TOO_LARGE
THOROUGH_RUNS = 20
"""How often the race for a quota is run: else once."""


def pids(ground: Ground, service: str) -> dict[str, int]:
    states = ground.programs().states()
    return {name: state.pid for name, state in states.items() if name.startswith(service)}


def served(ground: Ground, program: str) -> int:
    """Return how many requests of tenants this API has answered."""
    log = supervisor.log_file(ground.stack.plan.logs, program)
    return log.read_text().count(" GET /v1.0/")


def test_requests_come_to_each_api(several: Ground) -> None:
    for _ in range(2 * COPIES):
        assert several.stack.request("GET", "instances").status == HTTPStatus.OK
    assert [served(several, program) > 0 for program in pids(several, lifecycle.API)] == [True] * 3


@pytest.mark.parametrize("service", lifecycle.SERVICES)
def test_a_rolling_restart_under_load_fails_no_request(
    several: Ground, tell: Tell, service: str
) -> None:
    before = pids(several, service)
    assert len(before) == COPIES
    with load(several.stack, keys=False) as told:
        began = time.monotonic()
        several.stack.command("restart", service)
        seconds = time.monotonic() - began
    after = pids(several, service)
    assert all(after[name] not in (0, pid) for name, pid in before.items())
    assert_all_done(several, told.made)
    assert told.failed == []
    assert told.deleted == told.made != []
    tell(
        Part.SEVERAL,
        f"a rolling restart of {COPIES} {service} under reads, creates and deletes",
        f"none of {told.requests} requests fails, nothing is lost or done twice",
        seconds,
    )


@pytest.mark.thorough
@pytest.mark.parametrize("service", lifecycle.SERVICES)
def test_one_that_is_killed_is_not_noticed_by_who_may_repeat(
    several: Ground, tell: Tell, service: str
) -> None:
    seconds = 0.0
    with load(several.stack, keys=True) as told:
        for name, pid in sorted(pids(several, service).items()):
            for member in reversed(processes.family(pid)):
                os.kill(member, signal.SIGKILL)
            began = time.monotonic()
            several.wait_for(partial(serves_again, several, name, pid), f"{name} to serve")
            seconds = max(seconds, time.monotonic() - began)
            several.sleep(5 * proxy.INTERVAL)
    assert_all_done(several, told.made)
    assert told.failed == []
    tell(
        Part.SEVERAL,
        f"each of {COPIES} {service} is killed, one after the other, under load",
        f"none of {told.requests} requests fails, reads or with an Idempotency-Key; nothing is "
        "lost or done twice",
        seconds,
    )


def serves_again(ground: Ground, name: str, dead: int) -> bool:
    """Tell whether the program runs anew; of an API, also whether it is healthy."""
    if ground.programs().states()[name].pid in (0, dead):
        return False
    port = ground.stack.plan.apis.get(name)
    return port is None or lifecycle.is_healthy(port)


def assert_all_done(ground: Ground, instances: list[str]) -> None:
    """All of these were made and deleted, once each."""
    ground.wait_until_idle(instances)
    for instance in instances:
        ended = [(one.kind, one.state) for one in ground.history(instance)]
        assert ended == [("create_instance", "succeeded"), ("delete_instance", "succeeded")]
        assert ground.made_twice(instance) == []
    ground.assert_nothing_left()


def test_a_quota_is_never_exceeded_by_creates_at_the_same_time(
    several: Ground, tell: Tell, thorough: bool
) -> None:
    """Task managers are frozen meanwhile: what was accepted can be deleted without being built."""
    project = several.stack.user().project_id
    limits = {"quotas": {"instances": QUOTA}}
    changed = several.stack.request("PUT", f"mgmt/quotas/{project}", limits, user="admin")
    assert changed.status == HTTPStatus.OK, changed
    began = time.monotonic()
    runs = THOROUGH_RUNS if thorough else 1
    for _ in range(runs):
        with frozen(*pids(several, "dbaas-taskmanager").values()):
            answers = create_at_once(several)
            statuses = Counter(answer.status for answer in answers)
            assert statuses == {HTTPStatus.OK: QUOTA, TOO_MUCH: CREATES - QUOTA}
            accepted = [one.body["instance"]["id"] for one in answers if "instance" in one.body]
            assert several.usage()["instances"] == several.living()["instances"] == QUOTA
            for instance in accepted:
                action = {"reset_status": {"force_delete": True}}
                several.stack.request("POST", f"instances/{instance}/action", action)
                deleted = several.stack.request("DELETE", f"instances/{instance}")
                assert deleted.status == HTTPStatus.ACCEPTED, deleted
        several.wait_until_done(accepted, "GONE")
        several.assert_nothing_left()
    tell(
        Part.QUOTA,
        f"{CREATES} creates at the same time, over {COPIES} APIs, against a quota of {QUOTA}",
        f"exactly {QUOTA} are accepted, the rest get 413, and the usage is 0 after the deletes, "
        f"in {runs} of {runs} runs",
        (time.monotonic() - began) / runs,
    )


def create_at_once(ground: Ground) -> list[Answer]:
    together = threading.Barrier(CREATES)

    def create(number: int) -> Answer:
        order = {
            "name": f"race-{number}",
            "flavorRef": "1",
            "volume": {"size": 1},
            "datastore": {"type": "mariadb", "version": "11.8"},
        }
        together.wait(60.0)
        return ground.stack.request("POST", "instances", {"instance": order})

    with ThreadPoolExecutor(CREATES) as pool:
        return list(pool.map(create, range(CREATES)))
