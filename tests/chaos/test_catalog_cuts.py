"""The services reach the catalog through a proxy that cuts connections where it hurts."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from dbaas.manage.stack import catalog, credentials
from dbaas.manage.stack.lifecycle import SERVICES
from tests import catalog_proxy
from tests.catalog_proxy import Cuts, Proxy
from tests.chaos import requests
from tests.chaos.ground import Ground
from tests.chaos.load import Load
from tests.outcomes import Part, Tell

SECONDS = 6.0


@pytest.mark.parametrize(
    ("cuts", "what"),
    [
        (Cuts(after=0.05), "lost answers to COMMIT, one of 20"),
        pytest.param(
            Cuts(before=0.05, after=0.05),
            "connections cut before and after COMMIT, one of 20 each",
            marks=pytest.mark.thorough,
        ),
        pytest.param(Cuts(within=50_000), "connections cut anywhere", marks=pytest.mark.thorough),
    ],
)
def test_nothing_is_lost_or_done_twice_when_nobody_knows_whether_it_was_committed(
    ground: Ground, tell: Tell, seed: int, cuts: Cuts, what: str
) -> None:
    with through_proxy(ground, seed) as proxy:
        standing = requests.create_instance(ground, "standing")
        ground.wait_until_done([standing], "ACTIVE")
        load = Load(ground, standing)
        proxy.cuts = cuts
        with load.going_on():
            ground.sleep(SECONDS)
        back = time.monotonic()
        load.wait_until_done()
        seconds = time.monotonic() - back
        proxy.cuts = Cuts()
        ground.delete_all(load.instances())
        ground.assert_nothing_left()
    assert sum(cuts.done.values())
    tell(
        Part.CATALOG,
        f"{what}, while the services work",
        f"{len(load.created)} creates and {len(load.databases)} new databases are done once",
        seconds,
    )


@contextmanager
def through_proxy(ground: Ground, seed: int) -> Iterator[Proxy]:
    """Have all services reach the catalog through a proxy of ours."""
    stack = ground.stack
    settings = stack.directory / "local.conf"
    before = settings.read_text()
    port = stack.plan.ports.catalog
    with catalog_proxy.running(port, seed) as proxy:
        url = catalog.url(stack.plan, credentials.ensure(stack.plan))
        through = url.replace(f":{port}/", f":{proxy.port}/").replace("$", "$$")
        settings.write_text(f"{before}\n[catalog]\nconnection = {through}\n")
        stack.command("restart", *SERVICES)
        try:
            yield proxy
        finally:
            settings.write_text(before)
            stack.command("restart", *SERVICES)
