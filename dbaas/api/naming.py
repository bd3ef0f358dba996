"""Which names databases, users and hosts may have, checked before anything is built for them.

The limits are those of the engines: MariaDB's tables keep database names of 64 and user names of
128 characters (columns `db` and `User` of `mysql.db`).
"""

import ipaddress
import re

from dbaas.contract import errors

RESERVED_DATABASES = frozenset(("mysql", "information_schema", "performance_schema", "sys"))
RESERVED_USERS = frozenset(("os_admin", "root", "mariadb.sys"))

_DATABASE = re.compile(r"[A-Za-z0-9_-]+(?:[ ?#@]+[A-Za-z0-9_-]+)*")
_DATABASE_LENGTH = 64
_USER_LENGTH = 128
_LAST_CHARACTER = "\uffff"
"""MariaDB keeps the names of users in three bytes a character."""
_FORBIDDEN_IN_USER = frozenset("'\";`,/\\")
_OCTETS = re.compile(r"(?:0|[1-9]\d{0,2}|%)(?:\.(?:0|[1-9]\d{0,2}|%)){3}", re.ASCII)
_WORD = re.compile(r"[a-z0-9_]{1,64}")

CHARACTER_SETS = frozenset(
    (
        "armscii8", "ascii", "big5", "binary", "cp1250", "cp1251", "cp1256", "cp1257", "cp850",
        "cp852", "cp866", "cp932", "dec8", "eucjpms", "euckr", "gb2312", "gbk", "geostd8", "greek",
        "hebrew", "hp8", "keybcs2", "koi8r", "koi8u", "latin1", "latin2", "latin5", "latin7",
        "macce", "macroman", "sjis", "swe7", "tis620", "ucs2", "ujis", "utf16", "utf16le", "utf32",
        "utf8", "utf8mb3", "utf8mb4",
    )
)  # fmt: skip
"""MariaDB's `SHOW CHARACTER SET`, and `utf8`, its old name for utf8mb3."""


def check_database(name: str, where: str) -> None:
    """Raise `Invalid` unless a tenant may have a database of this name; `where` is the field."""
    if len(name) > _DATABASE_LENGTH or not _DATABASE.fullmatch(name):
        raise errors.Invalid(
            f"{where} {name[:80]!r} is not a database name: 1 to {_DATABASE_LENGTH} letters, "
            "digits, _ and -, with blanks, ?, # and @ only inside."
        )
    if name.lower() in RESERVED_DATABASES:
        raise errors.Invalid(f"{where} {name!r} is reserved: choose another database name.")


def check_user(name: str, where: str) -> None:
    """Raise `Invalid` unless a tenant may have a user of this name."""
    plain = name == name.strip() and name.isprintable() and not _FORBIDDEN_IN_USER & set(name)
    if not 1 <= len(name) <= _USER_LENGTH or not plain or max(name) > _LAST_CHARACTER:
        raise errors.Invalid(
            f"{where} {name[:80]!r} is not a user name: 1 to {_USER_LENGTH} characters, none of "
            "them ' \" ; ` , / or \\ or beyond U+FFFF, and no blank at either end."
        )
    if name.lower() in RESERVED_USERS:
        raise errors.Invalid(f"{where} {name!r} is reserved: choose another user name.")


def check_grant(name: str, where: str) -> None:
    """Raise `Invalid` unless rights can be given on a database of this name.

    MariaDB keeps the name as a pattern of as many characters as a name may have, in which each _
    takes two (column `db` of `mysql.db`; MariaDB documentation, "GRANT").
    """
    check_database(name, where)
    if len(name) + name.count("_") > _DATABASE_LENGTH:
        raise errors.Invalid(
            f"{where} {name!r} is too long to give rights on: each _ in it counts twice, and "
            f"{_DATABASE_LENGTH} characters are the most."
        )


def host(text: str, where: str) -> str:
    """Return where a user may come from, as the engine writes it; raise `Invalid`.

    It is an address, a network of IPv4, or a pattern.
    """
    if _OCTETS.fullmatch(text) and all(part == "%" or int(part) < 256 for part in text.split(".")):
        return text
    try:
        if text == "%":
            return text
        if "/" in text:
            network = ipaddress.IPv4Network(text, strict=False)
            if network.prefixlen:
                return str(network)
        elif "%" not in text:
            return str(ipaddress.ip_address(text))
    except ValueError:
        pass
    raise errors.Invalid(
        f"{where} {text[:80]!r} is not a host: use %, an address, an IPv4 address with % for some "
        "of its four parts, or an IPv4 network as 10.0.0.0/24."
    )


def check_character_set(name: str, collation: str, where: str) -> None:
    """Raise `Invalid` unless the two exist and fit; each may be empty."""
    if name and name not in CHARACTER_SETS:
        raise errors.Invalid(f"{where} has the character_set {name[:64]!r}, which does not exist.")
    prefix = collation.partition("_")[0]
    known = prefix in CHARACTER_SETS or prefix == "uca1400"
    if collation and not (known and _WORD.fullmatch(collation)):
        raise errors.Invalid(f"{where} has the collate {collation[:64]!r}, which does not exist.")
    if name and collation and prefix not in (name, "uca1400", *_SAME.get(name, ())):
        raise errors.Invalid(
            f"{where} has the collate {collation[:64]!r}, which is not one of {name}."
        )


_SAME = {"utf8": ("utf8mb3",), "utf8mb3": ("utf8",)}
