"""Swift, for what is asked of it: whether the service's account is open to the service."""

from collections.abc import Sequence
from http import HTTPStatus

from tests.fakes.openstack.keystone import PROJECT
from tests.fakes.openstack.web import Answer, Refusal, Request, Route


class Swift:
    prefix = "/object/v1"
    open: Sequence[str] = ()

    @property
    def routes(self) -> Sequence[Route]:
        return (("HEAD", f"/AUTH_{PROJECT}/?", self._account),)

    def refused(self, refusal: Refusal) -> Answer:
        return Answer(refusal.status, f"<html>{refusal.message}</html>")

    def _account(self, _request: Request) -> Answer:
        figures = {"X-Account-Container-Count": "2", "X-Account-Bytes-Used": "0"}
        return Answer(HTTPStatus.NO_CONTENT, headers=figures)
