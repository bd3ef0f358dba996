"""Creates and deletes a minute of one task manager, and what each costs; latencies; idle cost.

python -m tests.bench.operations [CREATES [WAITING]]

The cloud makes everything at once, and the guests answer at once (`instant_guests`); broker,
catalog, conductor, task manager and everything between them are real, each a process of its own on
this host. It is done again while WAITING other operations wait for their time.
"""

import json
import statistics
import sys
import time
import uuid
from collections.abc import Callable

from dbaas.catalog import tables
from dbaas.catalog.moments import later
from dbaas.catalog.unit import Unit
from dbaas.contract.operations import Position, State
from tests.bench import deployment, report
from tests.bench.deployment import MANAGER, Deployment
from tests.chaos import requests
from tests.frozen import frozen

CREATES = 300
WAITING = 10_000
WARMING = 20
ALONE = 20
IDLE_SECONDS = 10.0
FAR = 24 * 3600.0
PATIENCE = 120.0

_LEFT = "SELECT COUNT(*) FROM operations WHERE state = 'runnable' AND kind <> 'waiting'"
_FAILED = (
    "SELECT kind, fault_message, fault_details FROM operations"
    " WHERE state NOT IN ('runnable', 'succeeded')"
)


def main() -> None:
    creates = int(sys.argv[1]) if len(sys.argv) > 1 else CREATES
    waiting = int(sys.argv[2]) if len(sys.argv) > 2 else WAITING
    rows = []
    with deployment.running() as all_of_it:
        _made(all_of_it, WARMING)
        rows += _throughput(all_of_it, creates, "")
        alone = _latencies(all_of_it)
        idle = [_idle(all_of_it, 0)]
        _let_wait(all_of_it, waiting)
        rows += _throughput(all_of_it, creates, f" beside {waiting} waiting")
        idle.append(_idle(all_of_it, waiting))
    report.show("operations of one task manager with an instant cloud", rows)
    report.show("milliseconds after a guest's answer, one create at a time", alone)
    report.show("one task manager that has nothing to do", idle)


def _made(on: Deployment, count: int) -> list[str]:
    """Return so many instances, that are active now."""
    made = _accept(on, count)
    _drain(on)
    return made


def _accept(on: Deployment, count: int) -> list[str]:
    return [requests.create_instance(on.api, "bench") for _ in range(count)]


def _drain(on: Deployment) -> None:
    """Start a task manager and return when it has done everything; it goes on running."""
    if MANAGER not in on.started:
        on.start(MANAGER)
    on.wait_for(_LEFT, 0, PATIENCE)
    failed = on.rows(_FAILED)
    assert not failed, failed


def _throughput(on: Deployment, count: int, suffix: str) -> list[report.Row]:
    made: list[str] = []

    def delete() -> None:
        for instance in made:
            requests.delete_instance(on.api, instance)

    return [
        _measured(on, f"create{suffix}", count, lambda: made.extend(_accept(on, count))),
        _measured(on, f"delete{suffix}", count, delete),
    ]


def _measured(on: Deployment, name: str, count: int, accept: Callable[[], None]) -> report.Row:
    """Measure from the first claim to the last end, of operations that were accepted before.

    The task manager stands still while they are: accepting is not its work.
    """
    with frozen(on.started[MANAGER].pid):
        accept()
    cpu, statements = on.cpu(), on.statements()
    _drain(on)
    statements = on.statements() - statements
    cpu = {key: value - cpu.get(key, 0.0) for key, value in on.cpu().items()}
    newest = f"(SELECT id, finished_at FROM operations ORDER BY finished_at DESC LIMIT {count}) o"
    seconds = on.rows(
        "SELECT TIMESTAMPDIFF(MICROSECOND, MIN(s.started_at), MAX(o.finished_at)) / 1e6"
        f" FROM {newest} JOIN operation_steps s ON s.operation_id = o.id"
    )[0][0]
    row: report.Row = {
        "operation": name,
        "a minute": round(60 * count / float(seconds)),
        "statements": statements / count,
    }
    return row | {f"CPU ms {key}": 1000 * value / count for key, value in cpu.items()}


def _latencies(on: Deployment) -> list[report.Row]:
    """Create one by one: how long after an answer does its operation go on, or end?"""
    made = []
    for _ in range(ALONE):
        made += _made(on, 1)
        time.sleep(0.05)
    told = {
        (instance, verb): float(at)
        for instance, verb, at in map(json.loads, on.answers.read_text().splitlines())
    }
    names = ",".join(f"'{instance}'" for instance in made)
    ends = on.rows(
        "SELECT o.instance_id, s.name, UNIX_TIMESTAMP(s.finished_at) FROM operation_steps s"
        f" JOIN operations o ON o.id = s.operation_id WHERE o.instance_id IN ({names})"
    )
    at = {(str(instance), str(step)): float(when) for instance, step, when in ends}
    whole = (
        ("introduced -> next step begun", "introduce", "introduce"),
        ("prepared -> instance ACTIVE", "prepare", "show_instance_active"),
    )
    rows = []
    for name, verb, step in whole:
        seconds = [at[instance, step] - told[instance, verb] for instance in made]
        rows.append(
            {
                "from -> to": name,
                "median": 1000 * statistics.median(seconds),
                "most": 1000 * max(seconds),
            }
        )
    return rows


def _let_wait(on: Deployment, count: int) -> None:
    """Have so many operations wait for a time that is far away."""
    rows = [
        {
            "id": str(uuid.uuid4()),
            "kind": "waiting",
            "project_id": "bench",
            "user_id": "bench",
            "request_id": "bench",
            "instance_id": str(uuid.uuid4()),
            "state": State.RUNNABLE,
            "request": "{}",
            "step": Position().step,
        }
        for _ in range(count)
    ]

    def work(one: Unit) -> None:
        one.execute(tables.operations.insert().values(run_at=later(FAR)), rows)

    on.catalog.run(work)


def _idle(on: Deployment, waiting: int) -> report.Row:
    if MANAGER not in on.started:
        on.start(MANAGER)
        time.sleep(2)
    cpu, statements, began = on.cpu(), on.statements(), time.monotonic()
    time.sleep(IDLE_SECONDS)
    seconds = time.monotonic() - began
    return {
        "operations waiting": waiting,
        "statements a second": (on.statements() - statements) / seconds,
        "CPU ms a second": 1000 * (on.cpu()[MANAGER] - cpu[MANAGER]) / seconds,
    }


if __name__ == "__main__":
    main()
