import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbaas.catalog.records import GuestIdentity, Heartbeat, Outstanding
from dbaas.common.sealing import Sealer
from dbaas.conductor import intake
from dbaas.conductor.intake import Refused, Remark, Result
from dbaas.contract import codec
from dbaas.contract.messages import Health, Progress, ServiceStatus
from dbaas.contract.secret import Secret
from dbaas.rpc import envelope
from dbaas.rpc.envelope import Header

ME, OTHER = "7b1d2f6e-3b8e-4b54-9e1b-6a8fd5c7d111", "0a4c1f6e-3b8e-4b54-9e1b-6a8fd5c7d222"
CONTACT_KEY = envelope.new_key()
GUEST = GuestIdentity(
    instance_id=ME,
    state="introduced",
    user=f"g-{ME}",
    password=Secret("p"),
    key_id="k1",
    command_key=envelope.new_key(),
    event_key=envelope.new_key(),
)
NEW = dataclasses.replace(
    GUEST,
    state="new",
    contact_user=f"f-{ME}",
    contact_key=CONTACT_KEY,
    contact_key_id=envelope.CONTACT,
)
HEALTH = Health(ServiceStatus.HEALTHY, 100, 10, "11.8.2", 5.5, {"op.1.do.1.1": Progress(5, 10)})
SEALER = Sealer(bytes(32))


def message(
    method: str = "hb", data: Any = None, under: Secret = GUEST.event_key, **header: Any
) -> bytes:
    if data is None:
        data = codec.dump(HEALTH)
    fields: dict[str, Any] = {
        "v": 1, "instance": ME, "key": "k1", "direction": "up", "command": "", "epoch": 0,
        "boot": 2, "seq": 7, "sent": 1.0, "method": method,
    }  # fmt: skip
    body = data if isinstance(data, bytes) else json.dumps(data).encode()
    return envelope.seal(under, Header(**(fields | header)), body)


def test_a_heartbeat_is_believed() -> None:
    assert intake.hear(message(), GUEST) == Heartbeat(2, 7, HEALTH)


def test_a_result_is_heard_with_the_command_that_it_names() -> None:
    said = intake.hear(message("result", {"ok": None}, command="op.1.do.1.1"), GUEST)
    assert said == Result("op.1.do.1.1", {"ok": None}, boot=2, seq=7)


def test_a_remark_is_heard() -> None:
    said = intake.hear(message("log", {"level": "warning", "text": "disk"}), GUEST)
    assert said == Remark("warning", "disk")


