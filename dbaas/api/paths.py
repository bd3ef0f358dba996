"""Names in paths and in markers, decoded as clients encode them.

The server that hands requests over has decoded a path once. Clients encode once or twice, so what
still looks encoded is decoded once more; and a dot may come as `%2e`, a slash as `%2F`.
"""

import re
from urllib.parse import quote, unquote, unquote_to_bytes

from dbaas.contract.messages import UserKey

_SLASH = re.compile(r"%2f", re.IGNORECASE)
_NETWORK = re.compile(r"(/users/[^/]*@[^/@]+)/(\d{1,2})(?=/|$)", re.ASCII)


def with_slashes_kept(path: str, raw: str) -> str:
    """Return `path` with the slashes that `raw`, as it was sent, has inside of names.

    Decoded, they would look as if they ended the name: a host may be a network, as 10.0.0.0/24.
    The published command line does not even encode that slash.
    """
    return _NETWORK.sub(r"\1%2F\2", _kept(path, raw), count=1)


def _kept(path: str, raw: str) -> str:
    sent = raw.partition("?")[0]
    if not _SLASH.search(sent) or not sent.startswith("/"):
        return path
    kept = unquote(_SLASH.sub("%252F", sent))
    # Where the application has a prefix, the path as it was sent begins with it.
    start = kept.find("/v1.0/")
    return path if start < 0 else kept[start:]


def name(text: str) -> str:
    """Return the name of a database."""
    return _decoded(text)


def user(text: str) -> UserKey:
    """Return the user that `name` or `name@host` names; without a host it is `%`.

    Where an @ shows, everything is decoded already, but for a network's slash.
    """
    if "@" not in text:
        text = _decoded(text)
    before, at, after = text.rpartition("@")
    return UserKey(before, _decoded(after) or "%") if at else UserKey(text)


def marker(text: str) -> str:
    """Return a marker as the links to further pages have it."""
    return quote(text, safe="")


def _decoded(text: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        return text
