"""How far an archive is behind its database: a writer every 10 ms, its agent killed, its engine
killed, and its storage away for a minute meanwhile.

python -m tests.bench.archived_lag [--minutes 10]

The stack is one of its own, in a network namespace.
"""

import argparse
import json
import os
import signal
import statistics
import threading
import time
from collections.abc import Callable
from contextlib import suppress

import pymysql

from dbaas.manage.stack import processes
from tests.bench import report
from tests.chaos import agents
from tests.chaos.ground import Ground
from tests.functional import stack as stacks
from tests.functional.stack import Stack

AWAY = 60.0
"""Seconds for which the storage does not answer."""
CATCHES_UP = 10.0
"""Seconds after which it counts again."""
LOOK = 0.5


def write(stack: Stack, instance: str, over: threading.Event, written: list[int]) -> None:
    """Write a row every hundredth of a second, also after the server was gone for a while."""
    while not over.is_set():
        with suppress(pymysql.MySQLError, OSError, KeyError):
            shown = stack.request("GET", f"instances/{instance}").body["instance"]
            with stack.database(shown) as link, link.cursor() as cursor:
                while not over.wait(0.01):
                    cursor.execute("INSERT INTO stamps (at) VALUES (%s)", (time.time(),))
                    written[0] += 1
        over.wait(0.2)


def lag(stack: Stack, instance: str) -> float | None:
    """Return how old the last moment is whose commits are all archived."""
    row = stack.sql(f"SELECT archive FROM guest_health WHERE instance_id = '{instance}'")[0]
    said = json.loads(row["archive"] or "{}")
    return time.time() - said["until"] if said.get("until") else None


def stop_depot(ground: Ground, number: int) -> None:
    for name, state in ground.programs().states().items():
        if name.startswith("dbaas-depot") and state.pid:
            for pid in processes.family(state.pid):
                with suppress(ProcessLookupError):
                    os.kill(pid, number)


def measure(ground: Ground, instance: str, seconds: float) -> list[tuple[str, float]]:
    """Return the lag at each look, with what was going on."""
    events: list[tuple[float, str, Callable[[], None]]] = [
        (0.2, "agent killed", lambda: agents.kill(ground, instance, agents.AGENT)),
        (0.4, "engine killed", lambda: agents.kill(ground, instance, agents.ENGINE)),
        (0.6, "storage away", lambda: stop_depot(ground, signal.SIGSTOP)),
        (0.6 + AWAY / seconds, "catching up", lambda: stop_depot(ground, signal.SIGCONT)),
        (0.6 + (AWAY + CATCHES_UP) / seconds, "as always", lambda: None),
    ]
    began, now, found = time.monotonic(), "as always", []
    while (passed := time.monotonic() - began) < seconds:
        if events and passed >= events[0][0] * seconds:
            _, now, do = events.pop(0)
            do()
        behind = lag(ground.stack, instance)
        if behind is not None:
            found.append((now, behind))
        time.sleep(LOOK)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0)
    seconds = parser.parse_args().minutes * 60
    with stacks.running() as stack:
        ground = Ground(stack)
        instance = stack.wait_until(stack.create("logged"), "ACTIVE")["id"]
        with stack.database(ground.details(instance)) as link, link.cursor() as cursor:
            cursor.execute("CREATE TABLE stamps (n INT PRIMARY KEY AUTO_INCREMENT, at DOUBLE)")
        stack.request("POST", f"instances/{instance}/action", {"archive": {"enabled": True}})
        over, written = threading.Event(), [0]
        writer = threading.Thread(target=write, args=(stack, instance, over, written))
        writer.start()
        time.sleep(5.0)
        try:
            found = measure(ground, instance, seconds)
        finally:
            over.set()
            writer.join()
        stack.request("DELETE", f"instances/{instance}")
        stack.wait_until(instance, "GONE")
    report.show(
        f"seconds that an archive is behind, of {written[0]} rows in {seconds / 60:.0f} minutes",
        [_row(name, found) for name in ("all but the outage", *dict(found))],
    )


def _row(name: str, found: list[tuple[str, float]]) -> dict[str, object]:
    outage = ("storage away", "catching up")
    chosen = sorted(
        behind
        for what, behind in found
        if what == name or (name == "all but the outage" and what not in outage)
    )
    return {
        "while": name,
        "looks": len(chosen),
        "median": statistics.median(chosen),
        "p99": chosen[min(len(chosen) - 1, round(0.99 * len(chosen)))],
        "worst": chosen[-1],
    }


if __name__ == "__main__":
    main()
