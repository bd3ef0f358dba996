"""How many names one request to a service asks for."""

from collections.abc import Collection

_AT_ONCE = 40


def few(names: Collection[str] | None) -> bool:
    """Return whether to ask for these names; more, and the address gets too long for proxies.

    None are all that there are.
    """
    return names is not None and len(names) <= _AT_ONCE
