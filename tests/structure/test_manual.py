"""The manual as a site: every page is in the navigation, once, and links stay inside."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.tree import ROOT, files
from tools.manual import for_models, staging


@pytest.fixture(scope="module")
def staged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("manual") / "source"
    staging.stage(folder)
    return folder


def test_every_page_is_in_the_navigation_once(staged: Path) -> None:
    index = (staged / "index.md").read_text()
    listed = [
        name for block in re.findall(r"```\{toctree\}(.*?)```", index, re.S) for name in block.split("\n\n")[1].split()
    ]
    pages = {str(page.relative_to(staged).with_suffix("")) for page in staged.rglob("*.md")}
    decisions = {name for name in pages if name.startswith("decisions/0")}
    assert sorted(listed) == sorted(pages - decisions - {"index"})


def test_index_is_in_the_four_kinds() -> None:
    headings = re.findall(r"^## (.+)$", (ROOT / "docs/index.md").read_text(), re.M)
    assert headings == ["Tutorial", "How to", "Features", "Reference", "Explanation"]


def test_links_lead_to_staged_files(staged: Path) -> None:
    links = [(page, link) for page in staged.rglob("*.md") for _, link, _ in staging._LINK.findall(page.read_text())]
    assert len(links) > 100
    assert not [(page.name, link) for page, link in links if not (page.parent / link).exists()]


def test_site_needs_no_network() -> None:
    configuration = (ROOT / "tools/manual/conf.py").read_text()
    assert "http://" not in configuration
    assert "https://" not in configuration
    pictures = [
        found for page in files(".md", under="docs") for found in re.findall(r"!\[[^\]]*\]\((\S+)\)", page.read_text())
    ]
    assert not [each for each in pictures if each.startswith("http")]


def test_models_get_every_page_of_the_index(staged: Path) -> None:
    for_models.write(staged)
    listed = re.findall(r"\]\(_sources/(.+?)\.txt\)", (staged / "llms.txt").read_text())
    assert len(listed) > 20
    assert not [name for name in listed if not (staged / name).exists()]
    assert (staged / "llms.txt").read_text().startswith("# securecore\n\n> A Django app")
    whole = (staged / "llms-full.txt").read_text()
    assert "# Quickstart" in whole
    assert "# Problem codes" in whole
