"""Computes the kill points: a dry run of every flow, forwards and back, notes which are reached,
and another one those of the API, which accepts the requests.

The requests are real ones to the real application, over a real catalog; cloud, guests and broker
are in memory, so it takes a moment.
"""

import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import falcon.testing

from dbaas.api import app, options
from dbaas.api.offers import CloudOffers
from dbaas.catalog import datastores, guests, operation_views, operations, unit
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common import certificates, config, sealing
from dbaas.common.killpoints import Side
from dbaas.contract import codec, errors
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.messages import Health, Prepared, ServiceStatus, VolumeSize
from dbaas.contract.operations import State
from dbaas.taskmanager.endings import InstanceEndings
from dbaas.taskmanager.flow import Flow
from dbaas.taskmanager.flows import FLOWS
from dbaas.taskmanager.journal import CatalogJournal
from dbaas.taskmanager.runner import Runner
from dbaas.taskmanager.steps.services import Entrance, Services
from dbaas.taskmanager.toolbox import Means
from tests.chaos import requests
from tests.fakes.cloud import FakeCloud

HEALTH = Health(ServiceStatus.HEALTHY, 1 << 30, 1 << 20)
ANSWERS: Mapping[type, object] = {
    Health: HEALTH,
    Prepared: Prepared(HEALTH),
    VolumeSize: VolumeSize(1 << 30, 1 << 20),
}
"""What a guest that is well says, by the type that a verb gives."""


_PAUSE = 0.05


@dataclass(frozen=True)
class Point:
    """Where a process can be told to die; `undo`: on a flow's way back."""

    kind: str
    step: str
    side: Side

    @property
    def undo(self) -> bool:
        return self.step.startswith("undo_")

    def __str__(self) -> str:
        return f"{self.kind}:{self.step}:{self.side}"


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any


class Api:
    """The application, spoken to without a network; implements `requests.Api`."""

    def __init__(self, application: app.App) -> None:
        self._client = falcon.testing.TestClient(application)
        self._project = uuid.uuid4().hex

    def request(self, method: str, path: str, body: object = None, /) -> Answer:
        headers = {"X-Roles": "admin", "Idempotency-Key": uuid.uuid4().hex}
        answer = self._client.simulate_request(
            method, f"/v1.0/{self._project}/{path}", json=body, headers=headers
        )
        return Answer(answer.status_code, answer.json if answer.content else None)


class SureLease:
    def check(self) -> None: ...


class ObligingBroker:
    """Has whatever it is asked to have."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class ObligingGuests:
    """Answer every command at once, and well; implement the task manager's `Bus`."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog

    def send(
        self,
        instance_id: str,
        command_id: str,
        epoch: int,
        method: str,
        body: bytes,
        request_id: str,
    ) -> None:
        given = ANSWERS.get(GUEST_VERBS[method].gives)

        def work(one: Unit) -> None:
            command = guests.outstanding(one, [command_id])[command_id]
            guests.answer(one, command, {"ok": codec.dump(given)})

        self._catalog.run(work)


class Rehearsal:
    """A deployment in which all goes well, and which knows the points that it came by."""

    def __init__(self, catalog: Catalog, means: Means) -> None:
        self.flows: Mapping[str, Flow[Any]] = FLOWS
        self.reached: list[Point] = []
        self.accepting: list[Point] = []
        """The API's."""
        self._catalog = catalog
        self._means = means

    def wake(self, _operation_id: str) -> None:
        """Carry on what was asked for, while whoever asked waits, until nothing is left to do."""
        runner = Runner(replace(self._means, reached=self._note), self.flows, InstanceEndings())
        while self._catalog.read(lambda one: operation_views.page(one, state=State.RUNNABLE)):
            claims = self._catalog.run(lambda one: operations.claim(one, "rehearsal", 60.0, 9))
            for claim in claims:
                runner.carry_on(claim, SureLease())
            time.sleep(0.0 if claims else _PAUSE)  # a step may wait for its cloud

    def _note(self, kind: str, step: str, side: Side) -> None:
        point = Point(kind, step, side)
        if point not in self.reached:
            self.reached.append(point)

    def note_accepting(self, kind: str, step: str, side: Side) -> None:
        self.accepting.append(Point(kind, step, side))


