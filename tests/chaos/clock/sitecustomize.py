"""What a Python program does first whose clock libfaketime shifts: it is on its PYTHONPATH."""

import os
import select
import time
from typing import SupportsIndex

os.environ.pop("LD_PRELOAD", None)  # the programs that it starts have the host's own clock


def sleep(seconds: "float | SupportsIndex") -> None:
    """Sleep as `time.sleep` does, which asks for a moment of the monotonic clock since Python 3.11.

    libfaketime (0.9.10, `clock_nanosleep`) takes that for one of the shifted clock.
    """
    select.select((), (), (), float(seconds))


time.sleep = sleep
