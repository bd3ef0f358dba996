"""Seconds from POST to the first query: one instance at a time, and sixteen at once.

python -m tests.bench.first_query --dir STACK
"""

import statistics
import time
from concurrent.futures import ThreadPoolExecutor

from tests.bench import instances, report
from tests.functional.stack import Stack

ONE_BY_ONE = 10
TOGETHER = 16


def one_by_one(stack: Stack) -> tuple[list[float], list[dict[str, float]]]:
    """Return the seconds to the first query, and those of each step, of each instance."""
    seconds, steps = [], []
    for _ in range(ONE_BY_ONE + 1):
        instance, took = instances.seconds_to_first_query(stack)
        seconds.append(took)
        steps.append(instances.steps(stack, instance))
        instances.delete(stack, [instance])
    return seconds[1:], steps[1:]  # the first one is slower: connections are made


def at_once(stack: Stack) -> tuple[float, list[float]]:
    """Return the seconds until the last of sixteen was queried, and those of each."""
    began = time.monotonic()
    pause = TOGETHER * instances.PAUSE / 2  # else the clients' looks would take most of the CPU

    def make(_: int) -> tuple[str, float]:
        return instances.seconds_to_first_query(stack, pause)

    with ThreadPoolExecutor(TOGETHER) as pool:
        made = list(pool.map(make, range(TOGETHER)))
    whole = time.monotonic() - began
    instances.delete(stack, [instance for instance, _ in made])
    return whole, [seconds for _, seconds in made]


def main() -> None:
    stack = report.stack_of_arguments(__doc__ or "")
    with instances.enough_quota(stack):
        single, steps = one_by_one(stack)
        whole, each = at_once(stack)
    report.show(
        "seconds from POST to the first query",
        [
            {"instances": 1, "median": statistics.median(single), "least": min(single)},
            {"instances": TOGETHER, "median": statistics.median(each), "least": min(each)},
            {"instances": f"all {TOGETHER}", "median": whole, "least": whole},
        ],
    )
    report.show(
        "seconds of each step of a create, median",
        [
            {"step": name, "seconds": statistics.median(step[name] for step in steps)}
            for name in steps[0]
        ],
    )


if __name__ == "__main__":
    main()
