import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from dbaas.contract import errors
from dbaas.host import services
from dbaas.host.services import Process, Service

STUBBORN = "trap '' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    made = Service(["sleep", "60"], tmp_path / "record", tmp_path / "output")
    yield made
    services.stop(made, grace=0.0)


def test_a_started_program_is_found_and_stopped(service: Service) -> None:
    process = services.start(service)
    assert services.find(service) == process
    assert os.getsid(process.pid) not in (os.getsid(0), 0)
    services.stop(service, grace=5.0)
    assert services.find(service) is None
    assert services.wait(process, 0.0)


def test_starting_what_runs_does_nothing(service: Service) -> None:
    assert services.start(service) == services.start(service)


def test_a_program_outlives_the_process_that_started_it(service: Service) -> None:
    script = (
        "import sys; from pathlib import Path; from dbaas.host import services\n"
        "services.start(services.Service(['sleep', '60'], Path(sys.argv[1]), Path(sys.argv[2])))"
    )
    paths = [str(service.record), str(service.output)]
    subprocess.run([sys.executable, "-c", script, *paths], check=True, timeout=10)
    assert services.find(service) is not None


def test_a_recycled_process_id_is_not_mistaken_for_the_program(service: Service) -> None:
    services.start(service)
    recorded = service.record.read_text()
    boot, stat = recorded.split(" ", 1)
    fields = stat.rpartition(")")[2].split()
    other = stat.replace(f" {fields[19]} ", f" {int(fields[19]) - 1} ")
    service.record.write_text(f"{boot} {other}")
    assert services.find(service) is None
    service.record.write_text(f"another-boot {stat}")
    assert services.find(service) is None
    service.record.write_text(recorded)
    assert services.find(service) is not None


@pytest.mark.parametrize("content", ["", "half", "boot 12 (sh", "boot x (sh) S 1 2"])
def test_a_record_that_cannot_be_read_means_no_process(service: Service, content: str) -> None:
    service.record.write_text(content)
    assert services.find(service) is None


def test_a_program_that_ignores_the_request_to_end_is_killed(tmp_path: Path) -> None:
    service = Service(["sh", "-c", STUBBORN], tmp_path / "record", tmp_path / "output")
    process = services.start(service)
    deadline = time.monotonic() + 5
    while service.output.read_text() != "ready\n" and time.monotonic() < deadline:
        time.sleep(0.01)
    services.stop(service, grace=0.05)
    assert services.wait(process, 0.0)


def test_waiting_ends_when_the_program_does(service: Service) -> None:
    process = services.start(service)
    assert not services.wait(process, 0.01)
    timer = threading.Timer(0.02, os.kill, (process.pid, signal.SIGKILL))
    timer.start()
    assert services.wait(process, 5.0)
    timer.join()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    service = Service(["no-such-program"], tmp_path / "record", tmp_path / "output")
    with pytest.raises(errors.Failed, match="no-such-program is not installed"):
        services.start(service)


def test_uptime_counts_from_the_start(service: Service) -> None:
    process = services.start(service)
    assert 0.0 <= process.uptime < 5.0
    assert Process(1, 0).uptime > process.uptime


def test_a_program_runs_under_its_own_account(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    if os.geteuid() != 0:
        pytest.skip("only root may give a program another account")
    service = Service(["sleep", "60"], tmp_path / "record", tmp_path / "output", user="daemon")
    process = services.start(service)
    deadline = time.monotonic() + 5
    while Path(f"/proc/{process.pid}").owner() != "daemon" and time.monotonic() < deadline:
        time.sleep(0.005)
    owner = Path(f"/proc/{process.pid}").owner()
    services.stop(service, grace=5.0)
    assert owner == "daemon"


def test_output_is_cut_when_it_grows_and_its_end_is_kept(tmp_path: Path) -> None:
    output = tmp_path / "log"
    output.write_bytes(b"a" * 900 + b"b" * 100)
    services.bound(output, 1000)
    assert output.stat().st_size == 1000
    services.bound(output, 400)
    assert output.stat().st_size == 0
    assert (tmp_path / "log.1").read_bytes() == b"b" * 100
    services.bound(tmp_path / "not there", 1)
