"""The stacks that the functional tests share, each in a network namespace of its own.

`stack` is all of it, once; it moves the tests' main thread into that namespace until the last test
of this package, so a test reaches the API, the catalog and the guests as if they were on this host,
and nothing of it touches the host. `several` has three of each service, for the module that asks
for it. Test packages that need a stack of another kind use `tests.functional.stack`.
"""

from collections.abc import Iterator

import pytest

from dbaas.manage.stack import lifecycle
from tests.chaos.ground import Ground
from tests.functional import place
from tests.functional import stack as stacks


@pytest.fixture(scope="package")
def stack() -> Iterator[stacks.Stack]:
    with stacks.running(settings="[archives]\ncompacted_every = 5\n") as running:
        yield running


@pytest.fixture(scope="module")
def several() -> Iterator[Ground]:
    with (
        place.network_namespace() as namespace,
        place.inside(namespace),
        stacks.directory() as stack,
    ):
        settings = "[taskmanager]\nlease = 2\n[api]\nmax_volumes_per_tenant = -1\n"
        (stack.directory / "local.conf").write_text(settings)
        counts = [word for name in lifecycle.SERVICES for word in ("--count", f"{name}=3")]
        stack.command("up", *counts)
        yield Ground(stack)
        stack.command("down")
        stacks.assert_nothing_left(stack)
