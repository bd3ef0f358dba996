import base64
import json

import pytest

from dbaas.cloud.openstack import userdata
from dbaas.contract import errors
from dbaas.contract.secret import Secret


def test_files_are_written_for_root_alone() -> None:
    text = userdata.cloud_config({"/etc/dbaas/contact.json": Secret('{"key": "ümläut"}')})
    kind, _, document = text.partition("\n")
    (file,) = json.loads(document)["write_files"]
    assert kind == "#cloud-config"
    assert base64.b64decode(file.pop("content")).decode() == '{"key": "ümläut"}'
    assert file == {
        "path": "/etc/dbaas/contact.json",
        "encoding": "b64",
        "owner": "root:root",
        "permissions": "0600",
    }


def test_more_than_nova_takes_is_refused() -> None:
    with pytest.raises(errors.Invalid):
        userdata.cloud_config({"/large": Secret("x" * userdata.LIMIT)})
