"""Backups in S3, or what speaks like it: grants are presigned URLs, one for each object.

All of it is in one bucket of the operator's: a tenant's container is a part of the objects' names,
after the tenant's project, since buckets have names of their own kind and few owners.
"""

import base64
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from oslo_config import cfg

from dbaas.common.probes import Probe
from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.messages import Grant
from dbaas.contract.secret import Secret
from dbaas.strategies.grants import keys
from dbaas.strategies.grants.base import Method, Place, Stored, silent

LOG = logging.getLogger(__name__)

NAME = "s3"
GROUP = "storage_s3"
OPTS = [
    cfg.StrOpt(
        "endpoint",
        default="https://s3.amazonaws.com",
        help="URL of the service, as the services here reach it.",
    ),
    cfg.StrOpt(
        "url",
        default="",
        help="URL of the service, as guests and tenants reach it. Empty: the same.",
    ),
    cfg.StrOpt("region", default="us-east-1", help="Region that requests are signed for."),
    cfg.StrOpt("bucket", help="Bucket of all backups; it must be there."),
    cfg.StrOpt("access_key", help="Id of the key that may read, write, list and delete there."),
    cfg.StrOpt("secret_key", secret=True, help="The secret of that key."),
    cfg.StrOpt("cafile", help="File with the certificates to trust, for services and guests."),
    cfg.FloatOpt(
        "request_timeout",
        default=60.0,
        min=1.0,
        help="Seconds after which a service that has not answered counts as away.",
    ),
]

_LONGEST_KEY = 1024
"""Bytes (Amazon S3 User Guide, "Naming Amazon S3 objects")."""
_LONGEST_CONTAINER = 256
_PAGE = 1000
_AT_ONCE = 100
"""Objects that one request deletes: up to 1000 may be (S3 API Reference, "DeleteObjects"), but a
service that deletes them one after the other is silent for too long then."""
_VERBS: Mapping[Method, str] = {"PUT": "put_object", "GET": "get_object"}
_MISSING = ("404", "NoSuchKey", "NoSuchBucket", "NotFound")
_REFUSED = ("401", "403", "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch")

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """The options; `url` is where guests come to, `authority` is PEM."""

    endpoint: str
    url: str
    region: str
    bucket: str
    access_key: str
    secret_key: Secret
    cafile: str = ""
    authority: str = ""
    request_timeout: float = 60.0


def from_conf(conf: cfg.ConfigOpts, _sealer: Sealer) -> "S3Vault":
    conf.register_opts(OPTS, group=GROUP)
    options = conf[GROUP]
    for name in ("bucket", "access_key", "secret_key"):
        if not options[name]:
            raise errors.Invalid(f"[{GROUP}] {name} is not set")
    for name in ("endpoint", "url"):
        if options[name] and urlsplit(options[name]).scheme not in ("http", "https"):
            raise errors.Invalid(f"[{GROUP}] {name}: {options[name]!r} is no URL")
    return S3Vault(
        Settings(
            endpoint=options.endpoint.rstrip("/"),
            url=(options.url or options.endpoint).rstrip("/"),
            region=options.region,
            bucket=options.bucket,
            access_key=options.access_key,
            secret_key=Secret(options.secret_key),
            cafile=options.cafile or "",
            authority=_authority(options.cafile),
            request_timeout=options.request_timeout,
        )
    )


def _authority(cafile: str | None) -> str:
    try:
        return Path(cafile).read_text() if cafile else ""
    except OSError as error:
        raise errors.Invalid(f"[{GROUP}] cafile: {error}") from error


