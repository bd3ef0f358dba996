"""Which Debian mirror this host uses, read from its own apt configuration."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from dbaas.contract import errors

DEBIAN_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
"""What the package debian-archive-keyring installs."""

_ONE_LINE = re.compile(r"^deb\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<uri>\S+)\s+(?P<suite>\S+)\s")


@dataclass(frozen=True)
class Source:
    """A place that packages come from; `options` by their one-line names, like `signed-by`."""

    uri: str
    suite: str
    options: Mapping[str, str] = field(default_factory=dict)


def mirror(etc: Path, codename: str) -> Source:
    """Return the source of the host's own suite, `codename`; raise `NotFound` without one.

    Suites of updates and security fixes are on other paths or servers and do not count.
    """
    for source in read(etc / "apt"):
        if source.suite == codename:
            return source
    raise errors.NotFound(f"{etc}/apt names no source of the suite {codename}")


def read(apt: Path) -> Iterator[Source]:
    """Yield every binary source in the order in which apt reads its files."""
    listed = sorted((apt / "sources.list.d").glob("*"))
    for path in [apt / "sources.list", *listed]:
        if path.suffix == ".list" and path.is_file():
            yield from one_line(path.read_text())
        elif path.suffix == ".sources" and path.is_file():
            yield from deb822(path.read_text())


def one_line(text: str) -> Iterator[Source]:
    """Yield the sources of a `.list` file (sources.list(5), one-line style)."""
    for line in text.splitlines():
        found = _ONE_LINE.match(line.partition("#")[0].strip() + " ")
        if found:
            words = (found["options"] or "").split()
            options = dict(word.split("=", 1) for word in words if "=" in word)
            yield Source(found["uri"], found["suite"], options)


def deb822(text: str) -> Iterator[Source]:
    """Yield the sources of a `.sources` file (sources.list(5), deb822 style)."""
    for stanza in re.split(r"\n[ \t]*\n", text):
        fields = _fields(stanza)
        if fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        options = {"signed-by": fields["signed-by"]} if fields.get("signed-by") else {}
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                yield Source(uri, suite, options)


def _fields(stanza: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and name:
            fields[name] += "\n" + line.strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.strip().lower()
            fields[name] = value.strip()
    return fields