def all_points(catalog_url: str, home: Path) -> list[Point]:
    """Return every point of every flow, in the order in which an operation reaches them."""
    assert set(requests.CHANGES) | {requests.CREATE} == set(FLOWS), (
        "a flow that nobody asks for: say in tests/chaos/requests.py how a tenant does"
    )
    with _rehearsal(catalog_url, home) as (api, stage):
        _forwards(api)
        forwards = len(stage.reached)
        _back(api, stage)
    return stage.reached[:forwards] + [point for point in stage.reached[forwards:] if point.undo]


def points_of_accepting(catalog_url: str, home: Path) -> dict[str, list[Point]]:
    """Return the points that the API reaches while it accepts each kind of operation."""
    with _rehearsal(catalog_url, home) as (api, stage):
        instance = requests.create_instance(api)
        found = {requests.CREATE: stage.accepting}
        for kind, change in requests.CHANGES.items():
            stage.accepting = []
            change.ask(api, instance)
            found[kind] = stage.accepting
    return found


def _forwards(api: Api) -> None:
    instance = requests.create_instance(api)
    for change in requests.CHANGES.values():
        change.ask(api, instance)


def _back(api: Api, stage: Rehearsal) -> None:
    """Let each flow fail as late as it may: before its pivot, or in its last step."""
    for kind, flow in FLOWS.items():
        last = last_that_undoes(flow)
        if last is None:
            continue
        failing_flows = {**FLOWS, kind: failing(flow, last)}
        if kind == requests.CREATE:
            stage.flows = failing_flows
            requests.create_instance(api)
        else:
            instance = requests.create_instance(api)
            stage.flows = failing_flows
            requests.CHANGES[kind].ask(api, instance)
        stage.flows = FLOWS


def last_that_undoes(flow: Flow[Any]) -> int | None:
    """Return the last step whose failure undoes anything."""
    pivot = next((n for n, step in enumerate(flow.steps) if step.pivot), len(flow.steps))
    return pivot - 1 if any(step.undo for step in flow.steps[:pivot]) else None


def failing(flow: Flow[Any], number: int) -> Flow[Any]:
    """Return the flow with a step that does its work, and fails then."""
    step = flow.steps[number]

    def fail(data: Any, tools: Any) -> None:
        step.function(data, tools)
        raise errors.Failed("It was told to fail.")

    fail.__name__ = step.name
    steps = [*flow.steps]
    steps[number] = replace(step, function=fail)
    return replace(flow, steps=tuple(steps))


@contextmanager
def _rehearsal(catalog_url: str, home: Path) -> Iterator[tuple[Api, Rehearsal]]:
    key, settings = home / "master.key", home / "dbaas.conf"
    key.write_text("ab" * 32)
    key.chmod(0o600)
    settings.write_text(
        f"[api]\nauth_strategy = noauth\n[catalog]\nconnection = {catalog_url}\n"
        f"[secrets]\nmaster_key_file = {key}\n"
    )
    conf = config.load(["--config-file", str(settings)], [options, unit, sealing])
    catalog = Catalog(conf)
    try:
        catalog.run(lambda one: datastores.register(one, "mariadb", "11.8", "11.8", "mariadb", ""))
        sealer = sealing.from_conf(conf)
        cloud = FakeCloud()
        means = Means(
            journal=CatalogJournal(catalog, lambda _operation, _seconds: None),
            cloud=cloud,
            bus=ObligingGuests(catalog),
            sealer=sealer,
            reached=lambda _kind, _step, _side: None,
            services=Services(
                catalog=catalog,
                sealer=sealer,
                broker=ObligingBroker(),  # type: ignore[arg-type] # a fake
                authority=certificates.create_authority("chaos"),
                entrance=Entrance("127.0.0.1", 5671, "guest"),
            ),
        )
        stage = Rehearsal(catalog, means)
        application = app.make(
            conf, catalog, CloudOffers(cloud), stage, lambda *point: stage.note_accepting(*point)
        )
        yield Api(application), stage
    finally:
        catalog.close()