class S3Vault:
    """Threads may share it."""

    name = NAME

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._client = _client(settings, settings.endpoint)
        self._signer = _client(settings, settings.url)

    def account(self, project_id: str) -> str:
        return project_id

    def ensure(self, place: Place) -> None:
        _begin(place)
        self._ask(lambda client: client.head_bucket(Bucket=self._settings.bucket))

    def location(self, place: Place, name: str) -> str:
        words = (place.account, place.container, place.prefix + name)
        path = "/".join(quote(word, safe="/" if word is words[-1] else "") for word in words)
        return f"{self._settings.url}/{self._settings.bucket}/{path}"

    def locate(self, url: str) -> tuple[Place, str]:
        base = f"{self._settings.url}/{self._settings.bucket}"
        account, container, *words = [*keys.parts(base, url), ""]
        prefix, name = keys.split("/".join(words[:-1]))
        place = Place(account, container, prefix)
        _begin(place)
        return place, name

    def grant(self, place: Place, method: Method, names: Sequence[str], seconds: float) -> Grant:
        """Sign for each of the names; it asks nobody."""
        urls = {name: Secret(self._signed(_VERBS[method], place, name, seconds)) for name in names}
        return Grant(NAME, method, urls=urls, authority=self._settings.authority)

    def _signed(self, verb: str, place: Place, name: str, seconds: float) -> str:
        signed: str = self._signer.generate_presigned_url(
            verb,
            Params={"Bucket": self._settings.bucket, "Key": _begin(place) + name},
            ExpiresIn=max(1, round(seconds)),
        )
        return signed

    def listing(self, place: Place) -> Mapping[str, Stored]:
        begin = _begin(place)
        return {
            one["Key"].removeprefix(begin): Stored(
                one["Key"].removeprefix(begin), one["Size"], one.get("ETag", "").strip('"')
            )
            for page in self._pages(Prefix=begin)
            for one in page.get("Contents", ())
        }

    def put(self, place: Place, name: str, content: bytes) -> None:
        md5 = hashlib.md5(content, usedforsecurity=False).digest()
        self._ask(
            lambda client: client.put_object(
                Bucket=self._settings.bucket,
                Key=_begin(place) + name,
                Body=content,
                ContentMD5=base64.b64encode(md5).decode(),
            )
        )

    def get(self, place: Place, name: str, limit: int) -> bytes:
        def read(client: Any) -> bytes:
            found = client.get_object(Bucket=self._settings.bucket, Key=_begin(place) + name)
            with found["Body"] as body:
                if found["ContentLength"] > limit:
                    raise errors.Invalid(f"{name} has more than {limit} bytes")
                content: bytes = body.read()
                return content

        return self._ask(read)

    def size(self, place: Place, name: str) -> int:
        key = _begin(place) + name
        found = self._ask(lambda client: client.head_object(Bucket=self._settings.bucket, Key=key))
        return int(found["ContentLength"])

    def delete(self, place: Place) -> None:
        begin = _begin(place)
        if not place.prefix:
            raise errors.Invalid("a place without a prefix would be the whole container")
        for page in self._pages(Prefix=begin):
            found = [{"Key": one["Key"]} for one in page.get("Contents", ())]
            for start in range(0, len(found), _AT_ONCE):
                self._delete(found[start : start + _AT_ONCE])

    def remove(self, place: Place, names: Sequence[str]) -> None:
        begin = _begin(place)
        for start in range(0, len(names), _AT_ONCE):
            self._delete([{"Key": begin + name} for name in names[start : start + _AT_ONCE]])

    def _delete(self, objects: Sequence[Mapping[str, str]]) -> None:
        told = self._ask(
            lambda client: client.delete_objects(
                Bucket=self._settings.bucket, Delete={"Objects": objects, "Quiet": True}
            )
        )
        if failed := told.get("Errors"):
            LOG.warning("S3 did not delete %d objects: %s", len(failed), failed[0])
            raise errors.Unavailable("The object store did not delete all.")

    def groups(self, place: Place) -> Iterator[str]:
        begin = _begin(place)
        for page in self._pages(Prefix=begin, Delimiter="/"):
            for one in page.get("CommonPrefixes", ()):
                yield one["Prefix"].removeprefix(begin).rstrip("/")

    def probe(self) -> Probe:
        return Probe(
            "backups: S3",
            self._probe,
            f"Make the bucket of [{GROUP}], give the key rights on it, and check endpoint and "
            "region.",
        )

    def _probe(self) -> str:
        try:
            self._ask(lambda client: client.head_bucket(Bucket=self._settings.bucket))
        except errors.NotFound as error:
            raise errors.NotFound(f"there is no bucket {self._settings.bucket}") from error
        return f"bucket {self._settings.bucket}"

    def _pages(self, **what: str) -> Iterator[Mapping[str, Any]]:
        """Yield the pages of a listing; each is asked for when it is wanted."""
        after: Mapping[str, str] = {}
        while True:
            more = {"Bucket": self._settings.bucket, "MaxKeys": _PAGE, **what, **after}
            page = self._page(more)
            yield page
            if not page.get("IsTruncated"):
                return
            after = {"ContinuationToken": page["NextContinuationToken"]}

    def _page(self, what: Mapping[str, object]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._ask(lambda client: client.list_objects_v2(**what))
        return found

    def _ask(self, verb: Callable[[Any], T]) -> T:
        with _translated():
            return verb(self._client)


def _client(settings: Settings, endpoint: str) -> Any:
    """Return a client that signs by version 4, and has the bucket in the path."""
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": 1},
        connect_timeout=settings.request_timeout,
        read_timeout=settings.request_timeout,
        max_pool_connections=32,
        # Checksums that not every service knows, and that a guest would have to send.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    client = boto3.session.Session().client(
        "s3",
        endpoint_url=endpoint,
        region_name=settings.region,
        aws_access_key_id=settings.access_key,
        aws_secret_access_key=settings.secret_key.reveal(),
        verify=settings.cafile or None,
        config=config,
    )
    client.meta.events.register("before-sign.s3.DeleteObjects", _add_md5)
    return client


def _add_md5(request: Any, **_: Any) -> None:
    """Say the body's MD5, as S3's own manual asks for with this request: many services insist."""
    body = request.data if isinstance(request.data, bytes) else request.data.encode()
    md5 = hashlib.md5(body, usedforsecurity=False).digest()
    request.headers["Content-MD5"] = base64.b64encode(md5).decode()


def _begin(place: Place) -> str:
    """Return what the keys of a place begin with; raise `Invalid` for names that cannot be."""
    for word in (place.account, place.container):
        if not word or "/" in word or "\0" in word or word in (".", ".."):
            raise errors.Invalid("the name of a container is not empty, and has no slash or NUL")
    if len(place.container.encode()) > _LONGEST_CONTAINER:
        raise errors.Invalid(f"the name of a container has up to {_LONGEST_CONTAINER} bytes")
    begin = f"{place.account}/{place.container}/{place.prefix}"
    if len(begin.encode()) >= _LONGEST_KEY:
        raise errors.Invalid(f"the name of an object has up to {_LONGEST_KEY} bytes")
    return begin


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        LOG.info("S3 answered %s: %s", code, error)
        if code in _MISSING:
            raise errors.NotFound("the object store does not have it") from error
        if code in _REFUSED:
            raise errors.Forbidden("The object store forbids it to the service.") from error
        raise errors.Unavailable(f"The object store fails ({code}).") from error
    except (BotoCoreError, OSError) as error:
        LOG.warning("S3: %s", error)
        raise silent("The object store", error) from error
