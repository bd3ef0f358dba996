"""A deployment in one process: the real application, flows and catalog, over any cloud.

Guests and broker are in memory. What is asked for is carried out while whoever asked waits.
"""

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import falcon.testing
from sqlalchemy import text, update

from dbaas.api import app, options
from dbaas.api.offers import CloudOffers
from dbaas.catalog import (
    archive_bases,
    archive_orders,
    backup_orders,
    datastores,
    guests,
    leftovers,
    operation_views,
    operations,
    quotas,
    tables,
    unit,
)
from dbaas.catalog.archive_bases import Delay
from dbaas.catalog.moments import NOW, later
from dbaas.catalog.unit import Catalog, Unit
from dbaas.cloud.base import Cloud
from dbaas.common import certificates, config, killpoints, sealing
from dbaas.common.killpoints import Reached
from dbaas.contract import codec, errors
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.messages import (
    BackupOrder,
    DataCheck,
    Failure,
    Health,
    MergeOrder,
    Prepared,
    Restored,
    ServiceStatus,
    VolumeSize,
)
from dbaas.contract.operations import State
from dbaas.taskmanager.endings import InstanceEndings
from dbaas.taskmanager.flow import HOUR, Flow
from dbaas.taskmanager.flows import FLOWS
from dbaas.taskmanager.journal import CatalogJournal
from dbaas.taskmanager.runner import Runner
from dbaas.taskmanager.steps.services import Entrance, Services
from dbaas.taskmanager.toolbox import Means
from tests.fakes.vault import FakeVault

HEALTH = Health(ServiceStatus.HEALTHY, 1 << 30, 1 << 20)
ANSWERS: Mapping[type, object] = {
    Health: HEALTH,
    Prepared: Prepared(HEALTH),
    VolumeSize: VolumeSize(1 << 30, 1 << 20),
    Restored: Restored(1 << 20, 0.5),
    DataCheck: DataCheck(3, 1000, 0.1),
}
"""What a guest that is well says, by the type that a verb gives."""

PAUSE = 0.02
"""Seconds between two looks for something to do."""

LEASE = 0.05
"""Seconds after which what a task manager died over is carried on."""


class Death(BaseException):
    """The task manager dies here, and another one is there at once."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]


class Api:
    """The application, spoken to without a network; implements `requests.Api` of chaos tests."""

    def __init__(self, application: app.App) -> None:
        self._client = falcon.testing.TestClient(application)
        self.project = uuid.uuid4().hex

    def request(self, method: str, path: str, body: object = None, /) -> Answer:
        headers = {"X-Roles": "admin", "Idempotency-Key": uuid.uuid4().hex}
        answer = self._client.simulate_request(
            method, f"/v1.0/{self.project}/{path}", json=body, headers=headers
        )
        return Answer(answer.status_code, answer.json if answer.content else None, answer.headers)


class SureLease:
    def check(self) -> None: ...


class ObligingBroker:
    """Has whatever it is asked to have."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_: None


class ObligingGuests:
    """Answer every command at once, and well unless told otherwise; the task manager's `Bus`."""

    def __init__(self, catalog: Catalog, vault: FakeVault) -> None:
        self.vault = vault
        self.asked: list[str] = []
        """Every verb, in order."""
        self.orders: list[Any] = []
        """What was to be archived and restored, in order."""
        self.fails: dict[str, errors.Error] = {}
        """What becomes of these verbs, once."""
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
        self.asked.append(method)
        answer = ANSWERS.get(GUEST_VERBS[method].gives)
        if method in ("archive", "restore_backup"):
            self.orders.append(json.loads(body)["args"])
        if method == "take_backup":
            answer = self.vault.fill(codec.load(BackupOrder, json.loads(body)["args"]))
        if method == "merge_archive":
            answer = self.vault.merge(codec.load(MergeOrder, json.loads(body)["args"]))
        result: object = {"ok": codec.dump(answer)}
        if failure := self.fails.pop(method, None):
            result = {"error": codec.dump(Failure(type(failure).__name__, failure.text))}

        def work(one: Unit) -> None:
            command = guests.outstanding(one, [command_id])[command_id]
            guests.answer(one, command, result)

        self._catalog.run(work)


