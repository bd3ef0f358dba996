"""Finds the image of a guest: by its id, or the newest that has all of some tags."""

from collections.abc import Collection
from typing import Any

import glanceclient.exc
from glanceclient.v2.client import Client
from keystoneauth1.session import Session

from dbaas.cloud.openstack.calls import calling
from dbaas.cloud.openstack.settings import Settings
from dbaas.contract import errors

GLANCE = "The image service"


def client(session: Session, settings: Settings) -> Client:
    return Client(session=session, region_name=settings.region_name, interface=settings.interface)


class Images:
    def __init__(self, session: Session, settings: Settings) -> None:
        self._glance = client(session, settings)

    def count(self) -> int:
        """Return how many images there are that servers can be made of."""
        with calling(GLANCE):
            return sum(1 for _ in self._glance.images.list(filters={"status": "active"}))

    def find(self, image: str, tags: Collection[str]) -> str:
        """Return the id of an image that servers can be made of; raise `NotFound`, `Invalid`."""
        if not image and not tags:
            raise errors.Invalid("The datastore version names no image: neither an id nor tags.")
        found = self._by_id(image) if image else self._by_tags(tags)
        if found is None:
            wanted = image or f"with the tags {', '.join(tags)}"
            raise errors.NotFound(f"There is no active image {wanted}.")
        return str(found["id"])

    def _by_id(self, image: str) -> Any:
        with calling(GLANCE):
            try:
                found = self._glance.images.get(image)
            except glanceclient.exc.HTTPNotFound:
                return None
        return found if found["status"] == "active" else None

    def _by_tags(self, tags: Collection[str]) -> Any:
        with calling(GLANCE):
            found = self._glance.images.list(
                filters={"tag": list(tags), "status": "active"}, sort="created_at:desc", limit=1
            )
            return next(iter(found), None)
