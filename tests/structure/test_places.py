"""The table "I want to ..." of CONTRIBUTING.md leads to existing lines, and every link of the manual to a file."""

from __future__ import annotations

import re
import tomllib
from urllib.parse import unquote

from tests.support.tree import ROOT, files, relative
from tools import places

LINK = re.compile(r"\]\(([^)\s#]+)(?:#[^)\s]*)?\)")


def test_table_of_places_is_current() -> None:
    assert places.PAGE.read_text() == places.page(), "a file moved: python -m tools.places"


def test_every_wish_stands_once() -> None:
    wishes = [place.wish for place in places.PLACES]
    assert len(set(wishes)) == len(wishes)


def test_readme_works_on_a_package_page() -> None:
    """A package page resolves no relative link. So each begins with the address of the project, and leads to a file."""
    base = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]["Source"]
    links = LINK.findall((ROOT / "README.md").read_text())
    assert len(links) > 20
    assert not [link for link in links if not (ROOT / link.removeprefix(f"{base}/")).is_file()]
    assert not [link for link in links if not link.startswith(f"{base}/")]


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
