"""How a service is told to stop: by SIGTERM, or SIGINT from a terminal."""

import signal
import threading

LOOK = 0.5
"""Seconds between two looks at signals that came to another thread than the main one: Python runs
their handlers when the main thread runs again, and a wait without an end does not let it."""


def on_signals() -> threading.Event:
    """Return what is set when this process, of which this is the main thread, is told to stop."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    return stop


def wait(stop: threading.Event) -> None:
    """Return when it is set."""
    while not stop.wait(LOOK):
        continue
