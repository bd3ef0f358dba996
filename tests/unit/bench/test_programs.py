"""The benchmarks can be started; what they measure is never asserted."""

import importlib
import inspect
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"
PROGRAMS = sorted(
    path.stem for path in BENCH.glob("*.py") if 'if __name__ == "__main__"' in path.read_text()
)


def test_there_are_benchmarks() -> None:
    assert "api_requests" in PROGRAMS


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_benchmark_says_how_to_start_it_and_takes_no_parameter(name: str) -> None:
    module = importlib.import_module(f"tests.bench.{name}")
    assert f"python -m tests.bench.{name}" in (module.__doc__ or "")
    assert not inspect.signature(module.main).parameters
