"""The catalog fails while it is needed: a request is done once, or refused with a word of it."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from tests.chaos import catalog_faults
from tests.chaos.ground import Ground, create_many
from tests.chaos.load import Load
from tests.outcomes import Part, Tell

Fault = Callable[[Ground], AbstractContextManager[None]]


def _case(fault: Fault, seconds: float, *, thorough: bool = False) -> object:
    marks = pytest.mark.thorough if thorough else ()
    return pytest.param(fault, seconds, marks=marks, id=f"{fault.__name__}-{seconds:.0f}")


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        _case(catalog_faults.killing_connections, 5.0),
        _case(catalog_faults.deadlocking, 5.0),
        _case(catalog_faults.full, 2.0, thorough=True),
        _case(catalog_faults.writes_stalled, 2.0, thorough=True),
        _case(catalog_faults.writes_stalled, 8.0, thorough=True),
        _case(catalog_faults.read_only, 2.0, thorough=True),
        _case(catalog_faults.rows_locked, 8.0, thorough=True),
        _case(catalog_faults.restarted, 2.0, thorough=True),
        _case(catalog_faults.killed, 2.0, thorough=True),
        _case(catalog_faults.frozen, 5.0, thorough=True),
        _case(catalog_faults.refused, 3.0, thorough=True),
        _case(catalog_faults.cut_off, 10.0, thorough=True),
        _case(catalog_faults.away, 60.0, thorough=True),
    ],
)
def test_each_accepted_request_is_done_once(
    ground: Ground, tell: Tell, fault: Fault, seconds: float
) -> None:
    doomed = create_many(ground, 3)
    ground.wait_until_done(doomed, "ACTIVE")
    load = Load(ground, doomed=doomed)
    with load.going_on():
        ground.sleep(0.5)
        with fault(ground):
            ground.sleep(seconds)
        back = time.monotonic()
    load.wait_until_done()
    tell(
        Part.CATALOG,
        f"{fault.__name__.replace('_', ' ')} for {seconds:.0f} s",
        f"{len(load.created)} creates and {len(doomed)} deletes are done once; "
        f"{load.refused} answers are 503",
        time.monotonic() - back,
    )
    ground.delete_all(load.instances())
    ground.assert_nothing_left()