class Rehearsal:
    """`reached` hears of every point that a task manager comes by, `accepting` of the API's."""

    def __init__(self, catalog: Catalog, means: Means, bus: ObligingGuests) -> None:
        self.flows: Mapping[str, Flow[Any]] = FLOWS
        self.reached: Reached = killpoints.nothing
        self.accepting: Reached = killpoints.nothing
        self.guests = bus
        self.catalog = catalog
        self._catalog = catalog
        self._means = means

    def hasten(self, kind: str, step: str) -> None:
        """Have a step of these flows give up soon."""
        flow = self.flows[kind]
        steps = tuple(replace(one, deadline=0.2) if one.name == step else one for one in flow.steps)
        self.flows = {**self.flows, kind: replace(flow, steps=steps)}

    def sweep(self) -> None:
        """Do these duties now: whatever was granted to guests is over."""
        self._catalog.run(_end_grants)
        self._catalog.run(lambda one: leftovers.sweep(one, self._means.sealer))
        self.prune_archives()

    def prune_archives(self) -> None:
        """Do that duty now: an hour has passed."""
        self.ask_for_pruning()
        self.wake("")

    def ask_for_pruning(self) -> None:
        self._catalog.run(_pass_an_hour)
        self._catalog.run(lambda one: archive_orders.prune(one, self._means.sealer, 3600.0))

    def back_up_after_gaps(self, **limits: int) -> list[Delay]:
        """Do that duty now: whatever is to wait has waited. `limits`: those that there are."""
        quota = dict.fromkeys(quotas.RESOURCES, quotas.UNLIMITED) | limits
        storages = (self.guests.vault.name,)
        means = backup_orders.Means(self._means.sealer, quota, storages, "database_backups")
        self._catalog.run(_end_delays)
        delays = self._catalog.run(lambda one: archive_bases.take(one, means))
        self.wake("")
        return delays

    def compact_archives(self) -> None:
        """Do that duty now: an hour has passed."""
        self.pass_an_hour()
        self.ask_for_compaction()
        self.wake("")

    def ask_for_compaction(self) -> None:
        self._catalog.run(lambda one: archive_orders.compact(one, self._means.sealer, HOUR))

    def pass_an_hour(self) -> None:
        self._catalog.run(_pass_an_hour)

    def carry_archives_on(self, *versions: str) -> None:
        """Do that duty now; `versions`: those that have an archive unasked."""
        self.ask_for_archives(*versions)
        self.wake("")

    def ask_for_archives(self, *versions: str) -> None:
        self._catalog.run(lambda one: archive_orders.attend(one, self._means.sealer, versions))

    def wake(self, _operation_id: str) -> None:
        """Carry on what was asked for until nothing is left to do."""
        means = replace(self._means, reached=lambda *point: self.reached(*point))
        runner = Runner(means, self.flows, InstanceEndings())
        while self._catalog.read(lambda one: operation_views.page(one, state=State.RUNNABLE)):
            claims = self._catalog.run(lambda one: operations.claim(one, "rehearsal", LEASE, 9))
            for claim in claims:
                with suppress(Death):
                    runner.carry_on(claim, SureLease())
            if not claims:
                time.sleep(PAUSE)  # a step may wait for its cloud
                self._catalog.run(_hurry)


def _pass_an_hour(one: Unit) -> None:
    table = tables.archives
    one.execute(
        update(table).values(
            created_at=text("created_at - INTERVAL 4000 SECOND"), compacted_at=None, pruned_at=None
        )
    )


def _end_delays(one: Unit) -> None:
    table = tables.archives
    one.execute(update(table).where(table.c.base_due_at.is_not(None)).values(base_due_at=NOW))


def _end_grants(one: Unit) -> None:
    one.execute(update(tables.backups).values(granted_until=NOW))
    one.execute(update(tables.archives).values(granted_until=later(-1.0)))


def _hurry(one: Unit) -> None:
    """Let no operation wait for a later time: delays are there to be polite."""
    one.execute(
        update(tables.operations).values(run_at=NOW).where(tables.operations.c.run_at > NOW)
    )


@contextmanager
def rehearsing(
    catalog_url: str, home: Path, cloud: Cloud, image: str = ""
) -> Iterator[tuple[Api, Rehearsal]]:
    """Give a deployment that offers MariaDB of this image."""
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
        catalog.run(
            lambda one: datastores.register(one, "mariadb", "11.8", "11.8", "mariadb", image)
        )
        sealer = sealing.from_conf(conf)
        vault = FakeVault()
        bus = ObligingGuests(catalog, vault)
        means = Means(
            journal=CatalogJournal(catalog, lambda _operation, _seconds: None),
            cloud=cloud,
            bus=bus,
            sealer=sealer,
            reached=killpoints.nothing,
            services=Services(
                catalog=catalog,
                sealer=sealer,
                broker=ObligingBroker(),  # type: ignore[arg-type] # a fake
                authority=certificates.create_authority("rehearsal"),
                entrance=Entrance("127.0.0.1", 5671, "guest"),
                vaults={vault.name: vault},
            ),
        )
        stage = Rehearsal(catalog, means, bus)
        application = app.make(
            conf,
            catalog,
            CloudOffers(cloud),
            stage,
            lambda *point: stage.accepting(*point),
            storages={vault.name: vault},
        )
        yield Api(application), stage
    finally:
        catalog.close()
