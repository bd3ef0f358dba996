"""A service hears that it is to stop, whichever of its threads the signal comes to."""

import subprocess
import sys
import time

PROGRAM = """
import signal, threading, time
from dbaas.common import stopping
stop = stopping.on_signals()
# As if the kernel had given the signal to a thread that is not the main one.
thread = threading.Thread(target=lambda: (time.sleep(0.2), signal.pthread_kill(
    threading.get_ident(), signal.SIGTERM), time.sleep(0.1)))
thread.start()
stopping.wait(stop)
print("stopped")
"""


def test_a_signal_that_came_to_another_thread_is_heard() -> None:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=30
    )
    assert done.stdout == "stopped\n", done.stderr
    assert time.monotonic() - began < 20