REFUSED: dict[str, tuple[bytes, GuestIdentity | None]] = {
    "rubbish": (b"\x00\x00\x00\x05hello" + bytes(40), GUEST),
    "nothing": (b"", GUEST),
    "a megabyte": (bytes(1 << 20), GUEST),
    "an unknown sender": (message(), None),
    "a quarantined sender": (message(), dataclasses.replace(GUEST, state="quarantined")),
    "a guest that is gone": (message(), dataclasses.replace(GUEST, state="gone")),
    "another guest's exchange": (message(), dataclasses.replace(GUEST, instance_id=OTHER)),
    "another instance's name": (message(instance=OTHER), GUEST),
    "a command reflected": (message(direction="down"), GUEST),
    "the command key": (message(under=GUEST.command_key), GUEST),
    "another guest's key": (message(under=envelope.new_key()), GUEST),
    "an old key's id": (message(key="k0"), GUEST),
    "an unknown method": (message("shell", {"run": "id"}), GUEST),
    "a long heartbeat": (message(data=b" " * 5000), GUEST),
    "a long remark": (message("log", {"level": "info", "text": "x" * 5000}), GUEST),
    "a long result": (message("result", {"ok": "x" * 270_000}), GUEST),
    "no JSON": (message(data=b"{"), GUEST),
    "no text": (message(data=b"\xff\xfe"), GUEST),
    "deep nesting": (message(data=b"[" * 4000), GUEST),
    "deep nesting that is JSON": (message(data=b"[" * 2000 + b"]" * 2000), GUEST),
    "a further field": (message(data={"service": "healthy", "path": "/etc"}), GUEST),
    "a missing field": (message(data={"uptime": 1}), GUEST),
    "a status of its own": (message(data={"service": "superb"}), GUEST),
    "not a number": (message(data=b'{"service":"healthy","uptime":NaN}'), GUEST),
    "infinity": (message(data=b'{"service":"healthy","uptime":1e999}'), GUEST),
    "a huge integer": (message(data=b'{"service":"healthy","uptime":1' + b"0" * 400 + b"}"), GUEST),
    "a huge volume": (message(data={"service": "healthy", "volume_total": 1 << 63}), GUEST),
    "a negative volume": (message(data={"service": "healthy", "volume_used": -1}), GUEST),
    "a boolean volume": (message(data={"service": "healthy", "volume_used": True}), GUEST),
    "a long version": (message(data={"service": "healthy", "engine_version": "1" * 65}), GUEST),
    "a version of two lines": (
        message(data={"service": "healthy", "engine_version": "1\n2"}), GUEST,
    ),
    "half a character": (message("log", b'{"level":"info","text":"\\ud800"}'), GUEST),
    "progress below nothing": (
        message(data={"service": "healthy", "progress": {"a": {"done": -1}}}), GUEST,
    ),
    "much progress": (
        message(data={"service": "healthy", "progress": {str(n): {} for n in range(33)}}), GUEST,
    ),
    "both outcomes": (message("result", {"ok": 1, "error": 2}), GUEST),
    "no outcome": (message("result", {}), GUEST),
    "a list for a result": (message("result", []), GUEST),
    "a level of its own": (message("log", {"level": "critical", "text": ""}), GUEST),
    "a contact key that is over": (message(under=CONTACT_KEY, key="contact"), GUEST),
    "a result under the contact key": (
        envelope.seal(
            CONTACT_KEY,
            Header(1, ME, "contact", "up", "op.1.do.1.1", 0, 1, 1, 1.0, "result"),
            b'{"ok":null}',
        ),
        NEW,
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    body, guest = REFUSED[case]
    with pytest.raises(Refused) as caught:
        intake.hear(body, guest)
    assert len(caught.value.text) < 60


def test_a_new_guest_may_complain_under_the_contact_key() -> None:
    header = Header(1, ME, "contact", "up", "", 0, 1, 1, 1.0, "log")
    body = json.dumps({"level": "error", "text": "no disk"}).encode()
    assert intake.hear(envelope.seal(CONTACT_KEY, header, body), NEW) == Remark("error", "no disk")


def test_an_unknown_key_asks_for_newer_knowledge() -> None:
    for strange in (message(under=envelope.new_key()), message(key="k2")):
        with pytest.raises(Refused) as caught:
            intake.hear(strange, GUEST)
        assert caught.value.stale


@given(st.binary(max_size=400))
def test_whatever_an_enemy_seals_is_believed_or_refused(body: bytes) -> None:
    for method in ("hb", "result", "log"):
        try:
            intake.hear(message(method, body), GUEST)
        except Refused:
            continue


COMMAND = Outstanding("op.1.do.1.1", "op", ME, "ping")


def test_an_answer_is_typed_by_the_verb_of_the_command() -> None:
    stored = intake.settle(
        Result(COMMAND.id, {"ok": codec.dump(HEALTH)}, 2, 7), ME, COMMAND, SEALER.hide
    )
    assert stored == {"ok": codec.dump(HEALTH)}


def test_an_answer_without_value_is_null() -> None:
    command = dataclasses.replace(COMMAND, method="introduce")
    assert intake.settle(Result(command.id, {"ok": None}, 2, 7), ME, command, SEALER.hide) == {
        "ok": None
    }


def test_a_failure_is_kept_with_text_that_fits() -> None:
    failure = {"kind": "Failed", "text": "x" * 100_000}
    stored = intake.settle(Result(COMMAND.id, {"error": failure}, 2, 7), ME, COMMAND, SEALER.hide)
    assert stored["error"]["kind"] == "Failed"
    assert 0 < len(stored["error"]["text"]) <= intake.FAULT_CHARACTERS


@pytest.mark.parametrize(
    ("body", "sender", "command"),
    [
        ({"ok": None}, ME, None),
        ({"ok": codec.dump(HEALTH)}, OTHER, COMMAND),
        ({"ok": {"total": 1, "used": 1}}, ME, COMMAND),
        ({"ok": "superb"}, ME, COMMAND),
        ({"ok": None}, ME, dataclasses.replace(COMMAND, method="unheard_of")),
        ({"error": {"kind": "SystemExit", "text": ""}}, ME, COMMAND),
        ({"error": {"kind": "Failed"}}, ME, COMMAND),
        ({"error": "Failed"}, ME, COMMAND),
    ],
    ids=str,
)
def test_an_answer_that_does_not_fit_is_refused(
    body: Any, sender: str, command: Outstanding | None
) -> None:
    with pytest.raises(Refused):
        intake.settle(Result("op.1.do.1.1", body, 2, 7), sender, command, SEALER.hide)
