"""What Keystone knows: the services and where they are, projects, users and their roles."""

from tests.openstack.osbox import accounts, addresses
from tests.openstack.osbox.accounts import ADMIN, User
from tests.openstack.osbox.addresses import GATEWAY, LOOPBACK, REGION, Api
from tests.openstack.osbox.rest import Rest

KIND = "identity"
Ids = dict[str, str]


def make() -> None:
    """Make all of it, in a Keystone that has been bootstrapped."""
    admin = Rest(ADMIN)
    for api in addresses.CATALOG:
        _add_service(admin, api)
    projects, roles = _ids(admin, "projects"), _ids(admin, "roles")
    for name in accounts.PROJECTS:
        projects[name] = _create(admin, "project", {"name": name, "domain_id": "default"})
    for name in accounts.ROLES:
        roles[name] = _create(admin, "role", {"name": name})
    for user in (*accounts.PEOPLE, *accounts.SERVICES):
        _add_user(admin, user, projects, roles)


def project_ids(admin: Rest) -> Ids:
    return _ids(admin, "projects")


def _add_service(admin: Rest, api: Api) -> None:
    """Guests come by the public endpoints; ours is for the tests, which are in the namespace."""
    service = _create(admin, "service", {"type": api.kind, "name": api.name})
    for interface in ("public", "internal", "admin"):
        outside = interface == "public" and api is not addresses.DATABASE
        endpoint = {
            "service_id": service,
            "interface": interface,
            "region": REGION,
            "url": api.url(GATEWAY if outside else LOOPBACK),
        }
        _create(admin, "endpoint", endpoint)


def _add_user(admin: Rest, user: User, projects: Ids, roles: Ids) -> None:
    known = _ids(admin, "users")
    body = {
        "name": user.name,
        "password": user.password,
        "domain_id": "default",
        "default_project_id": projects[user.project],
    }
    id_ = known.get(user.name) or _create(admin, "user", body)
    for role in user.roles:
        at = f"/projects/{projects[user.project]}/users/{id_}/roles/{roles[role]}"
        admin.ask("PUT", KIND, at)


def _ids(admin: Rest, kind: str) -> Ids:
    return {one["name"]: one["id"] for one in admin.listed(KIND, f"/{kind}")}


def _create(admin: Rest, kind: str, body: object) -> str:
    return str(admin.ask("POST", KIND, f"/{kind}s", {kind: body})[kind]["id"])
