"""The pages of docs/reference are those of the code."""

from __future__ import annotations

import re

import pytest

from tests.support.tree import ROOT
from tools.reference.__main__ import PAGES, is_current


@pytest.mark.parametrize("name", PAGES)
def test_page_is_current(name: str) -> None:
    assert is_current(name, PAGES[name]()), "the code changed: python -m tools.reference"


def test_every_code_in_the_source_has_a_section() -> None:
    """Responses that are no ``Refused`` name their code in place."""
    text = (ROOT / "securecore/http/problems.py").read_text()
    codes = set(re.findall(r'_plain_problem\("([a-z-]+)"', text))
    codes |= set(re.findall(r'"code": "([a-z-]+)"', (ROOT / "securecore/installation/nginx/refused.conf").read_text()))
    sections = set(re.findall(r"^## ([a-z-]+)$", (ROOT / "docs/reference/problems.md").read_text(), re.M))
    assert codes
    assert codes <= sections
