"""The stack of the chaos tests: three task managers with short leases, which can be told to die."""

import logging
import os
import random
from collections.abc import Iterator

import pytest

from dbaas.common import killpoints
from tests import catalog_server as catalog_servers
from tests.chaos.ground import Ground
from tests.functional import place
from tests.functional import stack as stacks

LOG = logging.getLogger(__name__)

SEED = "DBAAS_CHAOS_SEED"
"""Environment variable: a number, which does what it did before."""
USUAL_SEED = 20261120

SETTINGS = """\
[taskmanager]
lease = 2
[api]
max_instances_per_tenant = 40
max_volumes_per_tenant = -1
"""


@pytest.fixture(scope="package")
def ground() -> Iterator[Ground]:
    with (
        place.network_namespace() as namespace,
        place.inside(namespace),
        stacks.directory() as stack,
        pytest.MonkeyPatch.context() as patch,
    ):
        ground = Ground(stack)
        ground.tokens.mkdir()
        patch.setenv(killpoints.VARIABLE, str(ground.tokens))
        (stack.directory / "local.conf").write_text(SETTINGS)
        stack.command("up", "--count", "dbaas-taskmanager=3")
        yield ground
        stack.command("down")
        stacks.assert_nothing_left(stack)


@pytest.fixture(scope="package")
def catalog_server(ground: Ground) -> Iterator[catalog_servers.CatalogServer]:
    """As everywhere, but in the network namespace that these tests have entered."""
    with catalog_servers.running() as server:
        yield server


@pytest.fixture
def seed(thorough: bool) -> int:
    """What chance decides in a test follows from this; it is shown when the test fails."""
    usual = random.SystemRandom().randrange(1 << 32) if thorough else USUAL_SEED
    number = int(os.environ.get(SEED, usual))
    LOG.warning("%s=%d", SEED, number)
    return number


@pytest.fixture(autouse=True)
def nothing_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Keep a test that failed from spoiling the next one."""
    yield
    if "ground" in request.fixturenames:
        request.getfixturevalue("ground").delete_whatever_is_left()
