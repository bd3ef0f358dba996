from pathlib import Path

import pytest

from dbaas.cloud.rootfs import aptsources
from dbaas.cloud.rootfs.aptsources import Source
from dbaas.contract import errors

DEB822 = """\
# a comment
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
Components: main
Signed-By: /usr/share/keyrings/some.gpg

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main

Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main
Enabled: no

Types: deb-src
URIs: http://source.example/debian
Suites: bookworm
Components: main
"""

ONE_LINE = """\
# deb http://off.example/debian bookworm main
deb-src http://source.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib  # ours
deb http://plain.example/debian trixie main
"""


def test_a_deb822_file_gives_its_enabled_binary_sources() -> None:
    sources = list(aptsources.deb822(DEB822))
    options = {"signed-by": "/usr/share/keyrings/some.gpg"}
    assert sources == [
        Source("http://mirror.example/debian", "bookworm", options),
        Source("http://mirror.example/debian", "bookworm-updates", options),
        Source("http://mirror.example/debian-security", "bookworm-security"),
    ]


def test_a_key_within_a_deb822_file_is_read_whole() -> None:
    key = "Signed-By:\n -----BEGIN PGP PUBLIC KEY BLOCK-----\n .\n abc\n"
    text = f"Types: deb\nURIs: http://m.example/debian\nSuites: trixie\n{key}Components: main\n"
    (source,) = aptsources.deb822(text)
    assert source.options["signed-by"].strip().startswith("-----BEGIN")
    assert source.suite == "trixie"


def test_a_one_line_file_gives_its_binary_sources() -> None:
    assert list(aptsources.one_line(ONE_LINE)) == [
        Source(
            "http://mirror.example/debian", "bookworm", {"arch": "amd64", "signed-by": "/k.gpg"}
        ),
        Source("http://plain.example/debian", "trixie"),
    ]


def test_the_mirror_is_the_one_of_the_hosts_own_suite(tmp_path: Path) -> None:
    (tmp_path / "apt/sources.list.d").mkdir(parents=True)
    (tmp_path / "apt/sources.list").write_text(ONE_LINE)
    (tmp_path / "apt/sources.list.d/debian.sources").write_text(DEB822)
    assert aptsources.mirror(tmp_path, "bookworm").uri == "http://mirror.example/debian"
    assert aptsources.mirror(tmp_path, "trixie").uri == "http://plain.example/debian"
    with pytest.raises(errors.NotFound):
        aptsources.mirror(tmp_path, "sid")
