"""What the agent does when it is ordered to: the guest's side of the interface."""

import time
from collections.abc import Callable
from typing import TypeVar

from dbaas.contract import errors, messages
from dbaas.contract.interfaces import GuestAgent
from dbaas.contract.messages import ServiceStatus
from dbaas.engines import manifests
from dbaas.engines.base import Tenancy
from dbaas.guestagent.archiver import Archiver
from dbaas.guestagent.desk import Task
from dbaas.guestagent.supervisor import Supervisor
from dbaas.guestagent.transfers import Transfers
from dbaas.host import volumes

FIRST_START = 300.0
RESTART = 80.0
"""Seconds that a server may take to answer: with the time to stop it, less than the deadline."""
PATIENCE, PAUSE = 20.0, 0.02
"""Seconds for which a server that died is waited for, and between two looks at it."""

T = TypeVar("T")


class Endpoint(GuestAgent):
    """Carries out one command; every verb may be repeated."""

    def __init__(
        self,
        task: Task,
        supervisor: Supervisor,
        introduce: Callable[[messages.Introduction], None],
        cancel: Callable[[str], messages.Cancelled],
        transfers: Transfers,
        archiver: Archiver,
        patience: float = PATIENCE,
    ) -> None:
        self._task = task
        self._supervisor = supervisor
        self._introduce = introduce
        self._cancel = cancel
        self._transfers = transfers
        self._archiver = archiver
        self._patience = patience

    def introduce(self, order: messages.Introduction) -> None:
        self._introduce(order)

    def prepare(self, order: messages.Prepare) -> messages.Prepared:
        engine = manifests.load(order.engine, order.version, self._supervisor.places)
        with self._supervisor.changing(ServiceStatus.BUILDING):
            self._supervisor.volume.take()
            engine.install(order)
            self._task.check()
            engine.start(FIRST_START)
            self._task.check()
            engine.admit(order)
            self._supervisor.keep(order.engine, order.version, engine)
        return messages.Prepared(self._supervisor.measure())

    def restart(self) -> messages.Health:
        engine = self._supervisor.engine
        with self._supervisor.changing(ServiceStatus.RESTARTING):
            engine.stop()
            self._supervisor.volume.take()
            engine.start(RESTART)
        return self._supervisor.measure()

    def grow_volume(self, order: messages.VolumeGrowth) -> messages.VolumeSize:
        usage = volumes.grow(self._supervisor.places.volume, order.size)
        return messages.VolumeSize(usage.total, usage.used)

    def release_volume(self) -> None:
        engine = self._supervisor.engine
        with self._supervisor.changing(ServiceStatus.SHUTDOWN):
            engine.stop()
            self._supervisor.volume.release()

    def take_volume(self) -> messages.Health:
        engine = self._supervisor.engine
        with self._supervisor.changing(ServiceStatus.RESTARTING):
            self._supervisor.volume.take()
            engine.start(RESTART)
        return self._supervisor.measure()

    def list_databases(self, order: messages.Page) -> messages.DatabasePage:
        return self._inside(lambda tenancy: tenancy.list_databases(order))

    def create_databases(self, order: messages.Databases) -> None:
        self._inside(lambda tenancy: tenancy.create_databases(order, self._task))

    def delete_database(self, order: messages.DatabaseName) -> None:
        self._inside(lambda tenancy: tenancy.delete_database(order, self._task))

    def list_users(self, order: messages.Page) -> messages.UserPage:
        return self._inside(lambda tenancy: tenancy.list_users(order))

    def show_user(self, order: messages.UserKey) -> messages.UserView:
        return self._inside(lambda tenancy: tenancy.show_user(order))

    def create_users(self, order: messages.Users) -> None:
        self._inside(lambda tenancy: tenancy.create_users(order, self._task))

    def change_users(self, order: messages.UserChanges) -> None:
        self._inside(lambda tenancy: tenancy.change_users(order, self._task))

    def delete_user(self, order: messages.UserKey) -> None:
        self._inside(lambda tenancy: tenancy.delete_user(order, self._task))

    def grant_access(self, order: messages.Access) -> None:
        self._inside(lambda tenancy: tenancy.grant_access(order))

    def revoke_access(self, order: messages.Access) -> None:
        self._inside(lambda tenancy: tenancy.revoke_access(order, self._task))

    def enable_root(self, order: messages.RootPassword) -> None:
        self._inside(lambda tenancy: tenancy.enable_root(order))

    def disable_root(self) -> None:
        self._inside(lambda tenancy: tenancy.disable_root())

    def use_memory(self, order: messages.Memory) -> messages.Health:
        if self._supervisor.engine.use_memory(order.memory_mib):
            return self.restart()
        return self._supervisor.measure()

    def take_backup(self, order: messages.BackupOrder) -> messages.StoredBackup:
        from dbaas.guestagent import backups  # what only these need: an agent has to start soon

        engine, tell = self._supervisor.engine, self._transfers.tell
        with self._transfers.running(self._task.command) as transfer:
            return backups.take(order, engine, transfer, self._task.check, tell)

    def renew_grant(self, order: messages.GrantRenewal) -> None:
        self._transfers.renew(order)

    def archive(self, order: messages.ArchiveOrder) -> None:
        from dbaas.strategies import registry  # as above

        strategy = registry.load("archive", order.strategy)(self._supervisor.engine)
        strategy.keep(bool(order.stream))
        self._archiver.tell(order)

    def merge_archive(self, order: messages.MergeOrder) -> messages.Segment:
        from dbaas.guestagent import merging

        return merging.merge(order, self._task.check)

    def restore_backup(self, order: messages.RestoreOrder) -> messages.Restored:
        from dbaas.guestagent import restores

        engine = manifests.load(order.engine, order.version, self._supervisor.places)
        if engine.process() is not None:
            raise errors.Conflict("a database server runs here: nothing is laid out below it")
        task, tell = self._task, self._transfers.tell
        with self._transfers.running(task.command) as transfer:
            self._supervisor.volume.take()
            usage = self._supervisor.volume.usage()
            tools = restores.Tools(transfer, task.check, tell)
            return restores.restore(order, engine, usage.total - usage.used, tools)

    def check_data(self) -> messages.DataCheck:
        return self._supervisor.engine.check_data(self._task.check)

    def ping(self) -> messages.Health:
        return self._supervisor.measure()

    def cancel(self, order: messages.Cancel) -> messages.Cancelled:
        return self._cancel(order.command)

    def _inside(self, verb: Callable[[Tenancy], T]) -> T:
        """Do it in the database server; if that dies on the way, go on when it is back."""
        expired = time.monotonic() + self._patience
        while True:
            try:
                with self._supervisor.engine.tenancy() as tenancy:
                    return verb(tenancy)
            except errors.Unavailable:
                if not self._task.begun or time.monotonic() > expired:
                    raise
            self._task.check()
            time.sleep(PAUSE)
