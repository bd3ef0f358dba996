"""Processes of a stack are known by their mark, and end, willing or not."""

import subprocess
import sys
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from pathlib import Path

import pytest

from dbaas.manage.stack import processes
from dbaas.manage.stack.plan import Plan, Ports

STUBBORN = """
import signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return Plan(tmp_path, IPv4Network("10.9.8.0/24"), Ports(1, 2, 3, 4, 5, 6, 7, 8))


@pytest.fixture
def stubborn(plan: Plan) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-c", STUBBORN]
    with subprocess.Popen(command, env=processes.mark(plan), stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_only_what_carries_the_mark_is_found(
    plan: Plan, stubborn: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    assert processes.of(plan) == [stubborn.pid]
    other = Plan(tmp_path / "other", plan.subnet, plan.ports)
    assert processes.of(other) == []


def test_a_process_that_ignores_sigterm_is_killed(
    plan: Plan, stubborn: subprocess.Popen[bytes]
) -> None:
    began = time.monotonic()
    processes.end([stubborn.pid], grace=0.05)
    assert stubborn.wait(5) == -9
    assert time.monotonic() - began < 5


def test_a_process_that_is_gone_already_is_fine() -> None:
    with subprocess.Popen(["true"]) as gone:
        pass
    processes.end([gone.pid], grace=0.05)


def test_the_memory_of_a_process_is_measured(stubborn: subprocess.Popen[bytes]) -> None:
    usage = processes.usage(stubborn.pid)
    assert usage.processes == 1
    assert 1 << 20 < usage.memory < 100 << 20


def test_the_uptime_of_a_process_counts_from_its_start(stubborn: subprocess.Popen[bytes]) -> None:
    time.sleep(0.05)
    assert 0.02 < processes.uptime(stubborn.pid) < 10
