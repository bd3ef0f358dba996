"""Guests die, hang, are cut off or run full in the middle of everything that one may do with them.

Each operation ends in its result or in a failure that explains itself, a delete always succeeds,
and an instance that shows ACTIVE afterwards serves.
"""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from dbaas.contract.operations import ENDED, State
from tests.chaos import guest_faults, requests
from tests.chaos.ground import Ended, Ground, create_many
from tests.chaos.guest_faults import Fault
from tests.functional.guest import Guest
from tests.outcomes import Part, Tell

ASKED = ("restart_instance", "resize_volume", "enable_root", "ask_guest", "delete_instance")
"""What is going on when it happens: each with an instance of its own, beside a create."""

LONGEST = 300.0
"""Seconds after which a guest that never answered was given up."""


@pytest.mark.parametrize(
    "fault",
    [
        guest_faults.ENGINE_KILLED,
        *(
            pytest.param(fault, marks=pytest.mark.thorough)
            for fault in (
                guest_faults.ENGINE_HUNG,
                guest_faults.FROZEN,
                guest_faults.UNPLUGGED,
                guest_faults.DEAF,
                guest_faults.MUTE,
                guest_faults.VOLUME_FULL,
                guest_faults.STATE_FULL,
                guest_faults.JOURNAL_LOST,
            )
        ),
    ],
    ids=lambda fault: fault.name.replace(" ", "-"),
)
def test_what_is_asked_of_a_guest_in_trouble_ends_well_or_explains_itself(
    ground: Ground, tell: Tell, fault: Fault
) -> None:
    instances = dict(zip(ASKED, create_many(ground, len(ASKED)), strict=True))
    ground.wait_until_done(list(instances.values()), "ACTIVE")
    instances["create_instance"] = requests.create_instance(ground, "new")
    wait_for_server(ground, instances["create_instance"])
    guests = [Guest(ground.stack, instance) for instance in instances.values()]
    with asking(ground, instances) as pool:
        ground.sleep(random.uniform(0.0, 0.4))
        list(pool.map(lambda guest: in_guest(fault.begin, guest), guests))
        ground.sleep(fault.seconds)
        list(pool.map(lambda guest: in_guest(fault.end, guest), guests))
        over = time.monotonic()
    wait_for_ends(ground, list(instances.values()))
    seconds = time.monotonic() - over
    ends = {kind: end_of(ground, instance, kind) for kind, instance in instances.items()}
    for kind, instance in instances.items():
        assert_explained(ground, instance, ends[kind])
    tell(Part.GUESTS, f"{fault} during {len(ends)} operations", told(ends), seconds)
    assert ends["delete_instance"].state == State.SUCCEEDED
    left = [instance for kind, instance in instances.items() if kind != "delete_instance"]
    serving = [instance for instance in left if ground.shown(instance) == "ACTIVE"]
    for instance in serving:
        ground.wait_until_it_serves(instance)
    ground.delete_all(left)
    ground.assert_nothing_left()


@pytest.mark.thorough
@pytest.mark.timeout(600)
def test_what_is_asked_of_a_guest_that_is_gone_fails_and_says_so(
    ground: Ground, tell: Tell
) -> None:
    kinds = [kind for kind in ASKED if kind != "delete_instance"]
    instances = dict(zip(kinds, create_many(ground, len(kinds)), strict=True))
    ground.wait_until_done(list(instances.values()), "ACTIVE")
    for instance in instances.values():
        guest_faults.KILLED.begin(Guest(ground.stack, instance))
    began = time.monotonic()
    with asking(ground, instances):
        pass
    wait_for_ends(ground, list(instances.values()), LONGEST)
    seconds = time.monotonic() - began
    ends = {kind: end_of(ground, instance, kind) for kind, instance in instances.items()}
    for kind, instance in instances.items():
        assert_explained(ground, instance, ends[kind])
        assert ends[kind].state != State.SUCCEEDED
        assert ground.details(instance)["operating_status"] in ("ERROR", "")
    tell(Part.GUESTS, "the guest is gone when it is asked for something", told(ends), seconds)
    ground.delete_all(list(instances.values()))
    ground.assert_nothing_left()


@contextmanager
def asking(ground: Ground, instances: Mapping[str, str]) -> Iterator[ThreadPoolExecutor]:
    """Ask all at the same time; some requests wait for an answer. Give free threads, too."""
    with ThreadPoolExecutor(2 * len(instances)) as pool:
        asked = [
            pool.submit(requests.CHANGES[kind].ask, ground, instance)
            for kind, instance in instances.items()
            if kind in requests.CHANGES
        ]
        yield pool
        for one in asked:
            one.result()


def in_guest(act: Callable[[Guest], None], guest: Guest) -> None:
    """Do it to a guest; one that is being deleted, or whose create failed, may be gone by now."""
    try:
        act(guest)
    except Exception:
        if guest.stack.sql(
            "SELECT id FROM instances JOIN ledger ON instance_id = id AND kind = 'server'"
            f" AND gone_at IS NULL WHERE id = '{guest.instance_id}' AND status <> 'DELETING'"
        ):
            raise


def wait_for_server(ground: Ground, instance: str) -> None:
    """Return when there is a guest, however little it can do yet."""
    server = f"instance_id = '{instance}' AND kind = 'server' AND external_id <> ''"
    ground.wait_for(lambda: bool(ground.sql(f"SELECT name FROM ledger WHERE {server}")), "a server")


def wait_for_ends(ground: Ground, instances: Sequence[str], seconds: float = 180.0) -> None:
    listed = ", ".join(f"'{instance}'" for instance in instances)
    ended = ", ".join(f"'{state}'" for state in (*ENDED, State.PARKED))
    going_on = f"instance_id IN ({listed}) AND state NOT IN ({ended})"
    try:
        ground.wait_for(
            lambda: not ground.sql(f"SELECT id FROM operations WHERE {going_on}"),
            "the end of all operations",
            seconds,
        )
    except AssertionError as error:
        raise AssertionError(f"{error}\n{ground.explain(instances)}") from None


def end_of(ground: Ground, instance: str, kind: str) -> Ended:
    return next(ended for ended in ground.history(instance) if ended.kind == kind)


def assert_explained(ground: Ground, instance: str, ended: Ended) -> None:
    """What did not succeed says why, in the operation and, where it shows, in the instance."""
    if ended.state == State.SUCCEEDED:
        return
    answer = ground.request("GET", f"operations?instance_id={instance}")
    (operation,) = [one for one in answer.body["operations"] if one["kind"] == ended.kind]
    assert operation["fault"]["message"], operation
    shown = ground.details(instance)
    if ended.state == State.PARKED or ended.kind == "create_instance":
        assert shown["status"] == "ERROR", shown
        assert operation["id"] in shown["fault"]["message"], shown
    else:
        assert shown["status"] == "ACTIVE", shown


def told(ends: Mapping[str, Ended]) -> str:
    """Return which operations ended how, as `create_instance failed; the others succeeded`."""
    kinds = defaultdict(list)
    for kind, ended in sorted(ends.items()):
        kinds[ended.state].append(kind)
    others = kinds.pop(State.SUCCEEDED, [])
    parts = [f"{', '.join(names)}: {state}, explained" for state, names in sorted(kinds.items())]
    if others:
        parts.append("the others succeed" if parts else "all succeed")
    return "; ".join(parts)
