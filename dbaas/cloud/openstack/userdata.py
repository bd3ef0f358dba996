"""What a server's user data makes cloud-init do: write the files that the guest finds at its start.

The config drive holds it for as long as the server lives, so nothing in it may be worth anything
later: see first contact in `dbaas/taskmanager/steps/bus.py`.
"""

import base64
import json
from collections.abc import Mapping

from dbaas.contract import errors
from dbaas.contract.secret import Secret

LIMIT = 65535
"""Bytes of user data, in base64, that Nova takes."""


def cloud_config(files: Mapping[str, Secret]) -> str:
    """Return the cloud-config, which may be JSON since that is YAML; raise `Invalid` if too long.

    `files` maps absolute paths to contents; they will be root's alone.
    """
    written = [
        {
            "path": path,
            "encoding": "b64",
            "content": base64.b64encode(content.reveal().encode()).decode(),
            "owner": "root:root",
            "permissions": "0600",
        }
        for path, content in files.items()
    ]
    text = "#cloud-config\n" + json.dumps({"write_files": written})
    if len(base64.b64encode(text.encode())) > LIMIT:
        raise errors.Invalid(f"a server's files take more than {LIMIT} bytes of user data")
    return text
