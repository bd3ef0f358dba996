"""Leave to use the depot: what its URLs prove, as Swift's temporary URLs do for a prefix.

The control plane signs, the depot verifies; both have the key from the deployment's master key.
Whoever changes anything in such a URL has none.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlencode, urlsplit

from dbaas.common.sealing import Sealer
from dbaas.contract import errors
from dbaas.contract.secret import Secret
from dbaas.strategies.grants.base import Method, Place

ROOT = "/v1/"
"""What the paths of objects begin with; account, container and the object's name follow."""

_NAME = "{name}"


@dataclass(frozen=True)
class Wanted:
    """An object, as a URL of the depot names it."""

    account: str
    container: str
    key: str
    """Its name in the container."""

    @property
    def path(self) -> str:
        return f"{ROOT}{self.account}/{self.container}/{self.key}"


def key(sealer: Sealer) -> Secret:
    """Return the key that the depot and the control plane have in common."""
    return sealer.derived("depot")


def url(place: Place, name: str = "") -> str:
    """Return the path, and what follows it, of an object's URL, without any leave."""
    words = (place.account, place.container, place.prefix + name)
    return ROOT + "/".join(quote(word, safe="/" if word is words[-1] else "") for word in words)


def signed(key: Secret, place: Place, method: Method, until: int) -> str:
    """Return the path and the query of URLs that give leave; `{name}` stands for the name.

    `until`: seconds since 1970.
    """
    query = {
        "until": until,
        "prefix": place.prefix,
        "signature": _signature(key, method, until, _path(place)),
    }
    return f"{url(place)}{_NAME}?{urlencode(query)}"


def read(target: str) -> tuple[Wanted, Mapping[str, str]]:
    """Return what a request is for, and its query; raise `Invalid` for what names no object."""
    try:
        parts = urlsplit(target)
        words = [unquote(word, errors="strict") for word in parts.path.split("/", 4)]
        told = parse_qs(parts.query, strict_parsing=bool(parts.query), max_num_fields=8)
    except ValueError as error:
        raise errors.Invalid("the URL cannot be read") from error
    is_whole = len(words) == 5 and f"/{words[1]}/" == ROOT and not words[0] and all(words[2:])
    if not is_whole or "/" in words[2] + words[3]:
        raise errors.Invalid(f"the path of an object is {ROOT}ACCOUNT/CONTAINER/NAME")
    return Wanted(*words[2:]), {name: values[-1] for name, values in told.items()}


def verify(
    key: Secret, wanted: Wanted, methods: tuple[Method, ...], query: Mapping[str, Any], now: float
) -> str:
    """Return the object's name below the prefix that there is leave for, by one of these methods.

    Raises `Forbidden` for anything but a signature of ours, of this prefix and of this time.
    """
    prefix, until = query.get("prefix", ""), query.get("until", "")
    if not (until.isascii() and until.isdecimal() and len(until) < 16):
        raise errors.Forbidden("there is no leave in the URL")
    place = Place(wanted.account, wanted.container, prefix)
    claimed = query.get("signature", "").encode()
    fitting = [_signature(key, method, int(until), _path(place)).encode() for method in methods]
    if not any(hmac.compare_digest(one, claimed) for one in fitting):
        raise errors.Forbidden("the URL gives no leave for this")
    if not prefix or not wanted.key.startswith(prefix):
        raise errors.Forbidden("the URL gives leave for another prefix")
    if now >= int(until):
        raise errors.Forbidden("the leave in the URL has ended")
    return wanted.key.removeprefix(prefix)


def _path(place: Place) -> str:
    return f"{place.account}/{place.container}/{place.prefix}"


def _signature(key: Secret, method: str, until: int, path: str) -> str:
    said = f"{method}\n{until}\n{path}".encode()
    return hmac.new(bytes.fromhex(key.reveal()), said, hashlib.sha256).hexdigest()
