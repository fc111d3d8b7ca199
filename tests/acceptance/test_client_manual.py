"""The examples of docs/client.md work as they stand, against the demo."""

from __future__ import annotations

import re
from typing import Any

import pytest

from demo_project.stack import Stack
from tests.support.tree import ROOT

PAGE = (ROOT / "docs" / "client.md").read_text()
EXAMPLES = dict(re.findall(r"^## (\w+):.*?^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL))


def test_each_library_has_an_example() -> None:
    assert list(EXAMPLES) == ["httpx", "requests", "urllib"]
    assert PAGE.count("```python") == len(EXAMPLES)


@pytest.mark.parametrize("library", EXAMPLES)
def test_example_pays(library: str, stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """The files of the example are those of the demo, and its address is the demo's."""
    monkeypatch.chdir(stack.pki)
    names: dict[str, Any] = {}
    exec(EXAMPLES[library].replace("https://pay.example", stack.url), names)
    assert names["payment"]["id"]
