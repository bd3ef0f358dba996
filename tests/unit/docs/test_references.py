"""A document that names a file of this repository, or links to one, is right about it."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
DOCUMENTS = sorted(
    path
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("images/**/*.md")]
    if path.name != "CHANGELOG.md"  # it tells of files that are gone
)
LINK = re.compile(r"\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)")
NAMED = re.compile(r"`((?:dbaas|etc|migrations|tests|docs|images)/[\w./-]*)`")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_file_that_a_document_names_exists(document: Path) -> None:
    text = document.read_text()
    linked = [document.parent / target for target in LINK.findall(text)]
    named = [ROOT / target for target in NAMED.findall(text)]
    assert [str(path) for path in (*linked, *named) if not path.exists()] == []
