"""Groups of servers in Nova: found again by their names, which Nova allows to be given twice."""

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import novaclient.exceptions

from dbaas.cloud.base import Locality
from dbaas.cloud.openstack.calls import calling
from dbaas.cloud.openstack.inventory import NOVA
from dbaas.contract import errors


class Groups:
    """`nova` is the client to act with."""

    def __init__(self, nova: Any) -> None:
        self._groups = nova.server_groups

    def make(self, name: str, locality: Locality) -> None:
        if not self._of(name):
            with calling(NOVA):
                self._groups.create(name, locality.value)

    def delete(self, name: str) -> None:
        for group in self._of(name):
            with calling(NOVA), suppress(novaclient.exceptions.NotFound):
                self._groups.delete(group.id)

    def id_of(self, name: str) -> str:
        """Return the id of the group of this name; raise `NotFound`."""
        found = self._of(name)
        if not found:
            raise errors.NotFound(f"there is no group {name}")
        return min(str(group.id) for group in found)

    def _of(self, name: str) -> list[Any]:
        return [group for group in self._all() if group.name == name]

    def _all(self) -> Iterator[Any]:
        """Yield every group of the service's project; Nova pages them by number."""
        seen = 0
        while True:
            with calling(NOVA):
                page = self._groups.list(offset=seen)
            if not page:
                return
            yield from page
            seen += len(page)
