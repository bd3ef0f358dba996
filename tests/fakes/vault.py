"""A storage in memory: the control half, and what a guest does with a grant of it."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from dbaas.common.probes import Probe
from dbaas.contract import errors
from dbaas.contract.archives import merged_name, single_name
from dbaas.contract.backups import segment_name, whereabouts
from dbaas.contract.messages import BackupOrder, Grant, MergeOrder, Segment, StoredBackup
from dbaas.contract.secret import Secret
from dbaas.strategies.grants.base import Method, Place, Stored

_SCHEME = "memory:"


@dataclass
class FakeVault:
    """Implements `Vault`. `fails` is asked before everything, with the verb's name."""

    name: str = "local"
    objects: dict[str, bytes] = field(default_factory=dict)
    """By account, container, prefix and name, as one path."""
    fails: Callable[[str], None] = lambda _verb: None
    restored_size: int = 1 << 20
    """What guests say that a volume needs."""
    taken_at: float = 1e9
    """When they say that backups were taken."""

    def account(self, project_id: str) -> str:
        return f"of-{project_id}"

    def ensure(self, place: Place) -> None:
        self.fails("ensure")

    def location(self, place: Place, name: str) -> str:
        return f"https://storage.example/v1/{_path(place)}{name}"

    def locate(self, url: str) -> tuple[Place, str]:
        base = "https://storage.example/v1/"
        account, _, rest = url.removeprefix(base).partition("/")
        container, _, name = rest.partition("/")
        if not url.startswith(base) or not name:
            raise errors.Invalid(f"{url} is not in this storage")
        start = whereabouts("", name).prefix
        return Place(account, container, start), name.removeprefix(start)

    def grant(self, place: Place, method: Method, names: Sequence[str], seconds: float) -> Grant:
        self.fails("grant")
        return Grant(self.name, method, Secret(f"{_SCHEME}{_path(place)}{{name}}"))

    def listing(self, place: Place) -> Mapping[str, Stored]:
        self.fails("listing")
        start = _path(place)
        return {
            path.removeprefix(start): Stored(
                path.removeprefix(start), len(content), hashlib.md5(content).hexdigest()
            )
            for path, content in self.objects.items()
            if path.startswith(start)
        }

    def put(self, place: Place, name: str, content: bytes) -> None:
        self.fails("put")
        self.objects[_path(place) + name] = content

    def get(self, place: Place, name: str, limit: int) -> bytes:
        self.fails("get")
        content = self.objects.get(_path(place) + name)
        if content is None:
            raise errors.NotFound(f"there is no {name}")
        if len(content) > limit:
            raise errors.Invalid(f"{name} is larger than {limit} bytes")
        return content

    def size(self, place: Place, name: str) -> int:
        return len(self.get(place, name, 1 << 62))

    def delete(self, place: Place) -> None:
        self.fails("delete")
        for path in [path for path in self.objects if path.startswith(_path(place))]:
            del self.objects[path]

    def remove(self, place: Place, names: Sequence[str]) -> None:
        self.fails("remove")
        for name in names:
            self.objects.pop(_path(place) + name, None)

    def groups(self, place: Place) -> Iterator[str]:
        start = _path(place)
        below = [path.removeprefix(start) for path in self.objects if path.startswith(start)]
        yield from sorted({name.partition("/")[0] for name in below if "/" in name})

    def probe(self) -> Probe:
        raise NotImplementedError("nobody sets memory up")

    def fill(self, order: BackupOrder, parts: int = 3) -> StoredBackup:
        """Do what a guest does when it is ordered to take a backup."""
        segments = []
        for number in range(1, parts + 1):
            name, content = segment_name(number), f"{order.backup} {number}".encode()
            assert order.grant.url is not None
            path = order.grant.url.reveal().removeprefix(_SCHEME).format(name=name)
            self.objects[path] = content
            sha256, md5 = hashlib.sha256(content), hashlib.md5(content)
            segments.append(Segment(name, len(content), sha256.hexdigest(), md5.hexdigest()))
        return StoredBackup(
            segments=tuple(segments),
            data_size=1 << 20,
            restored_size=self.restored_size,
            taken_at=self.taken_at,
            engine_version="11.8.2",
            seconds=0.1,
            position={"lsn": str(len(self.objects)), "binlog": "binlog.000001:4711"},
        )

    def merge(self, order: MergeOrder) -> Segment:
        """Do what a guest does when it is ordered to merge objects of an archive."""
        assert order.read.url is not None
        assert order.write.url is not None
        read, write = (
            grant.reveal().removeprefix(_SCHEME) for grant in (order.read.url, order.write.url)
        )
        numbers = range(order.first, order.last + 1)
        content = b"".join(self.objects[read.format(name=single_name(n))] for n in numbers)
        name = merged_name(order.first, order.last)
        self.objects[write.format(name=name)] = content
        sha256, md5 = hashlib.sha256(content), hashlib.md5(content)
        return Segment(name, len(content), sha256.hexdigest(), md5.hexdigest())


def _path(place: Place) -> str:
    return f"{place.account}/{place.container}/{place.prefix}"
