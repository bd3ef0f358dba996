"""The REST API."""

import sys
from typing import Any, cast

# Gunicorn looks for setproctitle when it is imported, and has it write titles over the arguments
# and the environment, by which a process is known to be ours: for this process it is not there.
cast(dict[str, Any], sys.modules).setdefault("setproctitle", None)
