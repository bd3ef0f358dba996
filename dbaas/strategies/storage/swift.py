"""OpenStack Swift as a guest has it: by TempURLs, objects known by their MD5."""

from dbaas.contract import errors
from dbaas.contract.messages import Segment
from dbaas.contract.secret import Secret
from dbaas.strategies.storage.http import Http


class Swift(Http):
    """Implements `Storage`.

    OpenStack documentation, "Object Storage API": a PUT whose ETag is not its body's is refused
    with 422, and the answer to a PUT has the object's ETag.
    """

    tells_md5 = True

    def put(self, url: Secret, segment: Segment, content: memoryview) -> None:
        headers = {"ETag": segment.md5, "Content-Type": "application/octet-stream"}
        if self.send(url, content, headers) not in ("", segment.md5):
            raise errors.Unavailable(
                f"the storage has something else than was sent as {segment.name}"
            )
