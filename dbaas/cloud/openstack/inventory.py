"""The servers of this deployment as Nova knows them: found by their names, or by their ids.

Nova allows a name to be given twice. When an answer was lost and the settle time was too short
after all, there are two servers of one name: the older is the one, and both are deleted with it.
"""

import re
from collections.abc import Collection, Mapping
from typing import Any

import novaclient.client
from keystoneauth1.session import Session
from novaclient.v2.servers import Server

from dbaas.cloud.openstack.calls import calling, next_page
from dbaas.cloud.openstack.names import few
from dbaas.cloud.openstack.settings import Settings
from dbaas.contract import errors

NOVA = "The compute service"

MICROVERSION = "2.72"
"""Nova of Stein: tags at creation (2.52), groups with one policy (2.64)."""

READING = "2.46"
"""The last in which a server tells the id of its flavor; later ones tell a name."""

GONE = ("DELETED", "SOFT_DELETED")


class Inventory:
    """`nova` is the client to act with, `tag` what all of our servers have."""

    def __init__(self, session: Session, settings: Settings) -> None:
        self.nova = _client(session, settings, MICROVERSION)
        self.tag = f"dbaas:{settings.deployment}"
        self._reader = _client(session, settings, READING)

    def look(self, names: Collection[str] | None = None) -> dict[str, Any]:
        """Return Nova's own objects, one for each name; all that there are without names."""
        found = (
            self._list(name=_pattern(names)) if names is not None and few(names) else self._list()
        )
        here = [raw for raw in found if raw.status not in GONE]
        newest_first = sorted(here, key=lambda raw: (raw.created, raw.id), reverse=True)
        return {raw.name: raw for raw in newest_first if names is None or raw.name in names}

    def all_of(self, name: str) -> list[Any]:
        """Return all of this name, though there should be one at most."""
        return self._list(name=_pattern([name]))

    def names_of(self, ids: Collection[str]) -> dict[str, str]:
        """Return the names of the servers of these ids, as far as they are ours."""
        if len(ids) > 1:
            return {raw.id: raw.name for raw in self._list(detailed=False) if raw.id in ids}
        found = (self._get(server_id) for server_id in ids)
        return {raw.id: raw.name for raw in found if raw is not None and self.tag in raw.tags}

    def is_gone(self, server_id: str) -> bool:
        """Return whether there is no server of this id, whoever made it."""
        return self._get(server_id) is None

    def _get(self, server_id: str) -> Any:
        try:
            with calling(NOVA):
                return self._reader.servers.get(server_id)
        except errors.NotFound:
            return None

    def _list(self, *, detailed: bool = True, **search: Any) -> list[Any]:
        """Return what matches, by no more requests than there are pages.

        The client's own list asks for one page more, after a server that may be gone by then.
        """
        found = []
        params: Mapping[str, Any] | None = {"tags": self.tag, **search}
        while params is not None:
            with calling(NOVA):
                _, answer = self._reader.client.get(
                    "/servers/detail" if detailed else "/servers", params=params
                )
            found += answer["servers"]
            params = next_page(answer.get("servers_links", ()))
        return [Server(self.nova.servers, raw, loaded=True) for raw in found]


def _client(session: Session, settings: Settings, version: str) -> Any:
    return novaclient.client.Client(
        version,
        session=session,
        region_name=settings.region_name,
        endpoint_type=settings.interface,
    )


def _pattern(names: Collection[str]) -> str:
    return f"^({'|'.join(re.escape(name) for name in sorted(names))})$"
