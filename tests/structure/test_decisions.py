"""The decision records are numbered without a gap, complete, and listed."""

from __future__ import annotations

import re

from tests.support.tree import ROOT, files

FOLDER = ROOT / "docs" / "decisions"
RECORDS = [path for path in files(".md", under="docs/decisions") if path.name != "README.md"]
HEADINGS = ["## Context", "## Decision", "## Consequences", "## Measurement"]


def test_records_are_numbered_without_a_gap() -> None:
    assert RECORDS
    assert [path.name[:4] for path in RECORDS] == [f"{number:04d}" for number in range(1, len(RECORDS) + 1)]


def test_records_have_their_number_status_and_headings() -> None:
    for path in RECORDS:
        text = path.read_text()
        assert text.startswith(f"# {int(path.name[:4])}. "), path
        assert re.search(r"^Status: (proposed|accepted|superseded by \d+)$", text, re.MULTILINE), path
        assert re.findall(r"^## .+$", text, re.MULTILINE) == HEADINGS, path


def test_records_are_listed() -> None:
    listed = (FOLDER / "README.md").read_text()
    for path in RECORDS:
        title = path.read_text().partition("\n")[0].partition(". ")[2]
        assert f"[{title}]({path.name})" in listed, path
