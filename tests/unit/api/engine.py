"""A guest and its task manager in memory: carries out what the API asks, when it is woken."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from dbaas.catalog import instances, operation_views, tables
from dbaas.catalog.unit import Catalog, Unit
from dbaas.common.sealing import Sealer
from dbaas.contract import codec, errors, messages
from dbaas.contract.interfaces import GUEST_VERBS
from dbaas.contract.messages import ServiceStatus
from dbaas.contract.requests import AskGuest, EnableRoot

Key = messages.UserKey
T = TypeVar("T")


@dataclass
class Guest:
    """One engine; `asked` are the verbs that it was asked, in order."""

    catalog: Catalog
    sealer: Sealer
    databases: dict[str, messages.DatabaseSpec] = field(default_factory=dict)
    users: dict[Key, messages.UserSpec] = field(default_factory=dict)
    root: str | None = None
    silent: bool = False
    asked: list[str] = field(default_factory=list)

    def serve(self, operation_id: str) -> None:
        """Carry out the operation as a task manager does, if it is for a guest."""
        table = tables.operations
        if self.silent:
            return
        row = self.catalog.read(
            lambda unit: unit.execute(table.select().where(table.c.id == operation_id)).one()
        )
        work = {
            "ask_guest": self._ask,
            "enable_root": self._enable_root,
            "disable_root": self._disable_root,
        }.get(row.kind)
        if work is None:
            return
        try:
            values = {"state": "succeeded", "answer": work(row)}
        except errors.Error as error:
            values = {
                "state": "failed",
                "fault_kind": type(error).__name__,
                "fault_message": error.text,
            }
        self._write(lambda unit: unit.execute(
            table.update().where(table.c.id == operation_id).values(**values)
        ))  # fmt: skip

    def _write(self, work: Callable[[Unit], Any]) -> None:
        self.catalog.run(work)

    def _ask(self, row: Any) -> str:
        request = codec.load(AskGuest, json.loads(row.request), self.sealer.show)
        verb = GUEST_VERBS[request.verb]
        self.asked.append(verb.name)
        order = codec.load_any(verb.takes, request.order, self.sealer.show)
        method = getattr(self, verb.name)
        answer = method() if verb.takes is None else method(order)
        return json.dumps(codec.dump(answer, self.sealer.hide))

    def _enable_root(self, row: Any) -> None:
        request = codec.load(EnableRoot, json.loads(row.request), self.sealer.show)
        self.root = request.password.reveal()
        self._write(lambda unit: instances.root_enabled(unit, row.instance_id, row.user_id))

    def _disable_root(self, row: Any) -> None:
        self.root = None
        self._write(lambda unit: instances.root_disabled(unit, row.instance_id))

    # The verbs, as an engine answers them

    def ping(self) -> messages.Health:
        return messages.Health(ServiceStatus.HEALTHY)

    def list_databases(self, order: messages.Page) -> messages.DatabasePage:
        names = [name for name in sorted(self.databases) if name > order.marker]
        return messages.DatabasePage(tuple(names[: order.limit]), len(names) > order.limit)

    def create_databases(self, order: messages.Databases) -> None:
        for one in order.databases:
            if one.name in self.databases:
                raise errors.Conflict(f"Database {one.name!r} exists already.")
        self.databases |= {one.name: one for one in order.databases}

    def delete_database(self, order: messages.DatabaseName) -> None:
        if self.databases.pop(order.name, None) is None:
            raise errors.NotFound(f"Database {order.name!r} cannot be found.")

    def list_users(self, order: messages.Page) -> messages.UserPage:
        keys = {f"{key.name}@{key.host}": key for key in self.users}
        names = [name for name in sorted(keys) if name > order.marker]
        shown = tuple(self.show_user(keys[name]) for name in names[: order.limit])
        return messages.UserPage(shown, len(names) > order.limit)

    def show_user(self, order: Key) -> messages.UserView:
        user = self._user(order)
        return messages.UserView(user.name, user.host, tuple(sorted(user.databases)))

    def create_users(self, order: messages.Users) -> None:
        for one in order.users:
            if Key(one.name, one.host) in self.users:
                raise errors.Conflict(f"User {one.name!r} exists already.")
        self.users |= {Key(one.name, one.host): one for one in order.users}

    def change_users(self, order: messages.UserChanges) -> None:
        for change in order.changes:
            user = self._user(change.user)
            new = replace(
                user,
                name=change.name or user.name,
                host=change.host or user.host,
                password=change.password or user.password,
            )
            key = Key(new.name, new.host)
            if key != change.user and key in self.users:
                raise errors.Conflict(f"User {new.name!r} exists already.")
            del self.users[change.user]
            self.users[key] = new

    def delete_user(self, order: Key) -> None:
        self._user(order)
        del self.users[order]

    def grant_access(self, order: messages.Access) -> None:
        user = self._user(order.user)
        have = dict.fromkeys((*user.databases, *order.databases))
        self.users[order.user] = replace(user, databases=tuple(have))

    def revoke_access(self, order: messages.Access) -> None:
        user = self._user(order.user)
        for name in order.databases:
            if name not in user.databases:
                raise errors.NotFound(f"User {user.name!r} has no rights on {name!r}.")
        left = tuple(name for name in user.databases if name not in order.databases)
        self.users[order.user] = replace(user, databases=left)

    def _user(self, key: Key) -> messages.UserSpec:
        if key not in self.users:
            raise errors.NotFound(f"User {key.name}@{key.host} cannot be found.")
        return self.users[key]


def request_of(catalog: Catalog, operation_id: str, kind: type[T]) -> T:
    """Return what was asked for, as the operation has it."""
    table = tables.operations
    query = table.select().where(table.c.id == operation_id)
    row = catalog.read(lambda unit: unit.execute(query).one())
    return codec.load(kind, json.loads(row.request))


def newest(catalog: Catalog, instance_id: str) -> operation_views.OperationView:
    """Return the latest operation of the instance."""
    found: operation_views.OperationView = catalog.read(
        lambda unit: operation_views.page(unit, instance_id=instance_id)
    )[0]
    return found
