"""/instances/{id}/users: the accounts of an instance's engine, and what they may access."""

from typing import Any

import falcon

from dbaas.api import bodies, pages, paths, views
from dbaas.api.resources.base import accepted, allowed, answer, existing_id
from dbaas.api.schemas import accounts as schemas
from dbaas.api.services import Services
from dbaas.api.usecases import accounts, ask_guest
from dbaas.contract import errors
from dbaas.contract.messages import Access, Page, UserKey, UserPage, UserView
from dbaas.contract.messages import Users as UsersOrder


class Users:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:user:index")
        id_ = existing_id(instance_id)
        page = pages.asked_by_name(req, services.options.users_page_size)
        order = Page(page.limit, _marker(page.marker))
        found: UserPage = ask_guest.read(req, services, id_, "list_users", order)
        body: dict[str, object] = {"users": [views.user(one) for one in found.users]}
        if found.more and found.users:
            last = found.users[-1]
            marker = paths.marker(f"{last.name}@{last.host}")
            body["links"] = pages.next_link(req, page.limit, marker)
        answer(resp, body)

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        allowed(req, self._services, "instance:extension:user:create")
        id_ = existing_id(instance_id)
        order = _made(bodies.read(req))
        ask_guest.write(req, self._services, id_, "create_users", order)
        accepted(resp)

    def on_put(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, **_: str
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:user:update_all")
        id_ = existing_id(instance_id)
        body = bodies.with_list(bodies.read(req), "user")
        schemas.CHANGE_PASSWORDS(body)
        order = accounts.passwords(body["users"], "users")
        ask_guest.write(req, services, id_, "change_users", order)
        accepted(resp)


def _made(body: dict[str, Any]) -> UsersOrder:
    body = bodies.with_list(body, "user")
    schemas.CREATE_USERS(body)
    return UsersOrder(accounts.users(body["users"], "users"))


def _marker(text: str) -> str:
    """Return a marker as a guest knows it: `name@host`."""
    if not text:
        return ""
    key = paths.user(text)
    return f"{key.name}@{key.host}"


class User:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, user: str, **_: str
    ) -> None:
        found = _show(req, self._services, "instance:extension:user:show", instance_id, user)
        answer(resp, {"user": views.user(found)})

    def on_post(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, user: str, **_: str
    ) -> None:
        """Create it as `Users` does: openstacksdk posts to where the user is going to be."""
        allowed(req, self._services, "instance:extension:user:create")
        id_, key = existing_id(instance_id), _key(user)
        order = _made(bodies.read(req))
        if [one.name for one in order.users] != [key.name]:
            raise errors.Invalid(f"users must have the user of the path, {key.name!r}, alone.")
        ask_guest.write(req, self._services, id_, "create_users", order)
        accepted(resp)

    def on_put(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, user: str, **_: str
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:user:update")
        id_, key = existing_id(instance_id), _key(user)
        body = bodies.read(req)
        schemas.CHANGE_USER(body)
        order = accounts.change(key, body["user"], "user")
        ask_guest.write(req, services, id_, "change_users", order)
        accepted(resp)

    def on_delete(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, user: str, **_: str
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:user:delete")
        id_ = existing_id(instance_id)
        ask_guest.write(req, services, id_, "delete_user", _key(user))
        accepted(resp)


class UserDatabases:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_get(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, user: str, **_: str
    ) -> None:
        rule = "instance:extension:user_access:index"
        found = _show(req, self._services, rule, instance_id, user)
        answer(resp, {"databases": views.user(found)["databases"]})

    def on_put(
        self, req: falcon.Request, resp: falcon.Response, instance_id: str, user: str, **_: str
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:user_access:update")
        id_, key = existing_id(instance_id), _key(user)
        body = bodies.with_list(bodies.read(req), "database")
        schemas.GRANT(body)
        order = Access(key, accounts.granted(body["databases"], "databases"))
        ask_guest.write(req, services, id_, "grant_access", order)
        accepted(resp)


class UserDatabase:
    def __init__(self, services: Services) -> None:
        self._services = services

    def on_delete(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        instance_id: str,
        user: str,
        database: str,
        **_: str,
    ) -> None:
        services = self._services
        allowed(req, services, "instance:extension:user_access:delete")
        id_, key = existing_id(instance_id), _key(user)
        order = Access(key, (accounts.existing_database(paths.name(database)),))
        ask_guest.write(req, services, id_, "revoke_access", order)
        accepted(resp)


def _show(
    req: falcon.Request, services: Services, rule: str, instance_id: str, user: str
) -> UserView:
    allowed(req, services, rule)
    id_ = existing_id(instance_id)
    found: UserView = ask_guest.read(req, services, id_, "show_user", _key(user))
    return found


def _key(user: str) -> UserKey:
    return accounts.existing_user(paths.user(user))
