"""Backups: their life as a table, what their objects are called, and what their manifest says.

A backup is a stream, cut into segments, and a manifest that names them. All of its objects have
names that begin with its id: who knows the id finds everything that there is of it.
"""

import hashlib
import hmac
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from dbaas.contract import codec, errors
from dbaas.contract.errors import Busy
from dbaas.contract.messages import Segment
from dbaas.contract.secret import Secret


class BackupStatus(StrEnum):
    """What has become of a backup: kept in the catalog, and shown."""

    NEW = "NEW"
    BUILDING = "BUILDING"
    COMPLETED = "COMPLETED"
    RESTORED = "RESTORED"
    """Registered: somebody else made it."""
    FAILED = "FAILED"
    DELETE_FAILED = "DELETE_FAILED"
    DELETED = "DELETED"


class BackupEvent(StrEnum):
    """What happens to a backup."""

    BEGIN = "begin"
    COMPLETE = "complete"
    FAIL = "fail"
    DELETE_FAIL = "fail to delete"
    DELETED = "finish the deletion of"


RUNNING = (BackupStatus.NEW, BackupStatus.BUILDING)
USABLE = (BackupStatus.COMPLETED, BackupStatus.RESTORED)
_ENDED = (*USABLE, BackupStatus.FAILED, BackupStatus.DELETE_FAILED)

MOVES: Mapping[tuple[BackupStatus, BackupEvent], BackupStatus] = {
    (BackupStatus.NEW, BackupEvent.BEGIN): BackupStatus.BUILDING,
    (BackupStatus.BUILDING, BackupEvent.BEGIN): BackupStatus.BUILDING,
    (BackupStatus.BUILDING, BackupEvent.COMPLETE): BackupStatus.COMPLETED,
    **{(status, BackupEvent.FAIL): BackupStatus.FAILED for status in RUNNING},
    **{(status, BackupEvent.DELETE_FAIL): BackupStatus.DELETE_FAILED for status in _ENDED},
    **{(status, BackupEvent.DELETED): BackupStatus.DELETED for status in _ENDED},
}


def after(status: BackupStatus, event: BackupEvent) -> BackupStatus:
    """Return the status that follows; raise `Busy` if the event is not allowed now."""
    try:
        return MOVES[status, event]
    except KeyError:
        raise Busy(f"cannot {event} a backup while it is {status}") from None


MANIFEST = "manifest"
"""The name of a backup's manifest, below its prefix."""

SEGMENT = re.compile(r"\d{8}")


def prefix(backup_id: str) -> str:
    """Return what the names of all of a backup's objects begin with."""
    return f"{backup_id}/"


def segment_name(number: int) -> str:
    """Return the name of a segment, below the prefix; they count from 1."""
    return f"{number:08d}"


@dataclass(frozen=True)
class Whereabouts:
    """Where the objects of a backup are in its container, and under which id they were made."""

    stream: str
    prefix: str
    plain: str = ""
    """Of a foreign one: the end of its only object's name, which says what it is."""


def whereabouts(backup_id: str, object_name: str = "") -> Whereabouts:
    """Return where a backup is; `object_name` is that by which one of elsewhere was registered.

    A manifest is one of ours; all else is a plain stream: `old/o.xbstream.gz` begins with `old/o`
    and ends in `.xbstream.gz`.
    """
    if not object_name:
        return Whereabouts(backup_id, prefix(backup_id))
    directory, slash, last = object_name.rpartition("/")
    if last == MANIFEST and directory:
        return Whereabouts(directory.rpartition("/")[2], directory + slash)
    stem, dot, end = last.partition(".")
    return Whereabouts(backup_id, f"{directory}{slash}{stem}", f"{dot}{end}")


Position = Mapping[str, str]
"""Where in an engine's history a backup is, in the terms of its strategy."""


@dataclass(frozen=True)
class Manifest:
    """What a backup consists of; sizes in bytes, moments in seconds since 1970, by the guest."""

    backup: str
    parent: str
    """Of an incremental one; else empty."""
    engine: str
    engine_version: str
    strategy: str
    segments: tuple[Segment, ...]
    data_size: int
    """Of the stream before it was packed."""
    restored_size: int
    """What a volume needs for it."""
    taken_at: float
    key: Any
    """The data key, sealed under the deployment's master key."""
    position: Mapping[str, str] = field(default_factory=dict)
    version: int = 1
    seal: str = ""
    """Proves, to who knows the data key, that all else is as it was written."""


def write_manifest(manifest: Manifest, key: Secret) -> bytes:
    """Return the manifest's object, sealed with the backup's data key."""
    sealed = replace(manifest, seal=_seal(manifest, key))
    return json.dumps(codec.dump(sealed), sort_keys=True).encode()


def read_manifest(content: bytes) -> Manifest:
    """Return what the object says; raise `Failed` for what is no manifest."""
    try:
        return codec.load(Manifest, json.loads(content), path="manifest")
    except (ValueError, RecursionError, errors.Invalid) as error:
        raise errors.Failed("the manifest is damaged: it cannot be read") from error


def check_manifest(manifest: Manifest, key: Secret) -> None:
    """Raise `Failed` unless it was sealed with this data key, and is as it was then."""
    if not hmac.compare_digest(manifest.seal, _seal(manifest, key)):
        raise errors.Failed("the manifest is damaged, or another backup's")


def _seal(manifest: Manifest, key: Secret) -> str:
    body = json.dumps(codec.dump(replace(manifest, seal="")), sort_keys=True)
    return hmac.new(bytes.fromhex(key.reveal()), body.encode(), hashlib.sha256).hexdigest()
