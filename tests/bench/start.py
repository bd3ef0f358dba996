"""How long each service takes to start, and what it takes of the host when it is idle.

python -m tests.bench.start [TIMES]

From the start of the process until it answers its first request: of the API a health check, of the
others a look at their figures. On a catalog and a broker of their own; the cloud is the host's.
"""

import statistics
import sys
import tempfile
import time
from pathlib import Path

from tests import bus_server, catalog_server
from tests.bench import apis, report

SERVICES = {"api": "/healthcheck", "conductor": "/metrics", "taskmanager": "/metrics"}
IDLE_SECONDS = 3.0
MIB = 1 << 20


def main() -> None:
    times = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    with (
        tempfile.TemporaryDirectory(prefix="dbaas-bench-") as home,
        catalog_server.running() as server,
        bus_server.running() as bus,
    ):
        url, port = server.fresh(), apis.free_port()
        conf = apis.configure(Path(home), url, bus, [], bind_port=port)
        own = Path(home, "own.conf")
        own.write_text(f"[metrics]\nbind_port = {port}\n")
        found = []
        for name, path in SERVICES.items():
            command = [str(Path(sys.executable).parent / f"dbaas-{name}")]
            command += ["--config-file", str(conf), "--config-file", str(own)]
            seconds, cpu, memory = [], [], []
            for _ in range(times):
                with apis.running(command, port, path, Path(home, f"{name}.log")) as service:
                    seconds.append(service.seconds)
                    cpu.append(service.cpu())
                    time.sleep(IDLE_SECONDS)
                    memory.append(service.memory() / MIB)
            row: report.Row = {"service": name, "start s": statistics.median(seconds)}
            row |= {"least s": min(seconds), "CPU s": min(cpu)}
            found.append(row | {"PSS MiB": statistics.median(memory)})
    report.show("start and memory of the services", found)


if __name__ == "__main__":
    main()
