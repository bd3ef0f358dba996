"""What the names of objects say, whichever storage has them."""

from collections.abc import Iterator
from urllib.parse import unquote, urlsplit

from dbaas.contract import backups, errors


def parts(base: str, url: str) -> Iterator[str]:
    """Yield the words between the slashes of what follows `base` in a URL, decoded.

    Raises `Invalid` for the URL of another service, or with more in it than a path.
    """
    try:
        told, ours = urlsplit(url), urlsplit(base.rstrip("/") + "/")
    except ValueError as error:
        raise errors.Invalid(f"{url[:200]!r} is no URL") from error
    same = (told.scheme, told.netloc.lower()) == (ours.scheme, ours.netloc.lower())
    if not same or told.query or told.fragment or not told.path.startswith(ours.path):
        raise errors.Invalid(f"{url[:200]!r} is not in this storage, whose URLs begin with {base}")
    for word in told.path.removeprefix(ours.path).split("/"):
        try:
            yield unquote(word, errors="strict")
        except UnicodeDecodeError as error:
            raise errors.Invalid(f"{url[:200]!r} is not UTF-8") from error


def split(key: str) -> tuple[str, str]:
    """Return what the names of a backup's objects begin with, and this one's name after it.

    Clients of HTTP walk along `..` before they ask, and ours may enter every tenant's account.
    """
    if not key or key.endswith("/"):
        raise errors.Invalid("the URL names no object: it ends in its container")
    if {".", ".."} & {*key.split("/")}:
        raise errors.Invalid("the URL names no object: it has . or .. between its slashes")
    found = backups.whereabouts("", key)
    return found.prefix, key.removeprefix(found.prefix)
