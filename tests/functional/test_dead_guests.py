"""Guests that hang or die: nothing is stuck, and nothing is left of them when they are deleted."""

import http.client
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from dbaas.cloud.local import faults
from dbaas.cloud.local.cloud import LocalCloud
from dbaas.contract.operations import LedgerKind
from tests.functional.guest import Guest
from tests.functional.stack import Answer, Stack


@pytest.fixture(scope="module", autouse=True)
def _nothing_is_left(stack: Stack) -> Iterator[None]:
    yield
    audit = stack.manage("audit", check=False)
    assert audit.returncode == 0, audit.stdout


@pytest.fixture
def guest(stack: Stack) -> Guest:
    return Guest(stack, stack.wait_until(stack.create("doomed"), "ACTIVE")["id"])


def act(guest: Guest, action: object) -> Answer:
    answer = guest.stack.request("POST", f"instances/{guest.instance_id}/action", action)
    assert answer.status == http.client.ACCEPTED, answer
    return answer


def delete(guest: Guest) -> None:
    answer = guest.stack.request("DELETE", f"instances/{guest.instance_id}")
    assert answer.status == http.client.ACCEPTED, answer
    guest.stack.wait_until(guest.instance_id, "GONE", seconds=120)


def test_what_a_frozen_guest_was_told_is_done_when_it_thaws(guest: Guest) -> None:
    server = guest.name(LedgerKind.SERVER)
    faults.freeze(guest.cloud, server)
    try:
        act(guest, {"restart": {}})
        time.sleep(2)  # seconds that it does not answer
        shown = guest.stack.request("GET", f"instances/{guest.instance_id}").body["instance"]
    finally:
        faults.thaw(guest.cloud, server)
    assert shown["status"] == "REBOOT"
    assert guest.stack.wait_until(guest.instance_id, "ACTIVE", seconds=120)
    delete(guest)


@pytest.mark.parametrize("end", [faults.kill, faults.freeze, faults.link_down])
def test_an_instance_whose_guest_is_gone_can_be_deleted(
    guest: Guest, end: Callable[[LocalCloud, str], None]
) -> None:
    end(guest.cloud, guest.name(LedgerKind.SERVER))
    delete(guest)


def test_whatever_waits_for_a_dead_guest_gives_way_to_a_delete(guest: Guest) -> None:
    """Both at once: each waits until it is sure that the guest does nothing any more."""
    stack = guest.stack
    unborn = Guest(stack, stack.create("stillborn"))
    booting = f"kind = 'server' AND instance_id = '{unborn.instance_id}'"
    deadline = time.monotonic() + 60
    while not stack.sql(f"SELECT name FROM ledger WHERE {booting} AND external_id <> ''"):
        assert time.monotonic() < deadline
    for doomed in (unborn, guest):
        faults.kill(doomed.cloud, doomed.name(LedgerKind.SERVER))
    act(guest, {"resize": {"volume": {"size": 2}}})
    act(unborn, {"reset_status": {"force_delete": True}})
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(delete, (unborn, guest)))
