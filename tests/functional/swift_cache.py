"""What memcached is for a Swift whose proxy is one process: imported there, and nowhere else.

Without a cache there are no tokens of tempauth, and no memory of what containers are like.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any


class Cache:
    """Has the verbs of Swift's own client of memcached, as far as a proxy uses them."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[Any, float]] = {}

    def get(self, key: str, **_: Any) -> Any:
        value, ends = self._kept.get(key, (None, 0.0))
        return value if ends > time.monotonic() else None

    def set(self, key: str, value: Any, time: float = 0, **_: Any) -> None:
        self._kept[key] = (value, _now() + (time or float("inf")))

    def set_multi(
        self, mapping: Mapping[str, Any], server_key: str, time: float = 0, **_: Any
    ) -> None:
        for key, value in mapping.items():
            self.set(key, value, time=time)

    def get_multi(self, keys: Iterable[str], server_key: str, **_: Any) -> list[Any]:
        return [self.get(key) for key in keys]

    def incr(self, key: str, delta: int = 1, time: float = 0, **_: Any) -> int:
        value = max(0, (self.get(key) or 0) + delta)
        self.set(key, value, time=time)
        return value

    def decr(self, key: str, delta: int = 1, time: float = 0, **_: Any) -> int:
        return self.incr(key, -delta, time=time)

    def delete(self, key: str, *_: Any, **__: Any) -> None:
        self._kept.pop(key, None)


_now = time.monotonic

App = Callable[[dict[str, Any], Any], Any]


def filter_factory(_: Mapping[str, str], **__: str) -> Callable[[App], App]:
    cache = Cache()

    def made(app: App) -> App:
        def remembering(environ: dict[str, Any], start_response: Any) -> Any:
            environ["swift.cache"] = cache
            return app(environ, start_response)

        return remembering

    return made
