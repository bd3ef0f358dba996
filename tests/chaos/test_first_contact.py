"""What a server is booted with is worth nothing after first contact, whatever came between."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from dbaas.contract import codec, errors
from dbaas.contract.messages import CONTACT_FILE
from dbaas.contract.operations import LedgerKind, object_name
from dbaas.guestagent.identity import Identity
from dbaas.guestagent.service import STATE
from dbaas.rpc import guests
from tests.chaos import agents, hostile, requests
from tests.chaos.ground import Ground
from tests.outcomes import Part, Tell


@pytest.mark.parametrize("lost", [False, True], ids=["heard", "lost"])
def test_first_contact_leaves_nothing_of_worth(ground: Ground, tell: Tell, lost: bool) -> None:
    """`lost`: the agent dies before it has answered that it knows who it is."""
    instance = requests.create_instance(ground)
    contact = hostile.first_contact(ground.stack, instance)
    if lost:
        agents.kill_in(ground, instance, "introduce")
    ground.wait_until_done([instance], "ACTIVE")
    pid = ground.cloud().compute.pid(object_name(instance, LedgerKind.SERVER, 1))
    root = Path(f"/proc/{pid}/root")
    assert not (root / CONTACT_FILE.lstrip("/")).exists()
    kept = json.loads((root / STATE.relative_to("/") / "identity.json").read_bytes())
    me = codec.load(Identity, kept)
    assert me.contact_key is None
    assert contact.key.reveal() not in json.dumps(kept)
    guests.probe(me.address)
    with pytest.raises(errors.Forbidden):
        guests.probe(replace(me.address, user=contact.user, password=contact.password))
    if lost:
        tell(
            Part.SERVICES,
            "the answer of first contact is lost",
            "the guest is introduced, what it was booted with is worthless",
            None,
        )
    ground.delete_all([instance])
    ground.assert_nothing_left()
