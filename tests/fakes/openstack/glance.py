"""Glance, for what is asked of it: images by id and by tags, and new ones."""

import uuid
from collections.abc import Sequence
from http import HTTPStatus

from tests.fakes.openstack.web import Answer, Json, Refusal, Request, Route, World, paged

TAGS = ("dbaas", "mariadb", "contract")
IMAGE = "1b9c2a7e-0000-4000-8000-0000000000a2"
"""The newest with those tags that can be used."""


class Glance:
    prefix = "/image"
    open: Sequence[str] = ()

    def __init__(self, world: World) -> None:
        self.images: list[Json] = []
        self.contents: dict[str, bytes] = {}
        """What was uploaded, by the image's id."""
        self._world = world
        old = IMAGE.replace("a2", "a1")
        for image, status, day in ((old, "active", 1), (IMAGE, "active", 2), ("new", "queued", 3)):
            self.images.append(
                {
                    "id": image,
                    "name": f"guest of day {day}",
                    "status": status,
                    "tags": list(TAGS),
                    "created_at": f"2026-01-0{day}T00:00:00Z",
                    "visibility": "private",
                    "disk_format": "qcow2",
                }
            )

    @property
    def routes(self) -> Sequence[Route]:
        return (
            ("GET", "/v2/images", self._list),
            ("GET", "/v2/images/([^/]+)", self._show),
            ("GET", "/v2/schemas/image", self._schema),
            ("POST", "/v2/images", self._create),
            ("PUT", "/v2/images/([^/]+)/file", self._upload),
            ("DELETE", "/v2/images/([^/]+)", self._delete),
        )

    def refused(self, refusal: Refusal) -> Answer:
        title = f"{refusal.status} {HTTPStatus(refusal.status).phrase}"
        text = f"<h1>{title}</h1>{refusal.message}<br /><br />"
        return Answer(refusal.status, f"<html><head><title>{title}</title></head>{text}</html>")

    def _schema(self, _request: Request) -> Answer:
        """Say what an image has: the client asks before all else."""
        properties = {"id": "string", "tags": "array", "min_disk": "integer"}
        schema: Json = {
            "name": "image",
            "properties": {name: {"type": kind} for name, kind in properties.items()},
        }
        return Answer(body=schema | {"additionalProperties": {"type": "string"}})

    def _list(self, request: Request) -> Answer:
        tags = set(request.query.get("tag", ()))
        found = [
            image
            for image in self.images
            if tags <= set(image["tags"]) and request.matches(image, "status")
        ]
        key, _, way = (request.one("sort") or "created_at:desc").partition(":")
        found.sort(key=lambda image: str(image[key]), reverse=way == "desc")
        page, following = paged(self._world, request, found)
        body: Json = {"images": page}
        if following:
            body["next"] = following
        return Answer(body=body)

    def _show(self, _request: Request, image_id: str) -> Answer:
        return Answer(body=dict(self._expect(image_id)))

    def _create(self, request: Request) -> Answer:
        made = {"id": str(uuid.uuid4()), "status": "queued", "created_at": "2026-02-01T00:00:00Z"}
        self.images.append({"tags": [], "visibility": "shared", **request.body, **made})
        return Answer(HTTPStatus.CREATED, dict(self.images[-1]))

    def _upload(self, request: Request, image_id: str) -> Answer:
        image = self._expect(image_id)
        self.contents[image_id] = request.body
        image |= {"status": "active", "size": len(request.body)}
        return Answer(HTTPStatus.NO_CONTENT)

    def _delete(self, _request: Request, image_id: str) -> Answer:
        self.images.remove(self._expect(image_id))
        return Answer(HTTPStatus.NO_CONTENT)

    def _expect(self, image_id: str) -> Json:
        for image in self.images:
            if image["id"] == image_id:
                return image
        raise Refusal(HTTPStatus.NOT_FOUND, f"Failed to find image {image_id}")
