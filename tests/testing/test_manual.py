"""The example of docs/testing.md for Django's test runner, as it is printed."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.support.tree import ROOT

_PAGE = (ROOT / "docs/testing.md").read_text()
_EXAMPLE: dict[str, Any] = {}
exec(re.findall(r"^## With Django's test runner\n.*?^```python\n(.*?)^```", _PAGE, re.S | re.M)[0], _EXAMPLE)

_TransferTests: Any = _EXAMPLE["TransferTests"]


@pytest.mark.urls("tests.testing.urls")
class TestExample(_TransferTests):  # type: ignore[misc]
    """Run the test methods of the example."""
