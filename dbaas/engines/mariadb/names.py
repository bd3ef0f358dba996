"""The names that MariaDB can store, how they stand in a statement, and which are not the tenant's.

Every name is quoted as an identifier and every value as a literal, and what cannot be a name is
refused before: nothing depends on names being harmless.
"""

import ipaddress
import re

from dbaas.contract import errors
from dbaas.contract.secret import Secret

ADMIN = "os_admin"
ROOT = "root"
"""At `localhost` the only account of a data directory that was just copied; at `%` the tenant as
administrator."""

RESERVED_DATABASES = frozenset(("mysql", "information_schema", "performance_schema", "sys"))
RESERVED_USERS = frozenset((ADMIN, ROOT, "mariadb.sys"))

NAME_LENGTH = 64
"""Characters of a database's name, and of the pattern in a grant (column `db` of `mysql.db`)."""
USER_LENGTH = 128
PASSWORD_LENGTH = 255
"""Characters; the limit is the contract's, the server has none."""
HOST = re.compile(r"[\w.:%-]{1,255}", re.ASCII)
NO_DATABASE = "#mysql50#"
"""How the server begins the name of a directory that is no database of its own."""


def identifier(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def check_database(name: str) -> str:
    """Return the name if a database can be made with it; raise `Invalid`."""
    _check_characters("database name", name, NAME_LENGTH)
    refuse_own_database(name)
    if name.lower().startswith(NO_DATABASE):
        raise errors.Invalid(f"database name {name!r} begins with what has a meaning of its own")
    return name


def refuse_own_database(name: str) -> None:
    if is_own_database(name):
        raise errors.Invalid(f"database name {name!r} is the server's own")


def is_own_database(name: str) -> bool:
    return name.lower() in RESERVED_DATABASES


def check_user(name: str) -> str:
    """Return the name if an account can be made with it; raise `Invalid`.

    Names that differ in their case are different accounts, so only the reserved ones as they are
    written are hidden; but nobody is to make one that reads like them.
    """
    _check_characters("user name", name, USER_LENGTH)
    if len(name) > 1 and name[0] == name[-1] == "'":
        # sql/sql_acl.cc of MariaDB 11.8, parse_client_handshake_packet: it takes them off.
        raise errors.Invalid(f"user name {name!r} must not stand in quotes: nobody could log in")
    refuse_own_user(name.lower())
    return name


def refuse_own_user(name: str) -> None:
    if name in RESERVED_USERS:
        raise errors.Invalid(f"user name {name!r} is the service's own")


def check_password(password: Secret) -> Secret:
    """Return it if a client can send it; raise `Invalid`."""
    text = password.reveal()
    if not 0 < len(text) <= PASSWORD_LENGTH:
        raise errors.Invalid(f"a password must have 1 to {PASSWORD_LENGTH} characters")
    if "\0" in text or not _is_text(text):
        raise errors.Invalid("a password must not have NUL or half a character in it")
    return password


def check_host(host: str) -> str:
    """Return the host as the server stores it; raise `Invalid` for what no client comes from.

    It is such that `shown_host` gives back what was given here, so a network has to be written
    without bits of a host, and an address in its shortest form.
    """
    if "/" in host:
        return _with_netmask(host)
    if not HOST.fullmatch(host):
        raise errors.Invalid(f"host {host[:80]!r} is neither an address nor a pattern of one")
    if host != host.lower():
        raise errors.Invalid(f"host {host!r} must be written in small letters")
    if ":" in host and "%" not in host:
        _check_address6(host)
    return host


def shown_host(stored: str) -> str:
    """Return 10.0.0.0/24 of 10.0.0.0/255.255.255.0, and all else as it is."""
    if "/" not in stored:
        return stored
    try:
        network = ipaddress.IPv4Network(stored)
    except ValueError:
        return stored
    return str(network) if network.with_netmask == stored else stored


def pattern(name: str) -> str:
    """Return the pattern that grants on this database only.

    MariaDB documentation, "GRANT": `_` and `%` are wildcards in `ON db.*`, and `\\` escapes.
    """
    escaped = re.sub(r"([\\_%])", r"\\\1", name)
    if len(escaped) > NAME_LENGTH:
        raise errors.Invalid(
            f"database name {name!r} is too long for a grant: each _, % and \\ in it counts twice,"
            f" and {NAME_LENGTH} characters are the limit"
        )
    return escaped


def exact(granted: str) -> str | None:
    """Return the one database that a granted pattern is for; None if it has wildcards."""
    if re.search(r"(?<!\\)(\\\\)*[_%]", granted):
        return None
    return re.sub(r"\\(.)", r"\1", granted, flags=re.DOTALL)


def covers(granted: str, name: str) -> bool:
    """Return whether a granted pattern is for this database, perhaps among others."""
    parts = re.findall(r"\\.|.", granted, flags=re.DOTALL)
    wildcards = {"_": ".", "%": ".*"}
    return bool(
        re.fullmatch(
            "".join(wildcards.get(part) or re.escape(part[-1]) for part in parts),
            name,
            flags=re.DOTALL,
        )
    )


def _check_characters(what: str, name: str, length: int) -> None:
    """MariaDB documentation, "Identifier Names": U+0001 to U+FFFF, no blank at the end."""
    if not 0 < len(name) <= length:
        raise errors.Invalid(f"{what} {name[:80]!r} must have 1 to {length} characters")
    if any(not 0 < ord(character) <= 0xFFFF for character in name):
        raise errors.Invalid(f"{what} {name!r} has a character that the server cannot store")
    if not _is_text(name):
        raise errors.Invalid(f"{what} {name!r} has half a character")
    if name.endswith(" "):
        raise errors.Invalid(f"{what} {name!r} must not end with a blank")


def _is_text(text: str) -> bool:
    return not any(0xD800 <= ord(character) <= 0xDFFF for character in text)


def _with_netmask(host: str) -> str:
    """Return 10.0.0.0/24 as the server knows it (MariaDB documentation, "CREATE USER", Host).

    It knows masks of IPv4 only, and a mask without a bit is one that never fits.
    """
    try:
        network = ipaddress.IPv4Network(host, strict=False)
    except ValueError:
        raise errors.Invalid(
            f"host {host[:80]!r} is not a network such as 10.0.0.0/24; of IPv6, give addresses"
        ) from None
    if network.prefixlen == 0:
        raise errors.Invalid(f"host {host!r} is everywhere: that is '%'")
    if str(network) != host:
        raise errors.Invalid(f"host {host!r} must be written as {network}")
    return network.with_netmask


def _check_address6(host: str) -> None:
    try:
        address = ipaddress.IPv6Address(host)
    except ValueError:
        raise errors.Invalid(f"host {host[:80]!r} is not an address") from None
    if str(address) != host:
        raise errors.Invalid(f"host {host!r} must be written as {address}")
