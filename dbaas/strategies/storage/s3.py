"""S3 as a guest has it: by presigned URLs, one for each object, objects known by their MD5."""

import base64

from dbaas.contract import errors
from dbaas.contract.messages import Segment
from dbaas.contract.secret import Secret
from dbaas.strategies.storage.http import Http


class S3(Http):
    """Implements `Storage`.

    Amazon S3 API Reference, "PutObject": a body that is not what Content-MD5 says is refused. The
    answer's ETag is the MD5, unless the bucket encrypts with a customer's keys: such one is not for
    backups, which are encrypted already.
    """

    tells_md5 = True

    def put(self, url: Secret, segment: Segment, content: memoryview) -> None:
        digest = base64.b64encode(bytes.fromhex(segment.md5)).decode()
        tag = self.send(url, content, {"Content-MD5": digest})
        if len(tag) == len(segment.md5) and tag != segment.md5:
            raise errors.Unavailable(
                f"the storage has something else than was sent as {segment.name}"
            )
