"""When a backup that makes commits wait is given up, by what its program says of that."""

import time
from typing import cast

import pytest

from dbaas.contract import errors
from dbaas.engines.base import Engine
from dbaas.host.pipes import Pipe
from dbaas.host.services import Process
from dbaas.strategies.backup.watch import COMMITS_GO_ON, COMMITS_HELD, HOLD, Watch


class Server:
    def process(self) -> Process:
        return Process(1, 1)


class Program:
    text = ""

    def said(self, number: int) -> str:
        return self.text


@pytest.mark.parametrize(
    ("later", "gives_up"),
    [(COMMITS_HELD, True), ("of other things, much", True), (COMMITS_GO_ON, False)],
)
def test_commits_wait_until_it_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, later: str, gives_up: bool
) -> None:
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    program = Program()
    watch = Watch(cast(Engine, Server()))
    watch.pipe = cast(Pipe, program)
    watch.look()
    program.text = f"Acquired locks for {COMMITS_HELD}"
    now += 1
    watch.look()
    program.text = later
    now += HOLD / 2
    watch.look()
    now += HOLD
    if gives_up:
        with pytest.raises(errors.Unavailable, match="too slow"):
            watch.look()
    else:
        watch.look()
