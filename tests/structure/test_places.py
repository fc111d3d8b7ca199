"""The table "I want to ..." of CONTRIBUTING.md leads to existing lines, and every link of the manual to a file."""

from __future__ import annotations

import re
from urllib.parse import unquote

from tests.support.tree import ROOT, files, relative
from tools import places

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def test_table_of_places_is_current() -> None:
    assert places.PAGE.read_text() == places.page(), "a file moved: python -m tools.places"


def test_every_wish_stands_once() -> None:
    wishes = [place.wish for place in places.PLACES]
    assert len(set(wishes)) == len(wishes)


def test_links_lead_to_files() -> None:
    broken = [
        (relative(page), target)
        for page in files(".md")
        for target in LINK.findall(page.read_text())
        if not re.match(r"[a-z]+:", target) and not (page.parent / unquote(target)).exists()
    ]
    assert not broken
    assert LINK.findall("see [a](b.md#c) and [d](e.md)") == ["b.md", "e.md"]
    assert (ROOT / "CONTRIBUTING.md").exists()
