"""Memory of each service, and of an idle guest with its agent, mean of sixteen.

python -m tests.bench.memory --dir STACK
"""

import time
from concurrent.futures import ThreadPoolExecutor

from dbaas.manage.stack import lifecycle
from tests.bench import instances, report

GUESTS = 16
IDLE_SECONDS = 20.0
MIB = 1 << 20


def main() -> None:
    stack = report.stack_of_arguments(__doc__ or "")
    with instances.enough_quota(stack):
        with ThreadPoolExecutor(4) as pool:
            made = list(pool.map(lambda _: instances.seconds_to_first_query(stack), range(GUESTS)))
        time.sleep(IDLE_SECONDS)
        lines = lifecycle.status(stack.directory)
        instances.delete(stack, [instance for instance, _ in made])
    guests = [line.usage.memory for line in lines if line.name.endswith("-srv1")]
    rows: list[report.Row] = [
        {"what": line.name, "PSS in MiB": line.usage.memory / MIB}
        for line in lines
        if not line.name.endswith("-srv1")
    ]
    rows.append({"what": f"guest, mean of {len(guests)}", "PSS in MiB": mean(guests) / MIB})
    report.show("memory", rows)


def mean(values: list[int]) -> float:
    return sum(values) / len(values)


if __name__ == "__main__":
    main()
