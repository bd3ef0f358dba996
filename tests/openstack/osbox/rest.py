"""Requests to the box's services."""

from collections.abc import Mapping
from typing import Any

from keystoneauth1.identity import v3
from keystoneauth1.session import Session

from tests.openstack.osbox import accounts, addresses
from tests.openstack.osbox.accounts import User

ANSWER_SECONDS = 30.0
_VERSIONS: Mapping[str, Mapping[str, str]] = {
    "compute": {"OpenStack-API-Version": "compute 2.90"},
    "block-storage": {"OpenStack-API-Version": "volume 3.66"},
}


class Rest:
    """One user, logged in at his first request; threads may share it.

    Every method raises keystoneauth's exceptions.
    """

    def __init__(self, user: User, login_url: str = addresses.login_url()) -> None:
        login = v3.Password(
            auth_url=login_url,
            username=user.name,
            password=user.password,
            user_domain_name=accounts.DOMAIN,
            project_name=user.project,
            project_domain_name=accounts.DOMAIN,
        )
        self._session = Session(login, timeout=ANSWER_SECONDS)

    def ask(self, method: str, kind: str, path: str, body: object = None) -> Any:
        """Send a request to the service of this kind and return what it says, parsed."""
        headers = _VERSIONS.get(kind, {})
        answer = self._session.request(
            path, method, json=body, headers=headers, endpoint_filter=_where(kind)
        )
        return answer.json() if answer.content else None

    def upload(self, kind: str, path: str, content: bytes) -> None:
        headers = {"Content-Type": "application/octet-stream"}
        self._session.put(path, data=content, headers=headers, endpoint_filter=_where(kind))

    def listed(self, kind: str, path: str, key: str = "") -> list[dict[str, Any]]:
        """Return the objects at a path; `key` is what the answer calls them, if not by its name."""
        name = path.partition("?")[0].rpartition("/")[2]
        found: list[dict[str, Any]] = self.ask("GET", kind, path)[key or name]
        return found

    def project_id(self) -> str:
        return str(self._session.get_project_id())


def _where(kind: str) -> dict[str, str]:
    return {"service_type": kind, "interface": "internal", "region_name": addresses.REGION}
